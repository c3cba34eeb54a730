package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/plain"
	"ecluse/steps/postgres"
	"ecluse/steps/postgres/postgrestest"
	"ecluse/steps/settings"
)

// until polls until ok, or fails the test.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}

// cutOff begins an attempt and cancels it as soon as something happens.
func (r *rig) cutOff(t *testing.T, j *journal, what string, happens func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.attempt(ctx, j, false) }()
	until(t, what, happens)
	cancel()
	if err := <-ended; err == nil {
		t.Fatalf("it was cancelled when %s, and succeeded", what)
	}
}

func TestDatabaseCutOffInTheMiddleOfACopy(t *testing.T) {
	server := postgrestest.Start(t)
	server.Exec("postgres", "create database golden owner app")
	server.Exec("golden", "set role app; create table t as select 'golden' as v; create table bulk as select repeat('x', 900) as v from generate_series(1, 150000)")
	copying := func() bool {
		return len(server.Query("postgres", "select query from pg_stat_activity where state = 'active' and query ilike 'create database%'")) > 0
	}
	r := newDatabaseRig(t, server, func(d *settings.Database) { d.Template = "golden" })
	var j journal
	for range 3 {
		r.cutOff(t, &j, "the server copies", copying)
		r.undo(t, &j)
		if have := server.Databases(); !slices.Equal(have, []string{"golden"}) || copying() {
			t.Errorf("there is %v, copying: %t", have, copying())
		}
	}
	r.cutOff(t, &j, "the server copies", copying)
	r.do(t, &j)
	r.holds(t, server, "golden")
	if err := r.verify(t, &j); err != nil {
		t.Error(err)
	}
	r.undo(t, &j)
}

func TestDatabaseCutOffInTheMiddleOfAMigration(t *testing.T) {
	for name, change := range map[string]func(*settings.Database){
		"of its own":    func(*settings.Database) {},
		"of a template": func(d *settings.Database) { d.Template, d.Inputs = "golden", config.Strings{"schema.sql"} },
	} {
		t.Run(name, func(t *testing.T) {
			server := postgrestest.Start(t)
			// The first one hangs in a query, after half of its work.
			r := newDatabaseRig(t, server, func(d *settings.Database) {
				d.Migrate = hookOf(migration + ` && if mkdir "$ECLUSE_ROOT/hung"; then psql -X "$DATABASE_URL" -c 'select pg_sleep(1000)'; fi`)
				change(d)
			})
			var j journal
			hangs := func() bool {
				return len(server.Query("postgres", "select query from pg_stat_activity where state = 'active' and query ilike '%pg_sleep(1000)' and pid <> pg_backend_pid()")) > 0
			}
			r.cutOff(t, &j, "the migration hangs", hangs)
			if err := r.verify(t, &j); err == nil {
				t.Error("a database that was half migrated is taken for whole")
			}
			r.do(t, &j)
			r.holds(t, server, "one")
			if hangs() {
				t.Error("the query of the first attempt still runs")
			}
			r.undo(t, &j)
			for _, left := range server.Databases() {
				if !strings.HasPrefix(left, "golden_") || strings.Contains(left, "making") {
					t.Errorf("left: %s", left)
				}
			}
		})
	}
}

func TestDatabaseOfSomebodyElse(t *testing.T) {
	server := postgrestest.Start(t)
	r := newDatabaseRig(t, server, nil)
	name := r.database(t)
	stranger := r.step().label()
	stranger.Ready, stranger.Session = true, "another"
	elsewhere := stranger
	elsewhere.Host, elsewhere.Kept = "elsewhere", true
	for what, comment := range map[string]string{"no label": "", "another's session": stranger.String(), "another machine's": elsewhere.String(), "a text": "the accounts"} {
		server.Exec("postgres", fmt.Sprintf("create database %s owner app", name))
		server.Exec(name, "create table precious()")
		server.Exec("postgres", fmt.Sprintf("comment on database %s is '%s'", name, comment))
		var j journal
		err := r.attempt(t.Context(), &j, false)
		if !saga.IsPermanent(err) || strings.Contains(fmt.Sprint(err), "s3cr3t") {
			t.Errorf("%s: %v", what, err)
		}
		r.undo(t, &j)
		if have := server.Query(name, "select relname::text from pg_class where relname = 'precious'"); len(have) != 1 {
			t.Errorf("%s: it is not theirs any more", what)
		}
		server.Exec("postgres", "drop database "+name)
	}
}

