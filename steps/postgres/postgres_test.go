package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ecluse/steps/postgres/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// open connects to a server as the user of the tests.
func open(t *testing.T, s *postgrestest.Server) *Conn {
	t.Helper()
	server, err := Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c, err := server.Connect(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok, or fails the test.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]struct{ database, address, other string }{
		"postgres://app:pw@db.example:6000/app?sslmode=disable": {"app", "db.example:6000", "postgres://app:pw@db.example:6000/x%20%2Fy?sslmode=disable"},
		"postgresql://app@127.0.0.1/my%2Fapp":                   {"my/app", "127.0.0.1:5432", "postgresql://app@127.0.0.1/x%20%2Fy"},
		"postgres:///app?host=/run/pg":                          {"app", "/run/pg/.s.PGSQL.5432", "postgres:///x%20%2Fy?host=/run/pg"},
	} {
		server, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := server.Database(); got != want.database {
			t.Errorf("%s: database %s, want %s", text, got, want.database)
		}
		if got := server.Address(); got != want.address {
			t.Errorf("%s: address %s, want %s", text, got, want.address)
		}
		other, err := url.Parse(server.URL("x /y"))
		if err != nil || other.Path != "/x /y" {
			t.Errorf("%s: the other is %s, %v", text, server.URL("x /y"), err)
		}
	}
	for _, text := range []string{
		"", "mysql://a@b/c", "postgres://app:s3cr3t@host", "postgres://app:s3cr3t@host/", "postgres://app:s3cr3t@host:port/app",
		"postgres://app:s3cr3t@a:1,b:2/app", "postgres://app:s3cr3t%zz@host/app", "postgres://app:s3cr3t@host/app?sslmode=sometimes",
		"postgres://app:s3cr3t@host/app?dbname=other", "postgres://app:s3cr3t@host/" + strings.Repeat("x", 64), "host=s3cr3t",
		"postgres://app@host/app?password=s3cr3t&sslmode=sometimes", "postgres://app@host/app?sslmode=sometimes&pass%77ord=%733cr3t",
	} {
		_, err := Parse(text)
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRedacted(t *testing.T) {
	server, err := Parse("postgres://app:s3cr3t@h/app?sslmode=disable&password=s3cr3t&pass%66ile=/s3cr3t&sslpassword=s3cr3t&port=1")
	must(t, err)
	const want = "postgres://app:xxxxx@h/x?sslmode=disable&password=xxxxx&pass%66ile=xxxxx&sslpassword=xxxxx&port=1"
	if got := server.Redacted("x"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAmbient: what a URL leaves to the environment it says to its readers.
func TestAmbient(t *testing.T) {
	t.Setenv("PGHOST", "db.example")
	t.Setenv("PGPORT", "6000")
	t.Setenv("PGUSER", "me you")
	for text, want := range map[string]string{
		"postgres:///app": "postgres://me%20you@db.example:6000/x",
		"postgres://app:pw@h:5432/app?options=-c%20a%3Db":    "postgres://app:pw@h:5432/x?options=-c%20a%3Db",
		"postgres://app:pw@h/app?options=-c%20a%3Db":         "postgres://app:pw@h:6000/x?options=-c%20a%3Db",
		"postgres://:7000/app?host=/run/a%20b&user=u&a=b":    "postgres://:7000/x?host=/run/a%20b&user=u&a=b",
		"postgres:///app?host=/run/a%20b&user=u":             "postgres:///x?host=%2Frun%2Fa%20b&port=6000&user=u",
		"postgres://app@[::1]/app?port=5432&sslmode=disable": "postgres://app@[::1]/x?port=5432&sslmode=disable",
		"postgres://app@[::1]/app?sslmode=disable":           "postgres://app@[::1]:6000/x?sslmode=disable",
	} {
		server, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := server.URL("x"); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		again, err := Parse(server.URL("x"))
		if err != nil || again.Where() != server.Where() {
			t.Errorf("%s leads to %+v, not %+v, %v", text, again.Where(), server.Where(), err)
		}
		elsewhere := Where{Host: "other", Port: 1234, User: "u2"}
		if again, err = server.At(elsewhere); err != nil || again.Where() != elsewhere {
			t.Errorf("%s: %v, %v", text, again, err)
		}
	}
	t.Setenv("PGHOST", "a,b")
	if _, err := Parse("postgres:///app"); err == nil {
		t.Error("several hosts are taken")
	}
}

func TestFit(t *testing.T) {
	long := strings.Repeat("ä", 40)
	one, two := Fit(long+"1", 63), Fit(long+"2", 63)
	if Fit("short", 63) != "short" || one == two || len(one) > 63 || !strings.HasPrefix(one, strings.Repeat("ä", 27)+"_") || one != Fit(long+"1", 63) {
		t.Errorf("got %s and %s", one, two)
	}
}

func TestLifeOfADatabase(t *testing.T) {
	s := postgrestest.Start(t)
	c := open(t, s)
	ctx := t.Context()
	name := `we"ird na\me'`
	if _, there, err := c.Look(ctx, name); there || err != nil {
		t.Fatalf("before: %t, %v", there, err)
	}
	must(t, c.Drop(ctx, name))
	must(t, c.Create(ctx, name, "", time.Minute, nil))
	if err := c.Create(ctx, name, "", time.Minute, nil); !errors.Is(err, ErrThere) {
		t.Errorf("created twice: %v", err)
	}
	must(t, c.Comment(ctx, name, `it's "\' mine`))
	info, there, err := c.Look(ctx, name)
	if !there || err != nil || info.Comment != `it's "\' mine` || info.Template || info.Closed {
		t.Errorf("got %+v, %t, %v", info, there, err)
	}
	s.Exec(name, "create table t as select 7 as n")
	must(t, c.Create(ctx, "copy", name, time.Minute, nil))
	if have := s.Query("copy", "select n::text from t"); !slices.Equal(have, []string{"7"}) {
		t.Errorf("the copy has %v", have)
	}
	if err := c.Create(ctx, "copy2", "nobody", time.Minute, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("a copy of nothing: %v", err)
	}
	client := s.Client("copy")
	must(t, c.Drop(ctx, "copy"))
	if client.Ping(ctx) == nil {
		t.Error("a client is still connected to what was dropped")
	}
	must(t, c.Drop(ctx, name))
	if have := s.Databases(); len(have) > 0 {
		t.Errorf("left: %v", have)
	}
}

func TestBusyTemplate(t *testing.T) {
	s := postgrestest.Start(t)
	c := open(t, s)
	s.Exec("postgres", "create database theirs owner app")
	client := s.Client("theirs")
	_, err := client.Exec(t.Context(), "set application_name = 'designer'")
	must(t, err)
	err = c.Create(t.Context(), "copy", "theirs", time.Millisecond, nil)
	var busy *BusyError
	if !errors.As(err, &busy) || len(busy.Users) != 1 || busy.Users[0].Application != "designer" || busy.Users[0].Name != "app" ||
		busy.Users[0].PID != int(client.PgConn().PID()) || busy.Users[0].Address != "127.0.0.1" {
		t.Fatalf("got %v", err)
	}
	if err := client.Ping(t.Context()); err != nil {
		t.Errorf("their connection was ended: %v", err)
	}
	waited := false
	must(t, c.Create(t.Context(), "copy", "theirs", time.Minute, func(users []User) {
		waited = true
		_ = client.Close(context.Background())
	}))
	if !waited || !slices.Contains(s.Databases(), "copy") {
		t.Errorf("waited: %t, there is %v", waited, s.Databases())
	}
}

func TestUnreachable(t *testing.T) {
	s := postgrestest.Start(t)
	server, err := Parse(s.URL())
	must(t, err)
	wrong, err := Parse(strings.Replace(s.URL(), "app:s3cr3t", "app:s3cr3twrong", 1))
	must(t, err)
	begun := time.Now()
	if _, err := wrong.Connect(t.Context(), 5*time.Minute); !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "s3cr3t") || time.Since(begun) > time.Minute {
		t.Errorf("a wrong password: %v after %s", err, time.Since(begun))
	}
	s.Stop()
	begun = time.Now()
	_, err = server.Connect(t.Context(), 300*time.Millisecond)
	if took := time.Since(begun); !errors.Is(err, ErrUnreachable) || took < 300*time.Millisecond || took > time.Minute {
		t.Errorf("no server: %v after %s", err, took)
	}
	if text := fmt.Sprint(err); !strings.Contains(text, server.Address()) || strings.Contains(text, "s3cr3t") {
		t.Errorf("it says %s", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := server.Connect(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestLockOutlivesClient: what a client had begun that was killed is over when its
// lock is to be had.
func TestLockOutlivesClient(t *testing.T) {
	s := postgrestest.Start(t)
	// The server may see it in the moment in which the client dies, and on a machine that
	// stands still before we look.
	waited := false
	for try := 0; !waited && try < 10; try++ {
		waited = waitsForTheDead(t, s)
	}
	if !waited {
		t.Error("the lock was free while the server was at work for the dead client")
	}
}

// waitsForTheDead reports whether there was a wait for the lock of a client that died.
func waitsForTheDead(t *testing.T, s *postgrestest.Server) (waited bool) {
	t.Helper()
	first, second := open(t, s), open(t, s)
	must(t, first.Lock(t.Context(), "x", nil))
	if ok, err := second.TryLock(t.Context(), "x"); ok || err != nil {
		t.Fatalf("locked twice: %t, %v", ok, err)
	}
	if ok, err := second.TryLock(t.Context(), "y"); !ok || err != nil {
		t.Fatalf("another name: %t, %v", ok, err)
	}
	// By hand: the driver would ask the server to stop, for which a client that is
	// killed has no time.
	raw, err := first.conn.PgConn().Hijack()
	must(t, err)
	raw.Frontend.Send(&pgproto3.Query{String: "select pg_sleep(600)"})
	must(t, raw.Frontend.Flush())
	eventually(t, "the query runs", func() bool {
		return len(s.Query("postgres", "select query from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active' and pid <> pg_backend_pid()")) == 1
	})
	must(t, raw.Conn.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must(t, second.Lock(ctx, "x", func() { waited = true }))
	must(t, second.Unlock(ctx, "x"))
	return waited
}
