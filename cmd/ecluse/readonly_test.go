package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// readOnly runs ecluse with its state folder on a read-only disk, and returns its
// status and what it says.
func (w *world) readOnly(args ...string) (int, string) {
	w.t.Helper()
	script := `mount --bind "$ECLUSE_STATE_DIR" "$ECLUSE_STATE_DIR" && mount -o remount,ro,bind "$ECLUSE_STATE_DIR" || exit 99; exec ecluse "$@"`
	cmd := w.command()
	cmd.Path, _ = exec.LookPath("unshare")
	cmd.Args = append([]string{"unshare", "--mount", "sh", "-c", script, "sh"}, args...)
	cmd.Err = nil
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() != 99 && !strings.Contains(string(out), "unshare failed") {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		w.t.Skipf("no read-only mount can be made here: %v: %s", err, out)
	}
	return 0, string(out)
}

func TestAReadOnlyStateFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "mode = \"host\"\n")
	if err := os.MkdirAll(w.state, 0o700); err != nil {
		t.Fatal(err)
	}
	// Nothing was ever written: looking finds nothing, an up says why it cannot.
	if status, out := w.readOnly("ls", "--json"); status != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("ls ended with %d: %s", status, out)
	}
	if status, out := w.readOnly("up", "feat-x"); status != exitState || !strings.Contains(out, "read-only") {
		t.Errorf("up ended with %d: %s", status, out)
	}
	w.mustBeClean("after an up on a read-only disk")
	// With a session: looking shows it, and nothing that writes changes it.
	w.ecluse(0, "up", "feat-x")
	for _, args := range [][]string{{"ls", "--json"}, {"env", "feat-x"}, {"status", "feat-x"}, {"logs", "feat-x", "--json"}, {"history"}, {"recover", "--dry-run"}, {"up", "feat-y", "--dry-run"}} {
		if status, out := w.readOnly(args...); status != 0 || !strings.Contains(out, "feat-") && args[0] != "recover" {
			t.Errorf("%v ended with %d: %s", args, status, out)
		}
	}
	if status, out := w.readOnly("exec", "feat-x", "--", "sh", "-c", "echo $ECLUSE_SLUG; ecluse whose-pid $$"); status != 0 || strings.Count(out, "feat-x") != 2 {
		t.Errorf("exec ended with %d: %s", status, out)
	}
	for _, args := range [][]string{{"down", "feat-x"}, {"up", "feat-y"}} {
		if status, out := w.readOnly(args...); status != exitState {
			t.Errorf("%v ended with %d, want %d: %s", args, status, exitState, out)
		}
	}
	w.mustBeUp("after all that", "feat-x")
	w.ecluse(0, "down", "feat-x")
	w.mustBeClean("at the end")
}

// exitState is the status of a state that cannot be used.
const exitState = 10
