package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ecluse/saga/session"
	"ecluse/steps/docker/dockertest"
	"ecluse/store"
)

// composeConfig runs everything in containers.
const composeConfig = `
mode = "container"
port_search_range = 2
`

// hurriedConfig does not wait long for services that will never be ready.
const hurriedConfig = composeConfig + "[compose]\ntimeout = \"%s\"\n"

// patiences are how long that is: for longer and longer, until the service has got as far
// as it ever will.
var patiences = []time.Duration{8 * time.Second, 40 * time.Second, 2 * time.Minute}

// newComposeWorld makes a repository whose services run in Docker. In the compose
// file IMAGE is the image of the tests, and @N a port of the world.
func newComposeWorld(t testing.TB, config, compose string) *world {
	t.Helper()
	dockertest.Require(t)
	w := newWorld(t, config)
	w.docker = true
	w.write(".gitignore", ".ecluse/\n")
	if compose != "" {
		w.compose(compose)
	}
	w.commit("services")
	t.Cleanup(w.sweepDocker)
	return w
}

// compose writes the compose file.
func (w *world) compose(text string) {
	w.t.Helper()
	w.write("compose.yaml", w.fill(text))
}

// fill puts the image and the ports in.
func (w *world) fill(text string) string {
	text = strings.ReplaceAll(text, "IMAGE", dockertest.Image(w.t))
	return portMark.ReplaceAllStringFunc(text, func(mark string) string {
		n, _ := strconv.Atoi(mark[1:])
		return strconv.Itoa(w.base + n)
	})
}

// sweepDocker keeps what a failing test leaves from the tests after it.
func (w *world) sweepDocker() {
	for _, left := range w.resources() {
		w.t.Errorf("the test leaves %s", left)
		kind, id, _ := strings.Cut(left, " ")
		args := []string{kind, "rm", "--force", id}
		if kind == "network" {
			args = []string{kind, "rm", id}
		}
		_ = exec.Command("docker", args...).Run()
	}
}

// failure is the error of a command as it prints it for machines, and all that it
// wrote for people.
type failure struct {
	Code, Message, Hint, Step, Log, State string
	Left                                  []string

	stderr string
	took   time.Duration
}

// fails runs a command that must end with a status other than 0.
func (w *world) fails(status int, args ...string) failure {
	w.t.Helper()
	return w.failure(status, nil, args...)
}

// failure is fails with further variables.
func (w *world) failure(status int, env []string, args ...string) failure {
	w.t.Helper()
	begun := time.Now()
	o := w.run(env, append(args, "--json")...)
	if o.status != status {
		w.t.Fatalf("ecluse %s ended with %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), o.status, status, o.stdout, o.stderr)
	}
	var document struct{ Error failure }
	if err := json.Unmarshal([]byte(o.stdout), &document); err != nil {
		w.t.Fatalf("ecluse %s printed %q: %v", strings.Join(args, " "), o.stdout, err)
	}
	f := document.Error
	f.stderr, f.took = o.stderr, time.Since(begun)
	return f
}

// names fails the test unless the error has all of the words, and its log, if it
// has one, is there.
func (f failure) names(t testing.TB, words ...string) {
	t.Helper()
	for _, word := range f.lacks(words) {
		t.Errorf("the error does not name %q:\n%s", word, f.Message)
	}
	if f.Step != "" {
		if _, err := filepath.EvalSymlinks(f.Log); err != nil {
			t.Errorf("the log of %s is not there: %v", f.Step, err)
		}
	}
}

// lacks are those of the words that the error has not.
func (f failure) lacks(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool { return strings.Contains(f.Message, word) })
}

// featX is what the store has of the session feat-x.
func (w *world) featX() (session.Session, error) {
	return store.New(w.state).Get(session.Key{Repo: filepath.Join(w.root, ".git"), Slug: "feat-x"})
}

// containers counts what Docker has of the repository.
func (w *world) containers() int {
	kind := func(s string) bool { return !strings.HasPrefix(s, "container ") }
	return len(slices.DeleteFunc(w.resources(), kind))
}

// serviceFault is a service, "bad", that does not become what it should be, and how
// that is told.
type serviceFault struct {
	services string
	words    []string
	// late: only that the time is over ends the wait for it.
	late bool
}

