package git

import (
	"os"
	"path/filepath"
	"testing"
)

// TestScratch: what a process that was killed has left goes with the next look, that of
// one that lives does not, and nothing is outside of the repository.
func TestScratch(t *testing.T) {
	repo, path := seed(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	alive, err := repo.open(path)
	must(t, err)
	left := filepath.Join(linkOf(path), scratchName+"1")
	write(t, left, "index", "x")
	write(t, filepath.Join(repo.CommonDir, scratchName+"2"), "index", "x")
	if _, err := repo.Dirty(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if isDir(left) || !isFile(alive.index) {
		t.Errorf("what was left: %v; what is used: %v", isDir(left), isFile(alive.index))
	}
	if list, err := os.ReadDir(temp); err != nil || len(list) > 0 {
		t.Errorf("outside: %v, %v", list, err)
	}
	alive.close()
	_, err = repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
	if list, _ := filepath.Glob(filepath.Join(repo.CommonDir, "*", "*"+scratchName+"*")); len(list) > 0 {
		t.Errorf("left: %q", list)
	}
	if isDir(filepath.Join(repo.CommonDir, scratchName+"2")) {
		t.Error("it stayed in the repository's own folder")
	}
}
