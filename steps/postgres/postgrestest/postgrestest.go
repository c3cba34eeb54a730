// Package postgrestest lets tests use a real PostgreSQL server of their own, which
// nothing is left of. It takes the programs of the server from where Debian has them,
// or from the PATH.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnvRequire is the variable that makes a missing server a failure: "require".
const EnvRequire = "ECLUSE_TEST_POSTGRES"

// Password is that of the user app, who owns the database app and may create
// databases.
const Password = "s3cr3t&wörd"

// Server is a server that runs.
type Server struct {
	// Port is where it listens, on 127.0.0.1.
	Port int
	t    testing.TB
	cmd  *exec.Cmd
	dir  string
	// release lets the thread go that the server ends with.
	release chan struct{}
}

// URL is that of the database app, as the user app.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://app:s3cr3t%%26w%%C3%%B6rd@127.0.0.1:%d/app?sslmode=disable", s.Port)
}

// Of is the URL of another database.
func (s *Server) Of(database string) string {
	return strings.Replace(s.URL(), "/app?", "/"+database+"?", 1)
}

// Start starts a server, which ends with the test. Without the programs the test is
// skipped, or fails if they are required.
func Start(t testing.TB) *Server {
	t.Helper()
	bin := require(t)
	s, err := start(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.t = t
	return s
}

// Shared is one server for all tests of a package, whose TestMain calls [Main].
func Shared(t testing.TB) *Server {
	t.Helper()
	bin := require(t)
	mu.Lock()
	defer mu.Unlock()
	if shared == nil {
		s, err := start(bin)
		if err != nil {
			t.Fatal(err)
		}
		shared = s
	}
	return &Server{Port: shared.Port, t: t}
}

var (
	mu     sync.Mutex
	shared *Server
)

// Main runs the tests of a package and stops the shared server.
func Main(m *testing.M) (status int) {
	defer func() {
		if shared != nil {
			shared.Stop()
		}
	}()
	return m.Run()
}

func require(t testing.TB) string {
	t.Helper()
	bin, err := programs()
	if err != nil {
		if Required() {
			t.Fatalf("PostgreSQL is required here: %v", err)
		}
		t.Skipf("no PostgreSQL here: %v", err)
	}
	return bin
}

// Required reports whether a missing server is a failure.
func Required() bool { return os.Getenv(EnvRequire) == "require" }

// Available reports whether there are the programs of a server.
func Available() bool {
	_, err := programs()
	return err == nil
}

// New starts a server that the caller stops, and of which only the URLs can be used.
func New() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	return start(bin)
}

// start makes the files of a server and starts it.
func start(bin string) (s *Server, err error) {
	// Not t.TempDir: another user must get to it.
	dir, err := os.MkdirTemp("", "ecluse-postgres-")
	if err != nil {
		return nil, err
	}
	s = &Server{dir: dir}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	who, err := account(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C", "TZ=UTC")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
		return cmd
	}
	if out, err := run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	rules := "local all all trust\nhost all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(rules), 0o644); err != nil {
		return nil, err
	}
	for range portTries {
		if s.Port, err = free(); err != nil {
			return nil, err
		}
		err = s.launch(run("postgres", "-D", data, "-p", strconv.Itoa(s.Port), "-c", "listen_addresses=127.0.0.1",
			"-c", "unix_socket_directories="+dir, "-c", "fsync=off", "-c", "max_connections=60", "-c", "autovacuum=off"))
		if !errors.Is(err, errTaken) {
			break
		}
		s.end()
	}
	return s, err
}

// portTries bounds how often a port is chosen: on a busy machine somebody may take it
// before the server does.
const portTries = 5

var errTaken = errors.New("somebody has taken the port")

// free is a port that is free.
func free() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// launch starts the server, waits until it answers, and makes the user and the
// database of the tests.
func (s *Server) launch(cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	started := make(chan error)
	s.release = make(chan struct{})
	go hold(cmd, started, s.release)
	if err := <-started; err != nil {
		return err
	}
	s.cmd = cmd
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := try(s.admin("postgres"))
		if text, _ := os.ReadFile(log.Name()); strings.Contains(string(text), "could not bind") {
			return fmt.Errorf("%w: %s", errTaken, text)
		}
		if err == nil {
			defer conn.Close(context.Background())
			if _, err = conn.Exec(context.Background(), fmt.Sprintf("create role app login createdb password '%s'", Password)); err == nil {
				_, err = conn.Exec(context.Background(), "create database app owner app")
			}
			return err
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the server does not answer: %w\n%s", err, text)
		}
	}
}

// try connects, unless who is there is no server of ours and says nothing.
func try(address string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return pgx.Connect(ctx, address)
}

// hold starts a program that ends with the thread that started it, and keeps that
// thread.
func hold(cmd *exec.Cmd, started chan<- error, release <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	started <- cmd.Start()
	<-release
}

// Stop stops the server, if it still runs, and removes its files.
func (s *Server) Stop() {
	s.end()
	_ = os.RemoveAll(s.dir)
}

// end ends the server.
func (s *Server) end() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait()
		close(s.release)
		s.cmd = nil
	}
}

func (s *Server) admin(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.Port, url.PathEscape(database))
}

// Connect connects as the superuser; the connection ends with the test.
func (s *Server) Connect(database string) *pgx.Conn {
	s.t.Helper()
	return s.connect(s.admin(database))
}

// Client connects as the user app; the connection ends with the test.
func (s *Server) Client(database string) *pgx.Conn {
	s.t.Helper()
	return s.connect(s.Of(database))
}

func (s *Server) connect(address string) *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec executes a statement as the superuser.
func (s *Server) Exec(database, statement string) {
	s.t.Helper()
	conn := s.Connect(database)
	defer s.leave(conn)
	if _, err := conn.Exec(context.Background(), statement); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// Query is the first column of what a query returns, as text.
func (s *Server) Query(database, query string) []string {
	s.t.Helper()
	conn := s.Connect(database)
	defer s.leave(conn)
	rows, err := conn.Query(context.Background(), query)
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return list
}

// leave ends a connection and waits until the server knows: nobody but a superuser
// can drop a database that one is connected to.
func (s *Server) leave(conn *pgx.Conn) {
	s.t.Helper()
	pid := conn.PgConn().PID()
	_ = conn.Close(context.Background())
	other := s.Connect("postgres")
	defer other.Close(context.Background())
	for there, deadline := true, time.Now().Add(time.Minute); there; {
		err := other.QueryRow(context.Background(), "select exists(select from pg_stat_activity where pid = $1)", pid).Scan(&there)
		if err != nil || time.Now().After(deadline) {
			s.t.Fatalf("server process %d does not end: %v", pid, err)
		}
	}
}

// Databases lists the databases that were made since the server was started.
func (s *Server) Databases() []string {
	s.t.Helper()
	return s.Query("postgres", "select datname::text from pg_database where datname not in ('postgres', 'template0', 'template1', 'app') order by 1")
}

// programs is the folder of the server's programs.
var programs = sync.OnceValues(func() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("postgres"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return "", fmt.Errorf("there is no program postgres; install the package postgresql")
	}
	return filepath.Dir(found[0]), nil
})

// version is the number in Debian's path.
func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

// account is who the server runs as: it refuses to be root.
func account(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}
