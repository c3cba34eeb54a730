package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecluse/steps"
)

// things is all that an answer could have changed: the repository with its branches,
// worktrees and files, and the sessions.
func (w *world) things() string {
	w.t.Helper()
	var b strings.Builder
	for _, args := range [][]string{{"for-each-ref"}, {"worktree", "list"}, {"status", "--porcelain", "--ignored"}} {
		b.WriteString(w.must(exec.Command("git", append([]string{"-C", w.root}, args...)...)))
	}
	return b.String() + w.ecluse(0, "ls", "--all", "--json").stdout
}

// unchanged runs at a terminal what must change nothing.
func (w *world) unchanged(status int, question, answer string, args ...string) {
	w.t.Helper()
	before := w.things()
	x := w.sitDown(args...)
	x.types(question, answer)
	x.ends(status)
	if after := w.things(); after != before {
		w.t.Errorf("%s, answered %q, changed something:\n%s\n%s", x.name, answer, before, after)
	}
}

// TestInitAsks: in a terminal the mode is asked for, and what is proposed is what an
// empty answer means.
func TestInitAsks(t *testing.T) {
	t.Parallel()
	w := newSample(t, sample{files: map[string]string{"Procfile.dev": "web: exec webapp\n"}})
	for _, key := range []struct {
		answer string
		status int
	}{{ctrlC, 130}, {ctrlD, 2}, {"n\n" + ctrlD, 2}, {"n\n" + ctrlC, 130}, {"warp\n" + ctrlD, 2}, {"container" + ctrlD + ctrlD, 2}} {
		w.unchanged(key.status, "Mode host? ", key.answer, "init")
	}
	for _, answered := range []struct{ answer, mode string }{{"\n", "host"}, {"y\n", "host"}, {"hybrid\n", "hybrid"}, {"no\nCONTAINER\n", "container"}, {"warp\nhost\n", "host"}} {
		x := w.sitDown("init", "--force")
		x.types("Mode host? ", answered.answer)
		x.ends(0)
		if cfg, err := steps.LoadConfig(w.root); err != nil || cfg.Mode != answered.mode {
			t.Errorf("%q makes %s, %v", answered.answer, cfg.Mode, err)
		}
	}

	// What is there is not asked about: it is refused.
	x := w.sitDown("init")
	x.ends(2)
	for _, args := range [][]string{{"init", "--force", "--yes"}, {"init", "--force", "--json"}, {"init", "--force", "--mode", "host"}} {
		x := w.sitDown(args...)
		x.ends(0)
		if strings.Contains(x.shown.String(), "? [") {
			t.Errorf("%s asks: %s", x.name, x.shown.String())
		}
	}
}

// TestUpAsks: at the root, without a branch, up asks for one.
func TestUpAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "mode = \"host\"\n[[services]]\nname = \"web\"\nbase_port = %d\ncommand = \"exec webapp\"\n")
	for _, key := range []struct {
		answer string
		status int
	}{{ctrlC, 130}, {ctrlD, 2}, {"\n", 2}, {"feat-y" + ctrlC, 130}, {"feat-y" + ctrlD + ctrlD, 2}, {"--force\n", 2}, {"a..b\n", 2}} {
		w.unchanged(key.status, "Branch? ", key.answer, "up")
	}
	x := w.sitDown("up")
	x.types("Branch? ", "feat-x\n")
	x.ends(0)
	w.mustBeUp("asked for", "feat-x")

	// In the worktree it is known, and down asks in no case, whatever would be lost.
	w.write(".ecluse/worktrees/feat-x/new", "work\n")
	x = w.sitDown("-C", filepath.Join(w.root, ".ecluse/worktrees/feat-x"), "up")
	x.ends(0)
	if strings.Contains(x.shown.String(), "Branch?") {
		t.Errorf("up asks for a branch in a worktree: %s", x.shown.String())
	}
	for _, args := range [][]string{{"down", "feat-x", "--keep-worktree"}, {"down", "feat-x"}, {"shutdown"}} {
		x := w.sitDown(append(args, "--progress", "plain")...)
		x.ends(0)
		if strings.Contains(x.shown.String(), "?") {
			t.Errorf("%s asks: %s", x.name, x.shown.String())
		}
	}
	w.mustBeClean("down")
}

// TestFlushAsks: only yes is yes.
func TestFlushAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "mode = \"host\"\n[[services]]\nname = \"web\"\nbase_port = %d\ncommand = \"exec webapp\"\n")
	x := w.sitDown("flush")
	x.ends(0) // there is nothing to ask about
	w.ecluse(0, "up", "feat-x")
	for _, key := range []struct {
		answer string
		status int
	}{{ctrlC, 130}, {ctrlD, 0}, {"\n", 0}, {"n\n", 0}, {"what\n", 0}, {"y" + ctrlC, 130}, {"yes" + ctrlD + ctrlD, 0}} {
		w.unchanged(key.status, "[y/N] ", key.answer, "flush")
		w.mustBeUp("flush", "feat-x")
	}
	x = w.sitDown("flush")
	x.types("[y/N] ", "Y\n")
	x.ends(0)
	if list := w.things(); strings.Contains(list, "feat-x") && !strings.Contains(list, "\"absent\"") {
		t.Errorf("flush leaves %s", list)
	}
	w.mustBeClean("flush")
}

// TestNobodyIsAsked: who cannot see a question, or not answer it, is not asked, and
// neither is a program.
func TestNobodyIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "mode = \"host\"\n[[services]]\nname = \"web\"\nbase_port = %d\ncommand = \"exec webapp\"\n")
	w.ecluse(0, "up", "feat-x")
	for _, test := range []struct {
		status int
		args   []string
	}{{2, []string{"up"}}, {2, []string{"flush"}}, {0, []string{"init", "--force"}}} {
		for name, streams := range map[string]func(cmd *exec.Cmd, tty *os.File){
			"no terminal at all": func(*exec.Cmd, *os.File) {},
			"only stdin is one":  func(cmd *exec.Cmd, tty *os.File) { cmd.Stdin = tty },
			"only stderr is one": func(cmd *exec.Cmd, tty *os.File) { cmd.Stderr, cmd.Stdout = tty, tty },
			"--json": func(cmd *exec.Cmd, tty *os.File) {
				cmd.Stdin, cmd.Stderr, cmd.Args = tty, tty, append(cmd.Args, "--json")
			},
		} {
			_, tty := pseudoTerminal(t)
			cmd := w.command(test.args...)
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			streams(cmd, tty)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // it waits for an answer
			_ = cmd.Wait()
			hung.Stop()
			if cmd.ProcessState.ExitCode() != test.status {
				t.Errorf("%s, %s: ended with %d\n%s", test.args, name, cmd.ProcessState.ExitCode(), said.String())
			}
			if strings.Contains(said.String(), "[y/N]") || strings.Contains(said.String(), "? ") {
				t.Errorf("%s, %s: asks: %s", test.args, name, said.String())
			}
			_ = tty.Close()
		}
	}
	w.must(exec.Command("git", "-C", w.root, "checkout", "-q", ".ecluse.toml"))
	w.mustBeUp("after all", "feat-x")
	w.ecluse(0, "flush", "--yes")
	w.must(exec.Command("git", "-C", w.root, "clean", "-qf"))
	w.mustBeClean("flush --yes")
}
