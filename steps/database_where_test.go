package steps

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ecluse/saga"
	"ecluse/steps/postgres/postgrestest"
	"ecluse/steps/settings"
)

// TestDatabaseStaysWhereItWasMade: what the URL leaves to the environment may be
// another server's by the time of the next command.
func TestDatabaseStaysWhereItWasMade(t *testing.T) {
	first, second := postgrestest.Start(t), postgrestest.Start(t)
	t.Setenv("PGUSER", "app")
	with := func(s *postgrestest.Server) { t.Setenv("PGPORT", strconv.Itoa(s.Port)) }
	with(first)
	r := newDatabaseRig(t, first, func(d *settings.Database) {
		parsed, err := url.Parse(first.URL())
		if err != nil {
			t.Fatal(err)
		}
		password, _ := parsed.User.Password()
		parsed.Host, parsed.User = "127.0.0.1", nil
		parsed.RawQuery += "&password=" + url.QueryEscape(password)
		d.URL = strings.ReplaceAll(parsed.String(), "$", "$$")
		d.Migrate = hookOf(migration)
	})
	var j journal
	r.do(t, &j)
	r.holds(t, first, "one")
	// The session's programs are told, whatever their environment has.
	spec := r.s.Plan.Index("database:main")
	r.s.Progress = saga.NewProgress(r.s.Plan)
	r.s.Progress.Steps[spec].Facts = j.facts
	told := func() string {
		vars, err := Environment(r.cfg, r.s)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := url.Parse(vars["DATABASE_URL"])
		if err != nil {
			t.Fatal(err)
		}
		return parsed.User.Username() + " " + parsed.Host
	}
	want := "app 127.0.0.1:" + strconv.Itoa(first.Port)
	if got := told(); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	with(second)
	t.Setenv("PGUSER", "nobody")
	if got := told(); got != want {
		t.Errorf("with another environment: told %s, want %s", got, want)
	}
	if err := r.verify(t, &j); err != nil {
		t.Error(err)
	}
	r.do(t, &j) // which finds it, and makes no other
	if have := second.Databases(); len(have) > 0 {
		t.Errorf("the other server has %v", have)
	}
	r.undo(t, &j)
	if have := slices.Concat(first.Databases(), second.Databases()); len(have) > 0 {
		t.Errorf("left: %v", have)
	}
}
