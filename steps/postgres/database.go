package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Info is what is known of a database.
type Info struct {
	Name string
	// Comment is what COMMENT ON DATABASE said, or nothing.
	Comment string
	// Template: everybody may copy it. Closed: nobody may connect to it.
	Template, Closed bool
}

const infoQuery = `select d.datname, coalesce(shobj_description(d.oid, 'pg_database'), ''), d.datistemplate, not d.datallowconn
	from pg_database d where `

// Look looks for a database.
func (c *Conn) Look(ctx context.Context, name string) (info Info, there bool, err error) {
	err = c.conn.QueryRow(ctx, infoQuery+"d.datname = $1", name).Scan(&info.Name, &info.Comment, &info.Template, &info.Closed)
	if errors.Is(err, pgx.ErrNoRows) {
		return info, false, nil
	}
	return info, err == nil, c.failed(ctx, "look for database "+name, err)
}

// List lists the databases whose names begin with a prefix.
func (c *Conn) List(ctx context.Context, prefix string) ([]Info, error) {
	rows, err := c.conn.Query(ctx, infoQuery+"left(d.datname::text, length($1)) = $1 order by 1", prefix)
	if err != nil {
		return nil, c.failed(ctx, "list databases", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Info])
	return list, c.failed(ctx, "list databases", err)
}

// Lock takes the lock on a name, which [Conn.Unlock] or the end of the connection
// gives back. It waits as long as somebody else has it, and calls waiting then.
func (c *Conn) Lock(ctx context.Context, name string, waiting func()) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		ok, err := c.TryLock(ctx, name)
		if ok || err != nil {
			return err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		// Polled, since a query that waits for hours holds up the vacuum of
		// every database.
		if err := wait(ctx, pause); err != nil {
			return fmt.Errorf("wait for whoever is at work on database %s: %w", name, err)
		}
	}
}

// TryLock is Lock for those who do not wait.
func (c *Conn) TryLock(ctx context.Context, name string) (ok bool, err error) {
	err = c.conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", lockKey(name)).Scan(&ok)
	return ok, c.failed(ctx, "lock database "+name, err)
}

// Unlock gives a lock back.
func (c *Conn) Unlock(ctx context.Context, name string) error {
	_, err := c.conn.Exec(ctx, "select pg_advisory_unlock($1)", lockKey(name))
	return c.failed(ctx, "unlock database "+name, err)
}

// lockKey is a name as the server's locks have it.
func lockKey(name string) int64 {
	sum := sha256.Sum256([]byte("ecluse database " + name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// Comment says something of a database.
func (c *Conn) Comment(ctx context.Context, name, text string) error {
	// The statement takes no parameters. A backslash is a backslash, see settle.
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	return c.exec(ctx, "label database "+name, "comment on database "+quote(name)+" is "+quoted)
}

// Create creates a database, as a copy of template or, if that is empty, an empty
// one. While others are connected to the template it waits, for at most as long as
// timeout, and calls waiting with who they are. The error wraps [ErrThere],
// [ErrMissing] if there is no template, [ErrRefused], or is a *[BusyError].
func (c *Conn) Create(ctx context.Context, name, template string, timeout time.Duration, waiting func([]User)) error {
	statement, source, what := "create database "+quote(name), "template1", "create database "+name
	if template != "" {
		statement, source = statement+" template "+quote(template), template
		what += " as a copy of " + template
	}
	until := time.Now().Add(timeout)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		_, err := c.conn.Exec(ctx, statement)
		var answer *pgconn.PgError
		switch {
		case !errors.As(err, &answer):
			return c.failed(ctx, what, err)
		case answer.Code == codePrivilege:
			return fmt.Errorf("%w; a superuser can say: ALTER ROLE %s CREATEDB, or ALTER DATABASE %s IS_TEMPLATE true",
				c.failed(ctx, what, err), quote(c.config.User), quote(source))
		case answer.Code != codeInUse:
			return c.failed(ctx, what, err)
		}
		users, err := c.Users(ctx, source)
		if err != nil {
			return err
		}
		if time.Now().After(until) {
			return &BusyError{Doing: what, Database: source, Address: c.Address(), After: timeout, Users: users}
		}
		if waiting != nil && len(users) > 0 {
			waiting(users)
			waiting = nil
		}
		if err := wait(ctx, pause); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// Rename renames a database and ends the connections to it before.
func (c *Conn) Rename(ctx context.Context, from, to string) error {
	if err := c.disconnect(ctx, from); err != nil {
		return err
	}
	return c.exec(ctx, "rename database "+from, "alter database "+quote(from)+" rename to "+quote(to))
}

// Drop drops a database if it is there, whoever is connected to it, and looks
// whether it is gone.
func (c *Conn) Drop(ctx context.Context, name string) error {
	info, there, err := c.Look(ctx, name)
	if err != nil || !there {
		return err
	}
	what := "drop database " + name
	if info.Template {
		if err := c.exec(ctx, what, "alter database "+quote(name)+" is_template false"); err != nil {
			return err
		}
	}
	statement := "drop database if exists " + quote(name)
	if c.version >= 130000 {
		statement += " with (force)"
	} else if err := c.disconnect(ctx, name); err != nil {
		return err
	}
	if err := c.exec(ctx, what, statement); err != nil {
		return err
	}
	if _, there, err = c.Look(ctx, name); err == nil && there {
		err = fmt.Errorf("%s: it is still there", what)
	}
	return err
}

// disconnect ends the connections to a database.
func (c *Conn) disconnect(ctx context.Context, name string) error {
	return c.exec(ctx, "end the connections to database "+name,
		"select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()", name)
}

// exec executes a statement.
func (c *Conn) exec(ctx context.Context, what, statement string, args ...any) error {
	_, err := c.conn.Exec(ctx, statement, args...)
	return c.failed(ctx, what, err)
}

// failed says what was being done.
func (c *Conn) failed(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s at %s: %w", what, c.Address(), context.Cause(ctx))
	}
	return fmt.Errorf("%s at %s: %w", what, c.Address(), c.explain(err))
}
