package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// world is a repository, a state folder and a range of ports that no other test
// uses.
type world struct {
	t testing.TB
	checker
	dir  string
	base int
}

// nextBase hands out ranges of ports, below those that the kernel gives out by
// itself. Another run of the tests on the same machine mostly begins elsewhere.
var nextBase = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(int32(os.Getpid() % (portsOfWorlds / portsPerWorld)))
	return &n
}()

const (
	// portsPerWorld is how many ports a world may use.
	portsPerWorld = 40
	// portsOfWorlds is how many there are for all worlds.
	portsOfWorlds = 20000
)

// newBase is the first of a world's ports, which are its own until it releases them:
// other runs of the tests pass by ranges that are held, or used. What holds one is a
// socket for UDP, which is in nobody's way.
func newBase() (base int, release func()) {
	for range portsOfWorlds / portsPerWorld {
		base := 10000 + int(nextBase.Add(1))*portsPerWorld%portsOfWorlds
		held, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", base))
		switch {
		case err != nil:
		case unused(base):
			return base, func() { _ = held.Close() }
		default:
			_ = held.Close()
		}
	}
	panic("all ranges of ports are held or used")
}

// unused reports whether nobody listens at any port of a range.
func unused(base int) bool {
	for n := range portsPerWorld {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", base+n))
		if err != nil {
			return false
		}
		_ = listener.Close()
	}
	return true
}

// newWorld makes a repository with one commit and the configuration; %d in it
// stands for the base ports.
func newWorld(t testing.TB, config string) *world {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	base, release := newBase()
	t.Cleanup(release)
	w := &world{t: t, dir: dir, base: base}
	w.checker = checker{root: filepath.Join(dir, "repo"), state: filepath.Join(dir, "state"), branches: []string{"main"}}
	for n, count := 0, strings.Count(config, "%d"); n < count; n++ {
		config = strings.Replace(config, "%d", fmt.Sprint(w.base+10*n), 1)
	}
	w.must(exec.Command("git", "init", "-q", "-b", "main", w.root))
	w.write(".ecluse.toml", config)
	w.write("README", "hello\n")
	w.commit("first")
	t.Cleanup(func() {
		for _, process := range w.end() {
			t.Errorf("the test leaves %s", process)
		}
	})
	return w
}

// end ends the processes that are left, so that they are in nobody's way, and lists them.
func (c checker) end() []string {
	left := c.processes()
	for _, process := range left {
		var pid int
		if _, err := fmt.Sscanf(process, "process %d", &pid); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return left
}

// write writes a file of the repository.
func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

// commit commits everything.
func (w *world) commit(message string) {
	w.t.Helper()
	w.must(exec.Command("git", "-C", w.root, "add", "-A"))
	w.must(exec.Command("git", "-C", w.root, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", message))
}

func (w *world) must(cmd *exec.Cmd) string {
	w.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// outcome is how a run of ecluse ended.
type outcome struct {
	status         int // 128+n for a signal that it did not survive
	stdout, stderr string
}

// command is ecluse in this world.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.Command("ecluse", args...)
	cmd.Dir = w.root
	cmd.Env = append(os.Environ(), "ECLUSE_STATE_DIR="+w.state, "LEDGER="+w.dir, "HOME="+w.dir, "DOCKER_CONFIG="+dockerConfig())
	return cmd
}

// dockerConfig is where Docker finds its plugins, whatever HOME a test sets.
func dockerConfig() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".docker")
}

// patience is how long one ecluse may take in a test before it counts as hung. A real
// database is made in minutes, where all disks are busy.
const patience = 5 * time.Minute

// run runs ecluse to its end. extra is added to its environment.
func (w *world) run(extra []string, args ...string) outcome {
	w.t.Helper()
	cmd := w.command(args...)
	cmd.Env = append(cmd.Env, extra...)
	said := w.listen(cmd)
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	o := said()
	if ctx.Err() != nil {
		w.t.Errorf("ecluse %s hung\n%s", strings.Join(args, " "), o.stderr)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		o.status = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			o.status = 128 + int(ws.Signal())
		}
	case err != nil:
		w.t.Fatal(err)
	}
	return o
}

// listen lets a command write to files, and returns what reads them in the end. Orphans
// would hold pipes, and only the end of ecluse itself counts.
func (w *world) listen(cmd *exec.Cmd) (said func() outcome) {
	w.t.Helper()
	var files [2]*os.File
	for i := range files {
		file, err := os.CreateTemp(w.dir, "said")
		if err != nil {
			w.t.Fatal(err)
		}
		files[i] = file
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	return func() outcome {
		var texts [2]string
		for i, file := range files {
			text, err := os.ReadFile(file.Name())
			if err := errors.Join(err, file.Close(), os.Remove(file.Name())); err != nil {
				w.t.Error(err)
			}
			texts[i] = string(text)
		}
		return outcome{stdout: texts[0], stderr: texts[1]}
	}
}

// ecluse runs a command that must end with a status.
func (w *world) ecluse(want int, args ...string) outcome {
	w.t.Helper()
	o := w.run(nil, args...)
	if o.status != want {
		w.t.Errorf("ecluse %s ended with %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), o.status, want, o.stdout, o.stderr)
	}
	return o
}

// mustBeClean fails the test when anything of a session is left.
func (w *world) mustBeClean(when string) {
	w.t.Helper()
	for _, left := range w.leftovers() {
		w.t.Errorf("%s: left behind: %s", when, left)
	}
}

// mustBeUp fails the test when a session is not whole.
func (w *world) mustBeUp(when, slug string) {
	w.t.Helper()
	for _, wrong := range w.problems(slug) {
		w.t.Errorf("%s: %s", when, wrong)
	}
}

// eventually polls until ok, or fails the test.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("it never happened that %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
