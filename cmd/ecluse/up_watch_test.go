package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ecluse/steps/docker/dockertest"
)

// watchFile has a service whose files are carried over, and one that is built again.
const watchFile = `
services:
  carried:
    build: .
    command: ["-serve", ":80"]
    develop: {watch: [{action: sync, path: ./src, target: /data}]}
  rebuilt:
    build: .
    command: ["-serve", ":80"]
    develop: {watch: [{action: rebuild, path: ./lib}]}
`

const watchConfig = `
mode = "container"
max_slots = 3
`

// newWatchWorld is a repository with these, and what the image is made of.
func newWatchWorld(t *testing.T) *world {
	t.Helper()
	w := newChoiceWorld(t, watchConfig, watchFile)
	tool, err := os.ReadFile(dockertest.Tool(t))
	if err != nil {
		t.Fatal(err)
	}
	w.write("tool", string(tool))
	w.write("src/first", "1")
	w.write("lib/first", "1")
	w.write("Dockerfile", "FROM scratch\nCOPY tool /tool\nCOPY src /data\nCOPY lib /lib\nENTRYPOINT [\"/tool\"]\n")
	w.commit("sources")
	return w
}

// watcher is an `up --watch` that is under way.
type watcher struct {
	*exec.Cmd
	stdout, stderr *lockedBuffer
}

// lockedBuffer may be read while it is written to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// watch begins an `up --watch` and returns once Compose watches.
func (w *world) watch(slug string) *watcher {
	w.t.Helper()
	o := &watcher{w.command("up", slug, "--watch", "--json"), &lockedBuffer{}, &lockedBuffer{}}
	o.Stdout, o.Stderr = o.stdout, o.stderr
	if err := o.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = o.Process.Kill()
		_ = o.Wait()
		if w.t.Failed() {
			w.t.Log(o.stderr.String())
		}
	})
	w.eventually("Compose watches", func() bool { return strings.Contains(o.stderr.String(), "Watch enabled") })
	var result struct {
		Slug, State string
	}
	if err := json.Unmarshal([]byte(o.stdout.String()), &result); err != nil || result.State != "active" {
		w.t.Errorf("the result is not printed before watching: %v: %s", err, o.stdout)
	}
	return o
}

// ends fails the test unless the watcher ends with a status, saying why.
func (w *world) ends(o *watcher, status int, says string) {
	w.t.Helper()
	late := time.AfterFunc(patience, func() { _ = o.Process.Kill() })
	defer late.Stop()
	_ = o.Wait()
	if have := o.ProcessState.ExitCode(); have != status || !strings.Contains(o.stderr.String(), says) {
		w.t.Errorf("watching ended with %d, want %d and %q\n%s", have, status, says, o.stderr)
	}
	if left := w.processes(); len(left) > 0 {
		w.t.Errorf("watching leaves %v", left)
	}
}

// containerOf is the id of the container of a service.
func (w *world) containerOf(service string) string {
	w.t.Helper()
	return strings.TrimSpace(w.must(exec.Command("docker", "ps", "-q", "--filter", "label=ecluse.repo="+filepath.Join(w.root, ".git"),
		"--filter", "label=com.docker.compose.service="+service)))
}

// Changes of the worktree arrive in the containers while up watches, and the session
// stays when that ends.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWatchWorld(t)
	o := w.watch("feat-x")
	worktree := filepath.Join(w.root, ".ecluse/worktrees/feat-x")
	before := w.containerOf("rebuilt")
	for _, path := range []string{"src/second", "lib/second"} {
		if err := os.WriteFile(filepath.Join(worktree, path), []byte("2"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("a file is carried over", func() bool {
		return exec.Command("docker", "cp", w.containerOf("carried")+":/data/second", filepath.Join(w.dir, "copy")).Run() == nil
	})
	w.eventually("a service is built again", func() bool {
		id := w.containerOf("rebuilt")
		return id != "" && id != before && exec.Command("docker", "cp", id+":/lib/second", filepath.Join(w.dir, "copy")).Run() == nil
	})
	_ = o.Process.Signal(syscall.SIGINT)
	w.ends(o, 130, "feat-x stays up")
	if have := w.contained("feat-x"); fmt.Sprint(have) != "[carried rebuilt]" {
		t.Errorf("after watching there are %v", have)
	}
	for _, path := range []string{"src/second", "lib/second"} {
		w.must(exec.Command("rm", filepath.Join(worktree, path)))
	}
	w.mustBeUp("after watching", "feat-x")

	// A session that is up already is watched, too, until it is taken down.
	o = w.watch("feat-x")
	w.ecluse(0, "down", "feat-x")
	w.ends(o, 1, "feat-x is not up any more")
	w.mustBeClean("down")
}

// Where there is nothing to watch the session stays up, and up says so.
func TestNothingToWatch(t *testing.T) {
	t.Parallel()
	w := newChoiceWorld(t, choiceConfig, choiceFile)
	if o := w.ecluse(2, "up", "feat-x", "--services", "store", "--watch"); !strings.Contains(o.stderr, "develop.watch") {
		t.Errorf("it does not say what is missing: %s", o.stderr)
	}
	w.runs("feat-x", false, "store")
	w.ecluse(0, "down", "feat-x")
	w.mustBeClean("down")
}