func TestDatabaseThatIsKept(t *testing.T) {
	server := postgrestest.Start(t)
	r := newDatabaseRig(t, server, func(d *settings.Database) { d.Migrate = hookOf(migration) })
	name := r.database(t)
	var j journal
	r.do(t, &j)
	server.Exec(name, "set role app; insert into t values ('mine')")
	r.s.Run.Options.KeepVolumes = true
	r.undo(t, &j)
	r.holds(t, server, "mine", "one")
	// A later session of the slug has it, also if its up turns back.
	r.s.ID, r.s.Run = "later", session.Run{ID: "run-later", Verb: session.VerbUp}
	for range 2 {
		j = journal{}
		r.do(t, &j)
		r.holds(t, server, "mine", "one")
		if err := r.verify(t, &j); err != nil {
			t.Error(err)
		}
		if err := r.attempt(t.Context(), &j, true); err != nil {
			t.Error(err)
		}
		r.holds(t, server, "mine", "one")
		r.s.ID = "latest"
	}
	j = journal{}
	r.do(t, &j)
	r.undo(t, &j)
	if have := server.Databases(); len(have) > 0 {
		t.Errorf("left: %v", have)
	}
	// What is half made is no data.
	r.cutOff(t, &j, "there is a database", func() bool { return len(server.Databases()) > 0 })
	r.s.Run.Options.KeepVolumes = true
	r.undo(t, &j)
	if have := server.Databases(); len(have) > 0 {
		t.Errorf("left: %v", have)
	}
}

// TestDatabaseThatWasMadeAnew: a user who restores a dump into the session's database
// must not lose it to a repair.
func TestDatabaseThatWasMadeAnew(t *testing.T) {
	server := postgrestest.Start(t)
	r := newDatabaseRig(t, server, nil)
	name := r.database(t)
	var j journal
	r.do(t, &j)
	server.Exec("postgres", "drop database "+name)
	server.Exec("postgres", fmt.Sprintf("create database %s owner app", name))
	server.Exec(name, "create table t as select 'restored' as v")
	r.do(t, &j)
	r.holds(t, server, "restored")
	if err := r.verify(t, &j); err != nil {
		t.Error(err)
	}
	r.undo(t, &j)
	if have := server.Databases(); len(have) > 0 {
		t.Errorf("left: %v", have)
	}
}

func TestDatabaseOfAServerThatIsGone(t *testing.T) {
	server := postgrestest.Start(t)
	r := newDatabaseRig(t, server, nil)
	var j journal
	r.do(t, &j)
	server.Stop()
	short := config.Duration(300 * time.Millisecond) // only from here on: it was there until now
	r.cfg.Databases[0].Timeout = &short
	encoded, err := settings.Encode(r.cfg)
	ok(t, err)
	r.s.Settings = encoded
	if err := r.verify(t, &j); !errors.Is(err, postgres.ErrUnreachable) {
		t.Errorf("Verify: %v", err)
	}
	if err := r.attempt(t.Context(), &journal{}, false); !errors.Is(err, postgres.ErrUnreachable) || saga.IsPermanent(err) || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("Do: %v", err)
	}
	r.s.Run.Verb = session.VerbDown
	err = r.attempt(t.Context(), &j, true)
	if !errors.Is(err, postgres.ErrUnreachable) || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), fmt.Sprint(server.Port)) {
		t.Errorf("Compensate: %v", err)
	}
	// The data of the session's own server goes with its volumes.
	r.s.Ports = map[string]int{"postgres": server.Port}
	if err := r.attempt(t.Context(), &j, true); err != nil {
		t.Errorf("Compensate: %v", err)
	}
}

func TestDatabaseInputsAreFilesOfTheWorktree(t *testing.T) {
	r := newDatabaseRig(t, postgrestest.Shared(t), func(d *settings.Database) {
		d.Template, d.Migrate, d.Inputs = "golden", hookOf("true"), config.Strings{"m/*.sql", "pipe", "link", "schema.sql"}
	})
	state := func() string {
		t.Helper()
		text, err := r.step().state(t.Context(), (&journal{}).attempt("x"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	in := func(name string) string { return filepath.Join(r.s.Worktree, name) }
	first := state()
	r.put(t, in("other"), "x")
	if state() != first {
		t.Error("what is no input counts")
	}
	r.git(t, r.s.Worktree, "config", "x.y", "z")
	seen := map[string]bool{first: true}
	for _, change := range []string{"mkdir m && echo 1 > m/1.sql", "echo 2 > m/1.sql", "mv m/1.sql m/2.sql", "ln -s nowhere link", "ln -sfn m link", "echo more >> schema.sql"} {
		shell(t, r.s.Worktree, change)
		if now := state(); seen[now] {
			t.Errorf("%s changes nothing", change)
		} else {
			seen[now] = true
		}
	}
	shell(t, r.s.Worktree, "mkfifo pipe")
	if _, err := r.step().state(t.Context(), (&journal{}).attempt("x")); !errors.Is(err, plain.ErrNotPlain) {
		t.Errorf("a pipe: %v", err)
	}
}
