package git

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The entry of feat-11 is an empty directory for a moment while it is being made.
// Removing feat-1, after which git might have called it so, leaves it alone.
func TestRemoveLeavesTheEntryThatIsBeingMadeForAnotherPath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := Repo{CommonDir: filepath.Join(dir, ".git"), Root: dir}
	entry := func(name string) string { return filepath.Join(r.CommonDir, "worktrees", name) }
	for _, name := range []string{"feat-1", "feat-11", "feat-12"} {
		if err := os.MkdirAll(entry(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(entry("feat-12"), old, old); err != nil {
		t.Fatal(err)
	}
	mine, err := r.entriesFor(filepath.Join(dir, "feat-1"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, e := range mine {
		got[filepath.Base(e.dir)] = true
	}
	if !got["feat-1"] || got["feat-11"] || !got["feat-12"] {
		t.Errorf("entries of feat-1: %v; want feat-1, and feat-12, which nobody is making any more", got)
	}
}
