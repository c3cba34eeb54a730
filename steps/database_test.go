package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecluse/saga"
	"ecluse/steps/config"
	"ecluse/steps/postgres"
	"ecluse/steps/postgres/postgrestest"
	"ecluse/steps/settings"
)

func TestDatabaseOfAUsersTemplate(t *testing.T) {
	server := postgrestest.Start(t)
	server.Exec("postgres", "create database golden owner app")
	server.Exec("golden", "set role app; create table t as select 'golden' as v")
	first := newDatabaseRig(t, server, func(d *settings.Database) { d.Template = "golden" })
	second := first.other(t, "second")
	var j1, j2 journal
	first.do(t, &j1)
	second.do(t, &j2)
	server.Exec(first.database(t), "insert into t values ('mine')")
	first.holds(t, server, "golden", "mine")
	second.holds(t, server, "golden")
	client := server.Client(first.database(t))
	first.undo(t, &j1)
	second.undo(t, &j2)
	if have := server.Databases(); !slices.Equal(have, []string{"golden"}) || client.Ping(t.Context()) == nil {
		t.Errorf("left: %v", have)
	}
	missing := newDatabaseRig(t, server, func(d *settings.Database) { d.Template = "nobody" })
	if err := missing.attempt(t.Context(), &journal{}, false); !saga.IsPermanent(err) || !errors.Is(err, postgres.ErrMissing) {
		t.Errorf("a template that is missing: %v", err)
	}
}

func TestDatabaseTemplateIsMadeOnce(t *testing.T) {
	server := postgrestest.Start(t)
	first := newDatabaseRig(t, server, func(d *settings.Database) {
		d.Template, d.Migrate, d.Inputs = "golden", hookOf(`echo run >> "$ECLUSE_ROOT/ran"; sleep 0.3; `+migration), config.Strings{"schema.sql", "migrations"}
	})
	runs := func() int {
		text, _ := os.ReadFile(filepath.Join(first.s.Root, "ran"))
		return strings.Count(string(text), "run")
	}
	rigs, journals := []*rig{first}, make([]journal, 8)
	for i := 1; i < 8; i++ {
		rigs = append(rigs, first.other(t, fmt.Sprintf("s%d", i)))
	}
	var all sync.WaitGroup
	for i, r := range rigs {
		all.Go(func() {
			if err := r.attempt(t.Context(), &journals[i], false); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if runs() != 1 {
		t.Errorf("8 sessions migrated %d times", runs())
	}
	for i, r := range rigs {
		r.holds(t, server, "one")
		r.undo(t, &journals[i])
	}
	if have := server.Databases(); len(have) != 1 || !strings.HasPrefix(have[0], "golden_") {
		t.Errorf("there is %v, want one template", have)
	}
	// What is no input changes nothing; what is one does.
	again := func(slug string, want int, files map[string]string) {
		t.Helper()
		r, j := first.other(t, slug), journal{}
		for name, text := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(r.s.Worktree, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			r.put(t, filepath.Join(r.s.Worktree, name), text)
		}
		r.do(t, &j)
		if runs() != want {
			t.Errorf("%s: migrated %d times, want %d", slug, runs(), want)
		}
		r.undo(t, &j)
	}
	again("unrelated", 1, map[string]string{"notes": "x"})
	again("schema", 2, map[string]string{"schema.sql": "create table t as select 'two' as v;\n"})
	again("added", 3, map[string]string{"migrations/a/1.sql": "x"})
	again("back", 3, nil)
	again("renamed", 4, map[string]string{"migrations/a/2.sql": "x"})
}

func TestDatabaseOfABusyTemplate(t *testing.T) {
	server := postgrestest.Start(t)
	server.Exec("postgres", "create database golden owner app")
	client := server.Client("golden")
	if _, err := client.Exec(t.Context(), "set application_name = 'designer'"); err != nil {
		t.Fatal(err)
	}
	short := config.Duration(time.Second)
	r := newDatabaseRig(t, server, func(d *settings.Database) { d.Template, d.Timeout = "golden", &short })
	var j journal
	var busy *postgres.BusyError
	if err := r.attempt(t.Context(), &j, false); !errors.As(err, &busy) || len(busy.Users) != 1 || busy.Users[0].Application != "designer" {
		t.Fatalf("got %v", err)
	}
	if err := client.Ping(t.Context()); err != nil {
		t.Errorf("their connection was ended: %v", err)
	}
	r.undo(t, &j)
	long := config.Duration(time.Minute)
	r = newDatabaseRig(t, server, func(d *settings.Database) { d.Template, d.Timeout = "golden", &long })
	var left atomic.Bool
	time.AfterFunc(time.Second, func() {
		left.Store(true)
		_ = client.Close(context.Background())
	})
	r.do(t, &journal{})
	if !left.Load() {
		t.Error("it was copied while somebody was connected to it")
	}
}
