package sagatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ecluse/saga"
)

// folder is a step with two files whose names nobody knows but the facts. Its
// flaws are what implementers get wrong.
type folder struct {
	dir  string
	n    *int
	flaw string
}

// flaws are the ways to get it wrong, and the cases that must see each.
var flaws = map[string][]string{
	"Do refuses what is there":           {"do twice"},
	"Compensate refuses what is gone":    {"compensate without do", "compensate twice"},
	"it acts before it saves":            {"do after a fact that could not be saved"},
	"it takes a failed save lightly":     {"do after a fact that could not be saved"},
	"a new name at each attempt":         {"do twice", "do after a crash at a saved fact"},
	"Compensate leaves a half":           {"do", "compensate twice"},
	"Compensate succeeds without a look": {"do"},
	"Verify says yes":                    {"verify", "damage"},
	"Verify repairs":                     {"damage"},
	"Verify writes":                      {"verify"},
	"it cannot be done again":            {"do, compensate, do again"},
	"Compensate forgets first":           {"compensate after a crash at a saved fact"},
	"it does not see damage":             {"damage"},
}

func (f folder) names(a *saga.Attempt) ([]string, error) {
	var names []string
	for _, key := range []string{"a", "b"} {
		var name string
		ok, err := a.Load(key, &name)
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, filepath.Join(f.dir, name))
		}
	}
	return names, nil
}

func (f folder) Do(ctx context.Context, a *saga.Attempt) error {
	if _, err := os.Stat(filepath.Join(f.dir, ".scar")); err == nil {
		return errors.New("there is a scar")
	}
	for _, key := range []string{"a", "b"} {
		if err := ctx.Err(); err != nil {
			return err
		}
		var name string
		known, err := a.Load(key, &name)
		if err != nil {
			return err
		}
		if !known || f.flaw == "a new name at each attempt" {
			*f.n++
			name = fmt.Sprint(key, *f.n)
		}
		path := filepath.Join(f.dir, name)
		write := func() error { return os.WriteFile(path, []byte("x"), 0o600) }
		if f.flaw == "Do refuses what is there" {
			if _, err := os.Stat(path); err == nil {
				return errors.New("it is there")
			}
		}
		if f.flaw == "it acts before it saves" {
			if err := write(); err != nil {
				return err
			}
		}
		if err := a.Save(key, name); err != nil && f.flaw != "it takes a failed save lightly" {
			return err
		}
		if f.flaw == "it does not see damage" {
			if _, err := os.Stat(path); err == nil {
				continue
			}
		}
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

func (f folder) Compensate(_ context.Context, a *saga.Attempt) error {
	names, err := f.names(a)
	if err != nil {
		return err
	}
	if f.flaw == "Compensate succeeds without a look" {
		return nil
	}
	if f.flaw == "Compensate refuses what is gone" && len(names) == 0 {
		return errors.New("I know of nothing")
	}
	for i, name := range names {
		if f.flaw == "Compensate leaves a half" && i == 1 {
			continue
		}
		if f.flaw == "Compensate forgets first" {
			if err := a.Save([]string{"a", "b"}[i], "."); err != nil {
				return err
			}
		}
		if err := os.Remove(name); err != nil && (!errors.Is(err, os.ErrNotExist) || f.flaw == "Compensate refuses what is gone") {
			return err
		}
	}
	if f.flaw == "it cannot be done again" {
		return os.WriteFile(filepath.Join(f.dir, ".scar"), nil, 0o600)
	}
	return nil
}

func (f folder) Verify(_ context.Context, a *saga.Attempt) error {
	if f.flaw == "Verify says yes" {
		return nil
	}
	names, err := f.names(a)
	if err != nil {
		return err
	}
	if f.flaw == "Verify writes" {
		_ = os.WriteFile(filepath.Join(f.dir, ".looked"), nil, 0o600)
	}
	if len(names) < 2 {
		return errors.New("it knows of less than two")
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if f.flaw == "Verify repairs" && err == nil {
			err = os.WriteFile(name, []byte("x"), 0o600)
			data = []byte("x")
		}
		if err != nil || f.flaw != "it does not see damage" && string(data) != "x" {
			return fmt.Errorf("%s holds %q: %w", name, data, err)
		}
	}
	return nil
}

// fixture is the folder with a flaw; "" is without.
func fixture(flaw string) Fixture {
	return Fixture{Name: "folder", New: func(t *testing.T) Trial {
		f := folder{dir: t.TempDir(), n: new(int), flaw: flaw}
		list := func() []string {
			names, err := filepath.Glob(filepath.Join(f.dir, "[ab]*"))
			if err != nil {
				t.Fatal(err)
			}
			return names
		}
		return Trial{
			Spec:  saga.Spec{Name: "folder", Kind: "folder"},
			Build: func() (saga.Step, error) { return f, nil },
			Present: func() error {
				for _, name := range list() {
					if data, err := os.ReadFile(name); err != nil || string(data) != "x" {
						return fmt.Errorf("%s: %q, %w", name, data, err)
					}
				}
				if names := list(); len(names) != 2 {
					return fmt.Errorf("%d files", len(names))
				}
				return nil
			},
			Absent: func() error {
				if names := list(); len(names) != 0 {
					return fmt.Errorf("%v", names)
				}
				return nil
			},
			State: func() string {
				entries, err := os.ReadDir(f.dir)
				return fmt.Sprint(entries, err)
			},
			Damage: map[string]func() error{
				"a file is gone":  func() error { return os.Remove(list()[0]) },
				"a file is empty": func() error { return os.Truncate(list()[1], 0) },
			},
		}
	}}
}

func TestConform(t *testing.T) { Conform(t, fixture("")) }

// The suite sees each flaw, in the cases that are there for it.
func TestConformSeesFlaws(t *testing.T) {
	for flaw, want := range flaws {
		t.Run(flaw, func(t *testing.T) {
			var seen []string
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					if err := c.try(t, fixture(flaw)); err != nil {
						seen = append(seen, c.name)
					}
				})
			}
			for _, name := range want {
				if !slices.Contains(seen, name) {
					t.Errorf("case %q did not see it; %q did", name, seen)
				}
			}
		})
	}
}

// A scripted step conforms too.
func TestConformScript(t *testing.T) {
	Conform(t, Fixture{Name: "script", New: func(*testing.T) Trial {
		w := &World{}
		spec := saga.Spec{Name: "s", Kind: "test"}
		w.Add(&Script{Name: "s", Facts: []string{"x", "y"}})
		is := func(want Effect) func() error {
			return func() error {
				if got := w.Effect("s"); got != want {
					return fmt.Errorf("it is %s", got)
				}
				return nil
			}
		}
		return Trial{
			Spec: spec, Build: func() (saga.Step, error) { return w.Step(spec) },
			Present: is(Whole), Absent: is(None), State: w.String,
			Damage: map[string]func() error{"half": func() error { w.Set("s", Half); return nil }},
		}
	}})
}
