package docker

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
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
	if !inFolder("/", func() {}) {
		t.Log("a thread may have no folder of its own here: includes of includes are left out")
		dirs = slices.DeleteFunc(dirs, func(dir string) bool { return filepath.Base(dir) == "monorepo" })
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
			text := rendered(t, dir)
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

// rendered is all that is known of a case, wherever its folder is.
func rendered(t *testing.T, dir string) string {
	t.Helper()
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
	return strings.ReplaceAll(text, " \n", "\n")
}

// TestTheSameFromAnywhere: a session that one process begins and another one goes on
// with has one model.
func TestTheSameFromAnywhere(t *testing.T) {
	clean(t)
	golden, err := filepath.Abs(filepath.Join("testdata", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	dirs := cases(t)
	for name, value := range map[string]string{
		"COMPOSE_FILE": "/nowhere/x.yaml;y.yaml", "COMPOSE_PATH_SEPARATOR": ";", "COMPOSE_PROFILES": "*",
		"COMPOSE_PROJECT_NAME": "stranger", "COMPOSE_ENV_FILES": "/nowhere/.env", "COMPOSE_DISABLE_ENV_FILE": "1",
		"COMPOSE_CONVERT_WINDOWS_PATHS": "1", "COMPOSE_EXPERIMENTAL": "1", "COMPOSE_COMPATIBILITY": "1",
		"COMPOSE_REMOVE_ORPHANS": "1", "COMPOSE_PARALLEL_LIMIT": "1", "PWD": "/nowhere", "OLDPWD": "/nowhere",
	} {
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	t.Setenv("PWD", "/nowhere")
	for _, dir := range dirs {
		want, err := os.ReadFile(filepath.Join(golden, filepath.Base(dir)+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), rendered(t, dir)); diff != "" {
			t.Errorf("%s is another one from another folder:\n%s", filepath.Base(dir), diff)
		}
	}
}

// TestSharesNothing: the files of two sessions name nothing twice, and no host port
// of the repository's files; external networks and volumes apart.
func TestSharesNothing(t *testing.T) {
	clean(t)
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := load(t, dir)
			one := rewritten(t, m)
			other, err := Load(t.Context(), LoadOptions{Dir: dir, Project: "ecluse_feat-y_0123abcd"})
			if err != nil {
				t.Fatal(err)
			}
			ports := leases(other)
			for name := range ports {
				ports[name] += 10000
			}
			two, err := other.Rewrite(Rewriting{Leases: ports, Labels: marks})
			if err != nil {
				t.Fatal(err)
			}
			mine, its := owned(t, one.File), owned(t, two.File)
			if len(mine) != len(its) {
				t.Errorf("one session has %d things, the other %d", len(mine), len(its))
			}
			for _, thing := range mine {
				if slices.Contains(its, thing) {
					t.Errorf("both sessions have the %s", thing)
				}
			}
			for _, s := range m.project.Services {
				for _, port := range s.Ports {
					first, last, _ := strings.Cut(port.Published, "-")
					for _, theirs := range []string{first, last} {
						if theirs != "" && !hostNetwork(s) && slices.Contains(mine, "port "+theirs) {
							t.Errorf("service %s publishes %s, as the file says", s.Name, theirs)
						}
					}
				}
			}
		})
	}
}

// owned are the names and ports in a session's file that are to be its own.
func owned(t *testing.T, file []byte) []string {
	t.Helper()
	var all object
	if err := yaml.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	things := []string{fmt.Sprint("project ", all["name"])}
	for _, kind := range []string{"network", "volume", "secret", "config"} {
		for key, entry := range section(all, kind+"s") {
			switch {
			case entry["external"] == true:
			case entry["name"] == nil:
				t.Errorf("%s %s has no name", kind, key)
			default:
				things = append(things, fmt.Sprint(kind, " ", entry["name"]))
			}
		}
	}
	for name, s := range section(all, "services") {
		if s["container_name"] != nil {
			t.Errorf("service %s has the container name %v", name, s["container_name"])
		}
		if build, ok := s["build"].(object); ok {
			things = append(things, fmt.Sprint("image ", s["image"]))
			if build["tags"] != nil {
				t.Errorf("service %s is tagged %v", name, build["tags"])
			}
		}
		ports, _ := s["ports"].([]any)
		for _, port := range ports {
			if published := port.(object)["published"]; published != nil && s["network_mode"] != "host" {
				things = append(things, fmt.Sprint("port ", published))
			}
		}
	}
	return things
}
