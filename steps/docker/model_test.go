package docker

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// project is the name of the compose project in these tests.
const project = "ecluse_feat-x_0123abcd"

// marks are the labels of a session in these tests.
var marks = map[string]string{
	LabelRepo: "/repo/.git", LabelSession: "s-1", LabelSlug: "feat-x", LabelSlot: "3", LabelRun: "r-1",
}

// cases are the folders with compose files.
func cases(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/model/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for i := range dirs {
		if dirs[i], err = filepath.Abs(dirs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return dirs
}

// clean takes what the surroundings of the test say out of the environment.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_PATH_SEPARATOR"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	// The plugins are found through the home, which the file may mention.
	if home, err := os.UserHomeDir(); err == nil && os.Getenv("DOCKER_CONFIG") == "" {
		t.Setenv("DOCKER_CONFIG", filepath.Join(home, ".docker"))
	}
	t.Setenv("HOME", "/home/somebody")
}

// load loads a case; rewritten gives it leases from 20001 on.
func load(t *testing.T, dir string) *Model {
	t.Helper()
	m, err := Load(t.Context(), LoadOptions{Dir: dir, Project: project})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func rewritten(t *testing.T, m *Model) *Rewritten {
	t.Helper()
	r, err := m.Rewrite(Rewriting{Leases: leases(m), Labels: marks})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func leases(m *Model) map[string]int {
	all := map[string]int{}
	for _, p := range m.Published() {
		if _, ok := all[p.Name]; !ok {
			all[p.Name] = 20001 + len(all)
		}
	}
	return all
}

// TestGolden compares what is published, warned of and written with what was.
func TestGolden(t *testing.T) {
	clean(t)
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := load(t, dir)
			r := rewritten(t, m)
			var b strings.Builder
			for _, p := range m.Published() {
				fmt.Fprintf(&b, "# published %s: %s %d/%s, base %d %s\n", p.Name, p.Service, p.Container, p.Protocol, p.Base, p.HostIP)
			}
			for _, w := range r.Warnings {
				fmt.Fprintf(&b, "# warning: %s\n", w)
			}
			for _, s := range r.Services {
				line, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "# expected %s\n", line)
			}
			fmt.Fprintf(&b, "# environment %q\n%s", r.Env, r.File)
			text := strings.ReplaceAll(strings.ReplaceAll(b.String(), dir, "$DIR"), filepath.Dir(dir), "$PARENT")
			text = strings.ReplaceAll(text, " \n", "\n")
			golden := filepath.Join("testdata", "golden", filepath.Base(dir)+".yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("differs from %s (-update writes it anew):\n%s", golden, diff)
			}
		})
	}
}
