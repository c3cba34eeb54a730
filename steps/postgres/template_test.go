package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"ecluse/steps/postgres/postgrestest"
)

// recipe is a template of the tests, which counts how often it is filled.
func recipe(t *testing.T, s *postgrestest.Server, state string, fills *atomic.Int32) Template {
	return Template{
		Base: "shop", State: strings.Repeat(state, 12), Repo: "r", Timeout: time.Minute,
		Begin: func(string) error { return nil },
		Fill: func(ctx context.Context, making string) error {
			fills.Add(1)
			conn, err := pgx.Connect(ctx, s.Of(making))
			if err != nil {
				return err
			}
			_, err = conn.Exec(ctx, "create table t as select '"+state+"' as state")
			return errors.Join(err, conn.Close(ctx))
		},
		Report: func(format string, args ...any) { t.Logf(format, args...) },
	}
}

func TestTemplateIsMadeOnce(t *testing.T) {
	s := postgrestest.Start(t)
	var fills atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		c := open(t, s)
		all.Go(func() {
			name, err := c.Template(t.Context(), recipe(t, s, "a", &fills))
			if err == nil {
				err = c.Create(t.Context(), fmt.Sprintf("copy%d", i), name, time.Minute, nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if fills.Load() != 1 || len(s.Databases()) != 9 {
		t.Errorf("it was filled %d times; there is %v", fills.Load(), s.Databases())
	}
	for i := range 8 {
		if have := s.Query(fmt.Sprintf("copy%d", i), "select state from t"); !slices.Equal(have, []string{"a"}) {
			t.Errorf("copy %d has %v", i, have)
		}
	}
	info, _, err := open(t, s).Look(t.Context(), "shop_aaaaaaaaaaaa")
	if err != nil || !info.Template || !info.Closed {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestTemplateOfEachState(t *testing.T) {
	s := postgrestest.Start(t)
	c := open(t, s)
	var fills atomic.Int32
	s.Exec("postgres", "create database shop_plain owner app")
	for _, state := range []string{"a", "b", "a", "c", "d"} {
		name, err := c.Template(t.Context(), recipe(t, s, state, &fills))
		must(t, err)
		// Each is used at a time of its own.
		old := templateLabel{Version: 1, Template: true, Repo: "r", Used: time.Now().Add(time.Duration(fills.Load())*time.Minute - time.Hour)}
		must(t, c.Comment(t.Context(), name, old.String()))
	}
	if fills.Load() != 4 {
		t.Errorf("it was filled %d times", fills.Load())
	}
	want := []string{"shop_aaaaaaaaaaaa", "shop_cccccccccccc", "shop_dddddddddddd", "shop_plain"}
	if have := s.Databases(); !slices.Equal(have, want) {
		t.Errorf("there is %v, want %v", have, want)
	}
}

func TestTemplateThatFails(t *testing.T) {
	s := postgrestest.Start(t)
	c := open(t, s)
	var fills atomic.Int32
	tmpl := recipe(t, s, "a", &fills)
	fill, wrong := tmpl.Fill, errors.New("no")
	tmpl.Fill = func(ctx context.Context, making string) error { return errors.Join(fill(ctx, making), wrong) }
	if _, err := c.Template(t.Context(), tmpl); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	if have := s.Databases(); len(have) > 0 {
		t.Errorf("left: %v", have)
	}
	tmpl.Fill, tmpl.Begin = fill, func(string) error { return wrong }
	if _, err := c.Template(t.Context(), tmpl); !errors.Is(err, wrong) || len(s.Databases()) > 0 {
		t.Errorf("got %v, there is %v", err, s.Databases())
	}
	tmpl.Begin = func(string) error { return nil }
	_, err := c.Template(t.Context(), tmpl)
	must(t, err)
	// Nobody else's database becomes a template for having the name.
	s.Exec("postgres", "create database shop_bbbbbbbbbbbb")
	if _, err := c.Template(t.Context(), recipe(t, s, "b", &fills)); err == nil {
		t.Error("somebody's database was taken for a template")
	}
}

// TestTemplateOfTheDead: who dies while they fill it leaves a database that the
// next one drops, and nothing that could be taken for a template.
func TestTemplateOfTheDead(t *testing.T) {
	s := postgrestest.Start(t)
	var fills atomic.Int32
	dead := open(t, s)
	tmpl := recipe(t, s, "a", &fills)
	var made string
	tmpl.Begin = func(making string) error { made = making; return nil }
	tmpl.Fill = func(context.Context, string) error { return dead.conn.PgConn().Conn().Close() }
	if _, err := dead.Template(t.Context(), tmpl); err == nil {
		t.Fatal("it did not die")
	}
	if have := s.Databases(); !slices.Equal(have, []string{made}) {
		t.Fatalf("there is %v, want %s", have, made)
	}
	client := s.Client(made)
	_, err := open(t, s).Template(t.Context(), recipe(t, s, "a", &fills))
	must(t, err)
	if have := s.Databases(); !slices.Equal(have, []string{"shop_aaaaaaaaaaaa"}) {
		t.Errorf("there is %v", have)
	}
	if client.Ping(t.Context()) == nil {
		t.Error("what the dead one left running is still connected")
	}
	// What was left of another state goes, too.
	s.Exec("postgres", "create database shop_cccccccccccc_making_abcdef owner app")
	_, err = open(t, s).Template(t.Context(), recipe(t, s, "b", &fills))
	must(t, err)
	if have := s.Databases(); !slices.Equal(have, []string{"shop_aaaaaaaaaaaa", "shop_bbbbbbbbbbbb"}) {
		t.Errorf("there is %v", have)
	}
}

// TestTemplateThatIsCopied: that a template is used is noted only where nobody has to
// wait for it. A copy locks it for as long as it takes.
func TestTemplateThatIsCopied(t *testing.T) {
	s := postgrestest.Start(t)
	c := open(t, s)
	var fills atomic.Int32
	name, err := c.Template(t.Context(), recipe(t, s, "a", &fills))
	must(t, err)
	old := templateLabel{Version: 1, Template: true, Repo: "r"}.String()
	must(t, c.Comment(t.Context(), name, old))
	tx, err := s.Connect("postgres").Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "comment on database "+name+" is 'locked'")
	must(t, err)
	if _, err := c.Template(t.Context(), recipe(t, s, "a", &fills)); err != nil {
		t.Errorf("while it is locked: %v", err)
	}
	must(t, tx.Rollback(t.Context()))
	if info, _, err := c.Look(t.Context(), name); info.Comment != old || err != nil {
		t.Errorf("its label is %s, %v", info.Comment, err)
	}
	_, err = c.Template(t.Context(), recipe(t, s, "a", &fills))
	must(t, err)
	if info, _, err := c.Look(t.Context(), name); info.Comment == old || err != nil || fills.Load() != 1 {
		t.Errorf("its label is %s, %v; it was filled %d times", info.Comment, err, fills.Load())
	}
}

func TestTemplateNames(t *testing.T) {
	tmpl := Template{Base: strings.Repeat("x", 63), State: strings.Repeat("a", 64)}
	if name := tmpl.Name(); len(name)+len(makingMark)+makingDigits > MaxName {
		t.Errorf("%s leaves no room", name)
	}
}
