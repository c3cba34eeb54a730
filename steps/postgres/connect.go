package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Errors of a server.
var (
	// ErrUnreachable is wrapped by the error of a server that takes no
	// connection. Nothing is known about what it holds.
	ErrUnreachable = errors.New("the server does not answer")
	// ErrRefused is wrapped by the error of a server that lets this user not
	// in, or not do it: to try again is of no use.
	ErrRefused = errors.New("the server refuses it")
	// ErrMissing is wrapped by the error for a database that is not there.
	ErrMissing = errors.New("there is no such database")
	// ErrThere is wrapped by the error for a database that is there already.
	ErrThere = errors.New("it is there already")
)

// The conditions of a server that are told apart, see Appendix A of its manual.
const (
	codeMissing     = "3D000"
	codeThere       = "42P04"
	codeInUse       = "55006"
	codeLockTimeout = "55P03"
	codePrivilege   = "42501"
	codeStarting    = "57P03"
	codeShutdown    = "57P01"
	codeCrash       = "57P02"
	codeTooMany     = "53300"
	codeUnique      = "23505"
)

const (
	// connectTimeout bounds one try to connect.
	connectTimeout = 5 * time.Second
	// undoTimeout bounds what is to be done however the caller ends. To drop a database
	// is a matter of seconds for a busy disk.
	undoTimeout = 30 * time.Second
	// maintenance is the database that every server has, to be connected to.
	maintenance = "postgres"
	// firstPause and lastPause are between two looks at something that is
	// waited for.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// Conn is a connection to a server. It is for one goroutine.
type Conn struct {
	*Server
	conn *pgx.Conn
	// version as server_version_num has it: 150018.
	version int
}

// Connect connects as soon as the server takes connections, for at most as long as
// timeout. The error wraps [ErrUnreachable] or [ErrRefused].
func (s *Server) Connect(ctx context.Context, timeout time.Duration) (*Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		conn, err := s.connect(ctx)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, ErrUnreachable) {
			return nil, err
		}
		if last == nil || ctx.Err() == nil {
			last = err // what a try says that was cut off is of no interest
		}
		if wait(ctx, pause) == nil {
			continue
		}
		if cause := context.Cause(ctx); !errors.Is(cause, errTimeout) {
			return nil, fmt.Errorf("connect to PostgreSQL at %s: %w", s.Address(), cause)
		}
		return nil, fmt.Errorf("connect to PostgreSQL at %s: it was waited for %s: %w", s.Address(), timeout, last)
	}
}

// errTimeout is the cause of a wait that took too long.
var errTimeout = errors.New("it took too long")

// wait waits, or returns why it cannot.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// connect tries once: the maintenance database, else the one of the URL.
func (s *Server) connect(ctx context.Context) (*Conn, error) {
	conn, err := s.dial(ctx, maintenance)
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == codeMissing || answer.Code == codePrivilege) && s.Database() != maintenance {
		conn, err = s.dial(ctx, s.Database())
	}
	if err != nil {
		return nil, s.explain(err)
	}
	c := &Conn{Server: s, conn: conn}
	if err := c.settle(ctx); err != nil {
		c.Close()
		return nil, s.explain(err)
	}
	return c, nil
}

func (s *Server) dial(ctx context.Context, database string) (*pgx.Conn, error) {
	config := s.config.Copy()
	config.Database = database
	config.ConnectTimeout = connectTimeout
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	if _, named := config.RuntimeParams["application_name"]; !named {
		config.RuntimeParams["application_name"] = "ecluse"
	}
	return pgx.ConnectConfig(ctx, config)
}

// settle makes the connection one that waits: what its user is used to be bounded
// by is not meant for copies. A server that is older knows less, and need not.
func (c *Conn) settle(ctx context.Context) error {
	if err := c.conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&c.version); err != nil {
		return err
	}
	for _, setting := range []string{
		"standard_conforming_strings = on", "statement_timeout = 0", "lock_timeout = 0", "idle_session_timeout = 0",
		// A copy ends soon after its client is gone.
		"client_connection_check_interval = '500ms'",
	} {
		var answer *pgconn.PgError
		if _, err := c.conn.Exec(ctx, "set "+setting); err != nil && !errors.As(err, &answer) {
			return err
		}
	}
	return nil
}

// Close ends the connection, and with it its locks.
func (c *Conn) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	_ = c.conn.Close(ctx) // nothing can be done about it, and the server notices
}

// explain says what an error of the server, or of the way to it, means. What the
// driver adds to it (every address that it tried, the user) is left out.
func (s *Server) explain(err error) error {
	var answer *pgconn.PgError
	var network *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		return s.answered(answer)
	case errors.As(err, &network):
		return fmt.Errorf("%w: %w", ErrUnreachable, network)
	default:
		return fmt.Errorf("%w: %w", ErrUnreachable, hide(err, s.base))
	}
}

// answered classifies what a server said.
func (s *Server) answered(answer *pgconn.PgError) error {
	var err error = answerError{answer}
	switch class := answer.Code[:min(2, len(answer.Code))]; {
	case answer.Code == codeMissing:
		return fmt.Errorf("%w: %w", ErrMissing, err)
	case answer.Code == codeThere || answer.Code == codeUnique:
		return fmt.Errorf("%w: %w", ErrThere, err)
	case answer.Code == codePrivilege:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case class == "28":
		return fmt.Errorf("%w: %w; see `url` in .ecluse.toml", ErrRefused, err)
	case answer.Code == codeStarting, answer.Code == codeShutdown, answer.Code == codeCrash, answer.Code == codeTooMany:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// answerError is what a server said, in one line.
type answerError struct{ *pgconn.PgError }

func (e answerError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.Code)
	}
	return fmt.Sprintf("%s (SQLSTATE %s): %s", e.Message, e.Code, e.Detail)
}

func (e answerError) Unwrap() error { return e.PgError }

// quote writes a name as SQL has it.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
