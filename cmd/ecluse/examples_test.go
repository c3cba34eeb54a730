package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker/dockertest"
	"ecluse/steps/settings"
	"ecluse/store"
)

// example is a repository out of a page: a section that names files.
type example struct {
	page, title string
	files       map[string]string
	// branches are those that its console brings up.
	branches []string
}

var (
	fileLine  = regexp.MustCompile("^\\*\\*`([^`]+)`\\*\\*$")
	fenceLine = regexp.MustCompile("^```([a-z]*)$")
	upLine    = regexp.MustCompile(`^\$ ecluse up (\S+)$`)
)

// readPage reads the examples of a page, and its TOML that belongs to none.
func readPage(t *testing.T, path string) (examples []example, fragments []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	current := example{page: path, files: map[string]string{}}
	finish := func() {
		if len(current.files) > 0 {
			examples = append(examples, current)
		}
	}
	name, fence := "", ""
	var text strings.Builder
	for line := range strings.Lines(string(data)) {
		plain := strings.TrimRight(line, "\n")
		switch open := fenceLine.FindStringSubmatch(plain); {
		case fence != "" && plain == "```":
			switch {
			case name != "":
				current.files[name] = text.String()
			case fence == "toml":
				fragments = append(fragments, text.String())
			}
			name, fence = "", ""
			text.Reset()
		case fence != "":
			text.WriteString(line)
			if up := upLine.FindStringSubmatch(plain); up != nil && fence == "console" {
				current.branches = append(current.branches, up[1])
			}
		case open != nil:
			fence = cmp.Or(open[1], "text")
		case fileLine.MatchString(plain):
			name = fileLine.FindStringSubmatch(plain)[1]
		case strings.HasPrefix(plain, "## "):
			finish()
			current = example{page: path, title: strings.TrimPrefix(plain, "## "), files: map[string]string{}}
		case plain != "" && name != "":
			t.Errorf("%s: %s is named, and its content does not follow", path, name)
			name = ""
		}
	}
	finish()
	return examples, fragments
}

// pages are the pages that people read.
func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(list, "../../README.md")
}

// TestExamples makes a repository of every example in the pages, with all its files
// as they stand there, and brings two sessions of it up at once.
func TestExamples(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("half a minute")
	}
	count := 0
	used := map[int]string{}
	for _, page := range pages(t) {
		examples, _ := readPage(t, page)
		for _, e := range examples {
			count++
			for _, port := range e.basePorts(t) {
				// They run side by side here, each with a state of its own.
				if other := used[port]; other != "" {
					t.Errorf("%q and %q have the same port %d; give one of them another", other, e.title, port)
				}
				used[port] = e.title
			}
			t.Run(e.title, func(t *testing.T) {
				t.Parallel()
				e.run(t)
			})
		}
	}
	if count < 4 {
		t.Errorf("found %d examples, and there were more", count)
	}
}

// TestFragments reads the configurations in the pages that are no whole example.
func TestFragments(t *testing.T) {
	t.Parallel()
	count := 0
	for _, page := range pages(t) {
		_, fragments := readPage(t, page)
		for _, text := range fragments {
			count++
			if !regexp.MustCompile(`(?m)^mode\s*=`).MatchString(text) {
				text = "mode = \"hybrid\"\n" + text
			}
			if _, err := loadText(t, text); err != nil {
				t.Errorf("%s: %v\n%s", page, err, text)
			}
		}
	}
	if count == 0 {
		t.Error("found no fragment")
	}
}

// world makes the repository.
func (e example) world(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, e.files[".ecluse.toml"])
	w.foreign = true
	for name, text := range e.files {
		// No registry is asked for anything here.
		if name == "Dockerfile" {
			text = strings.ReplaceAll(text, "FROM node:22\n", "FROM "+dockertest.Node+"\n")
		}
		if strings.HasSuffix(name, "compose.yaml") {
			w.docker = true
		}
		w.write(name, text)
	}
	if w.docker {
		dockertest.RequireImages(t, dockertest.Postgres, dockertest.Redis, dockertest.Node)
		dockertest.Clean(t, "ecluse.repo="+filepath.Join(w.root, ".git"))
	}
	if e.node() {
		dockertest.RequireNode(t)
	}
	w.commit("the example")
	return w
}

// node reports whether the example needs Node.js.
func (e example) node() bool {
	_, dockerfile := e.files["Dockerfile"]
	return !dockerfile && strings.Contains(e.files[".ecluse.toml"], "npm ci")
}

