package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ecluse/saga"
	"ecluse/saga/sagatest"
	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/postgres/postgrestest"
	"ecluse/steps/settings"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// migration creates what the file schema.sql of the worktree says.
const migration = `psql -q -X -v ON_ERROR_STOP=1 "$DATABASE_URL" -f schema.sql`

// databaseFixtures try all ways in which a database begins.
var databaseFixtures = []sagatest.Fixture{
	{Name: "database that is migrated", New: func(t *testing.T) sagatest.Trial {
		return newDatabaseTrial(t, func(d *settings.Database) { d.Migrate = hookOf(migration) })
	}},
	{Name: "database of a template that is made", New: func(t *testing.T) sagatest.Trial {
		return newDatabaseTrial(t, func(d *settings.Database) {
			d.Template, d.Migrate, d.Inputs = "made", hookOf(migration), config.Strings{"schema.sql"}
		})
	}},
}

func newDatabaseTrial(t *testing.T, change func(*settings.Database)) sagatest.Trial {
	server := postgrestest.Shared(t)
	r := newDatabaseRig(t, server, change)
	name := r.database(t)
	trial := r.trial(t, "database:main", func() error {
		if !slices.Contains(server.Databases(), name) {
			return errors.New("there is no database")
		}
		if rows := server.Query(name, "select v from t"); !slices.Equal(rows, []string{"one"}) {
			return fmt.Errorf("it holds %v", rows)
		}
		return nil
	}, func() error {
		for _, have := range server.Databases() {
			if have == name || strings.Contains(have, "_making_") {
				return fmt.Errorf("there is %s", have)
			}
		}
		return nil
	})
	trial.State = func() string {
		return fmt.Sprint(server.Query("postgres", "select datname || ' ' || coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname like 'app%' order by 1"))
	}
	exec := func(format string) func() error {
		return func() error { server.Exec("postgres", fmt.Sprintf(format, name)); return nil }
	}
	half := r.step().label().String()
	trial.Damage = map[string]func() error{
		"dropped":    exec("drop database %s"),
		"label gone": exec("comment on database %s is null"),
		"half made":  exec("comment on database %s is '" + half + "'"),
	}
	return trial
}

// newDatabaseRig is a session with a database main on a server.
func newDatabaseRig(t *testing.T, server *postgrestest.Server, change func(*settings.Database)) *rig {
	t.Helper()
	r := newRig(t, func(c *settings.Config) {
		d := settings.Database{Name: "main", Engine: "postgres", URL: server.URL()}
		if change != nil {
			change(&d)
		}
		c.Databases = []settings.Database{d}
	})
	r.put(t, filepath.Join(r.s.Root, "schema.sql"), "create table t as select 'one' as v;\n")
	r.git(t, r.s.Root, "add", "-A")
	r.git(t, r.s.Root, "commit", "-q", "-m", "schema")
	r.addWorktree(t)
	return r
}

// other is another session of the repository.
func (r *rig) other(t *testing.T, slug string) *rig {
	t.Helper()
	other := *r
	other.s.Slug, other.s.ID, other.s.Branch = slug, "id-"+slug, slug
	other.s.Worktree = filepath.Join(filepath.Dir(r.s.Worktree), slug)
	other.s.Run = session.Run{ID: "run-" + slug, Verb: session.VerbUp}
	other.home = testHome(filepath.Join(string(r.home), slug))
	other.kit = Kit{Home: other.home}
	other.addWorktree(t)
	return &other
}

// step is the step that makes the database.
func (r *rig) step() database { return database{&Target{Handle: r, Config: r.cfg}, r.cfg.Databases[0]} }

// database is the name of the session's database.
func (r *rig) database(t *testing.T) string {
	t.Helper()
	server, err := r.step().server(databaseFact{})
	if err != nil {
		t.Fatal(err)
	}
	return r.step().name(server)
}

// journal keeps the facts of a step and what it reported.
type journal struct {
	sync.Mutex
	facts map[string]json.RawMessage
}

// attempt is one that reads and writes the journal's facts.
func (j *journal) attempt(step string) *saga.Attempt {
	j.Lock()
	defer j.Unlock()
	facts := map[string]json.RawMessage{}
	for key, text := range j.facts {
		facts[key] = text
	}
	return saga.NewAttempt(step, facts, func(key string, data json.RawMessage) error {
		j.Lock()
		defer j.Unlock()
		next := maps.Clone(j.facts)
		if next == nil {
			next = map[string]json.RawMessage{}
		}
		next[key] = data
		j.facts = next
		return nil
	})
}

// attempt is one attempt of the database's step, with what surrounds it.
func (r *rig) attempt(ctx context.Context, j *journal, compensate bool) error {
	spec := r.s.Plan.Steps[r.s.Plan.Index("database:main")]
	a := j.attempt(spec.Name)
	a.Compensating = compensate
	step, err := r.kit.Build(r, spec)
	if err != nil {
		return err
	}
	ctx, finish, err := r.kit.Prepare(ctx, r, spec, a)
	if err != nil {
		return err
	}
	if compensate {
		return finish(step.Compensate(ctx, a))
	}
	return finish(step.Do(ctx, a))
}

func (r *rig) do(t *testing.T, j *journal) {
	t.Helper()
	if err := r.attempt(t.Context(), j, false); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) undo(t *testing.T, j *journal) {
	t.Helper()
	r.s.Run.Verb = session.VerbDown
	if err := r.attempt(t.Context(), j, true); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) verify(t *testing.T, j *journal) error {
	t.Helper()
	return r.step().Verify(t.Context(), j.attempt("database:main"))
}

// holds compares the rows of the session's table.
func (r *rig) holds(t *testing.T, server *postgrestest.Server, want ...string) {
	t.Helper()
	if have := server.Query(r.database(t), "select v from t order by v"); !slices.Equal(have, want) {
		t.Errorf("session %s has %v, want %v", r.s.Slug, have, want)
	}
}