// serviceFaults are beside a service, "good", that becomes what it should be.
var serviceFaults = map[string]serviceFault{
	"never healthy": {
		services: `
  bad:
    image: IMAGE
    command: ["-say", "opening the books|the books are closed", "-serve", ":80", "-healthy-after", "1h"]
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 200ms, start_period: 1h}
`,
		late: true, words: []string{"service bad is starting", "503 Service Unavailable", "the books are closed"},
	},
	"unhealthy": {
		services: `
  bad:
    image: IMAGE
    command: ["-say", "opening the books|the books are closed", "-serve", ":80", "-healthy-after", "1h"]
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 200ms, retries: 2}
`,
		words: []string{"service bad is unhealthy", "503 Service Unavailable", "the books are closed"},
	},
	"unhealthy, and another waits for it": {
		services: `
  bad:
    image: IMAGE
    command: ["-say", "the books are closed", "-serve", ":80", "-healthy-after", "1h"]
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 200ms, retries: 2}
  other:
    image: IMAGE
    depends_on: {bad: {condition: service_healthy}}
`,
		words: []string{"service bad is unhealthy", "503 Service Unavailable", "the books are closed"},
	},
	"exits at once": {
		services: `
  bad:
    image: IMAGE
    command: ["-say", "no such table: users", "-exit", "1"]
`,
		words: []string{"service bad has exited with status 1", "no such table: users"},
	},
	"exits after two seconds, before it was healthy": {
		services: `
  bad:
    image: IMAGE
    command: ["-after", "2s", "-say", "no such table: users", "-exit", "3"]
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 1s, retries: 100}
`,
		words: []string{"service bad has exited with status 3", "no such table: users"},
	},
	"exits while another gets healthy": {
		services: `
  bad:
    image: IMAGE
    command: ["-after", "1500ms", "-say", "no such table: users", "-exit", "1"]
  slow:
    image: IMAGE
    command: ["-serve", ":80", "-healthy-after", "3s"]
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 200ms, retries: 100}
`,
		words: []string{"service bad has exited with status 1", "no such table: users"},
	},
	"must end, and fails": {
		services: `
  bad:
    image: IMAGE
    command: ["-after", "300ms", "-say", "migration 7 failed", "-exit", "1"]
  app:
    image: IMAGE
    depends_on: {bad: {condition: service_completed_successfully}}
`,
		words: []string{"service bad has exited with status 1", "migration 7 failed"},
	},
	"must end, and does not": {
		services: `
  bad:
    image: IMAGE
    command: ["-say", "still migrating"]
  app:
    image: IMAGE
    depends_on: {bad: {condition: service_completed_successfully}}
`,
		late: true, words: []string{"service bad is running, and must end", "still migrating"},
	},
	"is started again and again": {
		services: `
  bad:
    image: IMAGE
    command: ["-say", "no such table: users", "-exit", "1"]
    restart: always
`,
		late: true, words: []string{"service bad", "times", "no such table: users"},
	},
	"lives for a second, again and again": {
		services: `
  bad:
    image: IMAGE
    command: ["-after", "500ms", "-say", "no such table: users", "-exit", "1"]
    restart: unless-stopped
`,
		late: true, words: []string{"service bad", "times", "no such table: users"},
	},
	"cannot be started": {
		services: `
  bad:
    image: IMAGE
    entrypoint: ["/no/such/program"]
`,
		words: []string{"bad", "/no/such/program"},
	},
}

// sideBySide runs the cases of a test a few at once. They wait for containers more
// than they work, so there may be more of them than processors.
func sideBySide[C any](t *testing.T, cases map[string]C, run func(t *testing.T, c C)) {
	t.Helper()
	slots := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for name, c := range cases {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(name, func(t *testing.T) { run(t, c) })
		})
	}
	wg.Wait()
}

// Services that do not become what they should be fail the up: the error names the
// service, its state and the end of its log, and nothing is left.
func TestServicesThatFail(t *testing.T) {
	t.Parallel()
	sideBySide(t, serviceFaults, func(t *testing.T, fault serviceFault) {
		f := fault.fails(t)
		if f.Code != "rolled-back" || f.Step != "compose" {
			t.Errorf("the error is %s of step %q", f.Code, f.Step)
		}
		if strings.Contains(f.Message, "good") {
			t.Errorf("the error names a service that is well:\n%s", f.Message)
		}
	})
}

// fails brings the service up, which fails, and leaves nothing, and names what it should.
func (fault serviceFault) fails(t *testing.T) failure {
	t.Helper()
	for i, patience := range patiences {
		config, words := composeConfig, fault.words
		if fault.late {
			config, words = fmt.Sprintf(hurriedConfig, patience), append([]string{fmt.Sprintf("not ready after %s", patience)}, words...)
		}
		w := newComposeWorld(t, config, `
services:
  good:
    image: IMAGE
    command: ["-serve", ":80"]
    ports: ["@0:80"]
`+fault.services)
		f := w.fails(6, "up", "feat-x")
		w.mustBeClean("after up")
		if !fault.late || i == len(patiences)-1 || len(f.lacks(words)) == 0 {
			f.names(t, words...)
			return f
		}
	}
	panic("there is no patience")
}

// What a failed up leaves on request is all there, until an up mends it or a down
// removes it.
func TestAFailedUpThatIsKept(t *testing.T) {
	t.Parallel()
	const text = `
services:
  good: {image: IMAGE, volumes: ["data:/data"]}
  bad:
    image: IMAGE
    command: ["-say", "the books are closed", "-serve", ":80", "-healthy-file", "/mnt/open"]
    volumes: [".:/mnt"]
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 200ms, retries: 2}
volumes: {data: {}}
`
	w := newComposeWorld(t, composeConfig, text)
	for _, next := range []string{"up", "down"} {
		f := w.fails(7, "up", "feat-x", "--on-failure", "keep")
		f.names(t, "service bad is unhealthy", "the books are closed")
		if f.State != "failed" || f.Step != "compose" {
			t.Errorf("the session is %s at %s", f.State, f.Step)
		}
		s, err := w.featX()
		if err != nil || s.State != "failed" {
			t.Fatalf("the store has %s: %v", s.State, err)
		}
		if n := w.containers(); n != 2 {
			t.Errorf("%d containers are there, want 2", n)
		}
		if next == "up" {
			w.mend(s.Worktree)
		}
		w.ecluse(0, "down", "feat-x")
		w.mustBeClean("after " + next)
	}
}