// environment is what the programs of an example find on a developer's machine.
func (e example) environment(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE", "GOPATH").Output()
	if err != nil {
		t.Fatal(err)
	}
	dirs := lines(string(out))
	env := []string{"GOCACHE=" + dirs[0], "GOPATH=" + dirs[1], "GOTOOLCHAIN=local", "GOFLAGS="}
	if e.node() {
		env = append(env, "PATH="+dockertest.NPM(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	return env
}

// run brings two sessions up at once, writes to each, looks that neither has what
// the other was given, and takes them down.
func (e example) run(t *testing.T) {
	w := e.world(t)
	env := e.environment(t)
	if len(e.branches) != 2 {
		t.Fatalf("the console brings %q up, and not two sessions", e.branches)
	}
	base := e.basePorts(t)
	free := freeOf(base)
	w.side(e.branches, func(branch string) outcome { return w.run(env, "up", branch) })
	var ports []int
	for _, branch := range e.branches {
		slug := slugOf(branch)
		w.mustBeUp("after up", slug)
		s := w.record(slug)
		ports = append(ports, s.Ports["web"])
		for name, port := range s.Ports {
			if slices.Contains(base, port) {
				t.Errorf("%s: %s has the base port %d", slug, name, port)
			}
		}
		if got := post(s.Ports["web"], "only in "+slug); strings.Contains(got, "rror") {
			t.Errorf("%s answers a note with %q", slug, got)
		}
	}
	if t.Failed() {
		return
	}
	for i, branch := range e.branches {
		got := answer(ports[i])
		if own, other := "only in "+slugOf(branch), "only in "+slugOf(e.branches[1-i]); !strings.Contains(got, own) || strings.Contains(got, other) {
			t.Errorf("%s has %q", branch, got)
		}
	}
	w.notPublished(base)
	if still := freeOf(free); len(still) != len(free) {
		t.Errorf("of the base ports %v, which were free, only %v are", free, still)
	}
	if list := w.ecluse(0, "ls").stdout; strings.Count(list, " active ") != 2 {
		t.Errorf("ls shows\n%s", list)
	}
	w.side(e.branches, func(branch string) outcome { return w.run(env, "down", slugOf(branch)) })
	w.mustBeClean("at the end")
}

// basePorts are where the example's ports count from. No session is to have them.
func (e example) basePorts(t *testing.T) []int {
	t.Helper()
	cfg, err := loadText(t, e.files[".ecluse.toml"])
	if err != nil {
		t.Fatalf("%s, %q: %v", e.page, e.title, err)
	}
	var list []int
	for _, service := range cfg.Services {
		list = append(list, cmp.Or(service.HostPort, service.BasePort))
		for _, extra := range service.ExtraPorts {
			list = append(list, extra.BasePort)
		}
	}
	return list
}

// loadText reads a configuration.
func loadText(t *testing.T, text string) (settings.Config, error) {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, ".ecluse.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return steps.LoadConfig(root)
}

// side runs a command for each, side by side; all must succeed.
func (w *world) side(names []string, run func(string) outcome) {
	w.t.Helper()
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			began := time.Now()
			if o := run(name); o.status != 0 {
				w.t.Errorf("%s ended with %d\nstdout: %s\nstderr: %s", name, o.status, o.stdout, o.stderr)
			}
			w.t.Logf("%s took %s", name, time.Since(began).Round(10*time.Millisecond))
		})
	}
	wg.Wait()
}

// slugOf is the slug of a simple branch.
func slugOf(branch string) string { return strings.ReplaceAll(branch, "/", "-") }

// record is the record of a session that must be there.
func (w *world) record(slug string) session.Session {
	w.t.Helper()
	s, err := store.New(w.state).Get(session.Key{Repo: filepath.Join(w.root, ".git"), Slug: slug})
	if err != nil {
		w.t.Error(err)
	}
	return s
}

// notPublished fails the test when a container of the repository publishes one of
// the ports.
func (w *world) notPublished(ports []int) {
	w.t.Helper()
	if !w.docker {
		return
	}
	list := dockertest.Docker(w.t, "ps", "--filter", "label=ecluse.repo="+filepath.Join(w.root, ".git"), "--format", "{{.Names}} {{.Ports}}")
	if list == "" {
		w.t.Error("no container runs")
	}
	for _, port := range ports {
		if strings.Contains(list, fmt.Sprintf(":%d->", port)) {
			w.t.Errorf("the base port %d is published:\n%s", port, list)
		}
	}
}

// freeOf are those of the ports that can be listened on.
func freeOf(ports []int) []int {
	return slices.DeleteFunc(slices.Clone(ports), func(port int) bool {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return true
		}
		return listener.Close() != nil
	})
}

// post sends a web service a note and is what it says.
func post(port int, note string) string {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post(fmt.Sprintf("http://127.0.0.1:%d/", port), "text/plain", strings.NewReader(note))
	if err != nil {
		return "error: " + err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return "error: " + response.Status + ": " + string(body)
	}
	return string(body)
}
