package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damaged is a world of one session whose state cannot be read.
func damaged(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "mode = \"host\"\n[[services]]\nname = \"web\"\nbase_port = %d\ncommand = \"exec webapp\"\n")
	w.ecluse(0, "up", "feat-x")
	if err := os.Truncate(w.stateFile(), 100); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) stateFile() string { return filepath.Join(w.state, "state.db") }

// aside lists what rebuilds have kept.
func (w *world) aside() []string {
	list, err := filepath.Glob(w.stateFile() + ".damaged-*")
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// mended takes the session down; its branch stays, since nothing tells that it was made
// for it.
func (w *world) mended() {
	w.t.Helper()
	w.ecluse(0, "up", "feat-x")
	w.mustBeUp("after a rebuild", "feat-x")
	w.ecluse(0, "down", "feat-x")
	w.git("branch", "-D", "feat-x")
	w.mustBeClean("down")
}

// TestDoctorAsks: the state is made anew when somebody agrees, and not before.
func TestDoctorAsks(t *testing.T) {
	t.Parallel()
	w := damaged(t)
	for _, key := range []struct {
		answer string
		status int
	}{{ctrlC, 130}, {ctrlD, 0}, {"\n", 0}, {"n\n", 0}, {"yes" + ctrlD + ctrlD, 0}} {
		x := w.sitDown("doctor", "--rebuild")
		x.types("[y/N] ", key.answer)
		x.ends(key.status)
		info, err := os.Stat(w.stateFile())
		if err != nil || info.Size() != 100 || len(w.aside()) > 0 {
			t.Errorf("answered %q, something was changed: %v, %v", key.answer, info, err)
		}
	}
	x := w.sitDown("doctor", "--rebuild")
	x.types("[y/N] ", "y\n")
	x.ends(0)
	if len(w.aside()) != 1 {
		t.Errorf("kept: %v", w.aside())
	}
	w.mended()
}

// TestRebuildIsAsPublished: what doctor --rebuild prints is as its schema says.
func TestRebuildIsAsPublished(t *testing.T) {
	t.Parallel()
	w := damaged(t)
	for _, p := range []printed{
		{"ls", 10, "ls", 1}, {"doctor", 2, "doctor --rebuild", 1}, {"doctor", 2, "doctor --yes", 1},
		{"doctor", 0, "doctor --rebuild --dry-run", 1}, {"doctor", 0, "doctor --rebuild --yes", 1}, {"doctor", 2, "doctor --rebuild --yes", 1},
	} {
		w.asPublished(p)
	}
	w.mended()
}

// TestRebuildOnAReadOnlyStateFolder: looking needs no disk to write to, and a rebuild says
// that it does.
func TestRebuildOnAReadOnlyStateFolder(t *testing.T) {
	t.Parallel()
	w := damaged(t)
	if status, out := w.readOnly("doctor", "--rebuild", "--dry-run"); status != 0 || !strings.Contains(out, "feat-x") {
		t.Errorf("--dry-run ended with %d: %s", status, out)
	}
	if status, out := w.readOnly("doctor", "--rebuild", "--yes"); status != exitState || !strings.Contains(out, "read-only") {
		t.Errorf("--yes ended with %d: %s", status, out)
	}
	if info, err := os.Stat(w.stateFile()); err != nil || info.Size() != 100 {
		t.Errorf("the state file was changed: %v, %v", info, err)
	}
	w.ecluse(0, "doctor", "--rebuild", "--yes")
	w.mended()
}