// mend lets the service get well, and ill again, and well again. A repair that fails
// destroys nothing.
func (w *world) mend(worktree string) {
	w.t.Helper()
	open := filepath.Join(worktree, "open")
	w.must(exec.Command("touch", open))
	w.ecluse(0, "up", "feat-x")
	before := w.resources()
	w.must(exec.Command("rm", open))
	w.eventually("the service is unhealthy", func() bool {
		return strings.Contains(w.must(exec.Command("docker", "ps", "--filter", "label="+w.label())), "(unhealthy)")
	})
	f := w.fails(7, "up", "feat-x")
	f.names(w.t, "service bad is unhealthy", "the books are closed")
	if after := w.resources(); !slices.Equal(slices.Sorted(slices.Values(before)), slices.Sorted(slices.Values(after))) {
		w.t.Errorf("a repair that failed turned %v into %v", before, after)
	}
	w.must(exec.Command("touch", open))
	w.ecluse(0, "up", "feat-x")
	w.must(exec.Command("rm", open))
	w.mustBeUp("after the last up", "feat-x")
}

// label is what everything of the repository carries.
func (w *world) label() string { return "ecluse.repo=" + filepath.Join(w.root, ".git") }

// Services that end by themselves, well, are no failure; of one that ends later the
// next look tells.
func TestServicesThatEnd(t *testing.T) {
	t.Parallel()
	w := newComposeWorld(t, composeConfig, `
services:
  init: {image: IMAGE, command: ["-exit", "0"]}
  seed: {image: IMAGE, command: ["-after", "500ms", "-exit", "0"], restart: on-failure}
  app:
    image: IMAGE
    depends_on: {seed: {condition: service_completed_successfully}}
  brief:
    image: IMAGE
    command: ["-after", "2500ms", "-say", "no such table: users", "-exit", "1"]
`)
	o := w.run(nil, "up", "feat-x")
	switch {
	case o.status == 6 && strings.Contains(o.stderr, "service brief has exited with status 1"):
		w.mustBeClean("after up") // the machine was slow enough to see it
		return
	case o.status != 0:
		t.Fatalf("up ended with %d: %s", o.status, o.stderr)
	}
	w.mustBeUp("after up", "feat-x")
	w.eventually("the brief service has ended", func() bool {
		return strings.Contains(w.must(exec.Command("docker", "ps", "-a", "--filter", "label="+w.label())), "Exited (1)")
	})
	// Another up sees that it has, and starts it again.
	if o := w.run(nil, "up", "feat-x", "--json"); !strings.Contains(o.stderr, "service brief has exited with status 1") {
		t.Errorf("the second up saw nothing: %d: %s", o.status, o.stderr)
	}
	if n := w.containers(); n != 4 {
		t.Errorf("%d containers are left of 4", n)
	}
	w.ecluse(0, "down", "feat-x")
	w.mustBeClean("after down")
}

// An image that nobody has and a build that fails are told soon, in their own
// words.
func TestImagesThatCannotBeHad(t *testing.T) {
	t.Parallel()
	const builds = "services:\n  bad: {build: ./src}\n  good: {image: IMAGE}\n"
	type fault struct {
		compose, dockerfile string
		words               []string
	}
	sideBySide(t, map[string]fault{
		"nobody has it": {
			compose: "services:\n  good: {image: IMAGE}\n  bad: {image: \"127.0.0.1:9/ecluse-test/never-made:1\"}\n",
			words:   []string{"127.0.0.1:9/ecluse-test/never-made:1", "service bad", "connection refused"},
		},
		"a file is missing": {
			compose: builds, dockerfile: "FROM IMAGE\nCOPY not-there.txt /\n", words: []string{"build an image", "not-there.txt"},
		},
		"a command fails": {
			compose: builds, dockerfile: "FROM IMAGE\nRUN [\"/tool\", \"-say\", \"cannot find module foo\", \"-exit\", \"3\"]\n",
			words: []string{"build an image", "cannot find module foo"},
		},
		"a syntax error": {
			compose: builds, dockerfile: "FROM IMAGE\nCOPPY a b\n", words: []string{"build an image", "line 2", "COPPY"},
		},
	}, func(t *testing.T, c fault) {
		w := newComposeWorld(t, composeConfig, c.compose)
		w.write("src/Dockerfile", w.fill(c.dockerfile))
		w.commit("a build")
		f := w.fails(6, "up", "feat-x")
		f.names(t, c.words...)
		w.mustBeClean("after up")
		if f.took > time.Minute {
			t.Errorf("it took %s", f.took)
		}
	})
}
