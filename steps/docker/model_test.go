package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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

// TestAsCompose has Compose itself read the file of a case and the one that was
// made of it. But for what we rewrite they must be the same.
func TestAsCompose(t *testing.T) {
	clean(t)
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			m := load(t, dir)
			r := rewritten(t, m)
			file := filepath.Join(t.TempDir(), "private.yaml")
			if err := os.WriteFile(file, r.File, 0o600); err != nil {
				t.Fatal(err)
			}
			theirs := config(t, dir, nil)
			ours := config(t, dir, r.Env, "-f", file)
			checkPrivate(t, m, ours)
			alike(m, theirs)
			alike(m, ours)
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("Compose reads the session's file differently (-theirs +ours):\n%s", diff)
			}
		})
	}
}

// config is what Compose makes of a file.
func config(t *testing.T, dir string, env []string, args ...string) map[string]any {
	t.Helper()
	args = append(append([]string{"compose", "--project-name", project, "--project-directory", dir}, args...), "config", "--format", "json")
	cmd := exec.CommandContext(t.Context(), "docker", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "PWD="+dir), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) || strings.Contains(errs.String(), "is not a docker command") || strings.Contains(errs.String(), "unknown flag") {
			if os.Getenv("ECLUSE_TEST_DOCKER") == "require" {
				t.Fatal("docker compose is required, and missing")
			}
			t.Skip("no docker compose here")
		}
		t.Fatalf("docker %v: %v\n%s", args, err, errs.String())
	}
	var all map[string]any
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// section is a part of what Compose printed, by name.
func section(all map[string]any, name string) map[string]map[string]any {
	entries, _ := all[name].(map[string]any)
	out := map[string]map[string]any{}
	for key, value := range entries {
		if entry, ok := value.(map[string]any); ok {
			out[key] = entry
		}
	}
	return out
}

// alike takes out of what Compose printed what a rewriting changes on purpose.
func alike(m *Model, all map[string]any) {
	// Extensions of the file itself have done their work.
	maps.DeleteFunc(all, func(key string, _ any) bool { return strings.HasPrefix(key, "x-") })
	renamed := m.renamed()
	for name, s := range section(all, "services") {
		for _, key := range []string{"ports", "container_name", "profiles", "pull_policy"} {
			delete(s, key)
		}
		dropLabels(s)
		if build, ok := s["build"].(map[string]any); ok {
			delete(build, "tags")
			dropLabels(build)
			delete(s, "image")
			delete(build, "additional_contexts")
		}
		if image, _ := s["image"].(string); renamed[image] || strings.HasPrefix(image, project) {
			delete(s, "image")
		}
		for _, key := range []string{"network_mode", "pid", "volumes_from", "external_links", "links", "depends_on"} {
			if strings.Contains(fmt.Sprint(s[key]), "my-app") || slices.Contains([]string{"sidecar", "reader", "linked"}, name) || key == "depends_on" && s[key] != nil && optionalGone(m, s) {
				delete(s, key)
			}
		}
		if networks, ok := s["networks"].(map[string]any); ok {
			for key, value := range networks {
				entry, _ := value.(map[string]any)
				for _, k := range []string{"aliases", "ipv4_address", "ipv6_address"} {
					delete(entry, k)
				}
				if len(entry) == 0 {
					networks[key] = nil
				}
			}
		}
	}
	for _, name := range []string{"networks", "volumes"} {
		for _, entry := range section(all, name) {
			if entry["external"] != true {
				delete(entry, "name")
				delete(entry, "ipam")
			}
			dropLabels(entry)
		}
	}
	// A config from a variable has become its content.
	if entry, ok := section(all, "configs")["from_env"]; ok {
		delete(entry, "environment")
		delete(entry, "content")
	}
}

// optionalGone drops dependencies on services that are not active: Compose keeps
// them where they are optional.
func optionalGone(m *Model, s map[string]any) bool {
	on, _ := s["depends_on"].(map[string]any)
	for name := range on {
		if !slices.Contains(m.Services(), name) {
			delete(on, name)
		}
	}
	return len(on) == 0
}

// renamed are the images of the file that get a name of the session's.
func (m *Model) renamed() map[string]bool {
	images := map[string]bool{}
	for _, s := range m.project.Services {
		if s.Build != nil {
			images[s.Image] = true
		}
	}
	return images
}

// dropLabels takes our labels away.
func dropLabels(entry map[string]any) {
	labels, _ := entry["labels"].(map[string]any)
	maps.DeleteFunc(labels, func(key string, _ any) bool { return marks[key] != "" })
	if len(labels) == 0 {
		delete(entry, "labels")
	}
}

// checkPrivate looks whether the file that Compose read is the session's alone.
func checkPrivate(t *testing.T, m *Model, all map[string]any) {
	t.Helper()
	if all["name"] != project {
		t.Errorf("project is named %v", all["name"])
	}
	leased := map[string]bool{}
	for _, port := range leases(m) {
		leased[strconv.Itoa(port)] = true
	}
	for name, s := range section(all, "services") {
		if s["container_name"] != nil {
			t.Errorf("service %s has the container name %v", name, s["container_name"])
		}
		checkLabels(t, "service "+name, s)
		ports, _ := s["ports"].([]any)
		for _, port := range ports {
			published, _ := port.(map[string]any)["published"].(string)
			if published != "" && !leased[published] || published == "" && name != "scaled" {
				t.Errorf("service %s publishes %q", name, published)
			}
		}
		if build, ok := s["build"].(map[string]any); ok {
			checkLabels(t, "the image of "+name, build)
			if image, _ := s["image"].(string); !strings.HasPrefix(image, project+"-") {
				t.Errorf("the image of %s is named %q", name, image)
			}
		}
	}
	for _, kind := range []string{"networks", "volumes"} {
		for key, entry := range section(all, kind) {
			if entry["external"] == true {
				continue
			}
			if entry["name"] != project+"_"+key {
				t.Errorf("%s %s is named %v", kind, key, entry["name"])
			}
			checkLabels(t, kind+" "+key, entry)
		}
	}
}

func checkLabels(t *testing.T, what string, entry map[string]any) {
	t.Helper()
	labels, _ := entry["labels"].(map[string]any)
	for key, want := range marks {
		if labels[key] != want {
			t.Errorf("%s has the label %s=%v, want %v", what, key, labels[key], want)
		}
	}
}
