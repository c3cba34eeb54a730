package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecluse/saga/session"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// stubbornConfig has a hook and a service that ignore SIGTERM and have forked
// grandchildren into sessions of their own.
const stubbornConfig = `
mode = "host"
[hooks]
pre_up = 'touch $LEDGER/pre_up'
post_down = 'rm $LEDGER/pre_up'
post_up = 'trap "" TERM INT HUP; setsid sh -c "sleep 1000; sleep 1000" & (trap "" TERM; sleep 1000) & touch $LEDGER/waiting; sleep 1000'
[[services]]
name = "web"
base_port = %d
command = "exec webapp -ignore-term -fork"
`

// start starts ecluse, and returns once the hook runs.
func (w *world) start(args ...string) *exec.Cmd {
	w.t.Helper()
	waiting := filepath.Join(w.dir, "waiting")
	_ = os.Remove(waiting)
	cmd := w.command(args...)
	cmd.Stderr = &lockedBuffer{}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	w.eventually("the hook runs", func() bool {
		_, err := os.Stat(waiting)
		return err == nil
	})
	return cmd
}

// statusAfter waits for a command to end, and tells its status.
func (w *world) statusAfter(cmd *exec.Cmd) int {
	w.t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		w.t.Fatal(err)
	}
	return 0
}

func TestASignalInAStubbornHookRollsEverythingBack(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			if signal.Ignored(sig) {
				t.Skipf("whoever started this ignores %s, and so do its children", sig)
			}
			w := newWorld(t, stubbornConfig)
			cmd := w.start("up", "feat-x")
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if status := w.statusAfter(cmd); status != 128+int(sig) {
				t.Errorf("it exited with %d, want %d: %s", status, 128+int(sig), cmd.Stderr)
			}
			w.mustBeClean("after the signal")
			if _, err := os.Stat(filepath.Join(w.dir, "pre_up")); err == nil {
				t.Error("pre_up was not compensated")
			}
		})
	}
}

func TestASecondSignalLeavesTheSessionToRecover(t *testing.T) {
	t.Parallel()
	// Not after the grace of 5 s that the hook would have, nor after the 3 s for which a
	// run waits for steps that do not end. A machine that stood still just then tells
	// nothing about us; in five rounds it tells.
	var all []time.Duration
	for range 5 {
		took, cut := secondSignal(t)
		if cut && took <= 2500*time.Millisecond || t.Failed() {
			return
		}
		all = append(all, took)
	}
	t.Errorf("it left after %s", all)
}

// secondSignal brings an up to where it has turned, and signals it again. It tells how
// long it took until that ended, and whether that was before the grace of the hook did.
func secondSignal(t *testing.T) (took time.Duration, cut bool) {
	w := newWorld(t, stubbornConfig)
	cmd := w.start("up", "feat-x")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	id := ""
	w.eventually("the run has turned", func() bool {
		s, err := w.featX()
		id = s.ID
		return err == nil && s.State == "pending-down" || errors.Is(err, session.ErrNotFound)
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	begun := time.Now()
	if status := w.statusAfter(cmd); status != 143 {
		t.Errorf("it exited with %d, want 143: %s", status, cmd.Stderr)
	}
	took = time.Since(begun)
	if !w.has("feat-x") {
		w.mustBeClean("after the grace")
		return took, false
	}
	left, err := proc.Carrying(settings.EnvSession+"="+id, settings.EnvStep+"=hook:post_up")
	if err != nil || len(left) != 0 {
		t.Errorf("of the hook, there is left: %v, %v", left, err)
	}
	if v, err := valueAt([]byte(w.ecluse(0, "ls", "--json").stdout), "0.interrupted"); err != nil || v != "true" {
		t.Errorf("interrupted: %s, %v", v, err)
	}
	w.ecluse(0, "recover")
	w.mustBeClean("after recover")
	return took, true
}

func TestADownThatIsInterruptedStaysPendingDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
mode = "host"
[hooks]
post_up = 'true'
pre_down = 'touch $LEDGER/waiting; i=0; while [ ! -e $LEDGER/go ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done'
`)
	w.ecluse(0, "up", "feat-x")
	cmd := w.start("down", "feat-x")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	w.eventually("the signal has arrived", func() bool {
		return strings.Contains(fmt.Sprint(cmd.Stderr), syscall.SIGINT.String())
	})
	// The step in hand is finished first.
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status := w.statusAfter(cmd); status != 130 {
		t.Errorf("it exited with %d, want 130: %s", status, cmd.Stderr)
	}
	if v, err := valueAt([]byte(w.ecluse(0, "ls", "--json").stdout), "0.state"); err != nil || v != "pending-down" {
		t.Errorf("state: %s, %v", v, err)
	}
	w.ecluse(0, "down", "feat-x")
	w.mustBeClean("after down")
}
