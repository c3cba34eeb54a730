package git

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestListWhileEmptied: a worktree, the only one, comes and goes while worktrees are
// listed.
func TestListWhileEmptied(t *testing.T) {
	repo := newRepo(t)
	dir := filepath.Join(repo.CommonDir, "worktrees")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				entry := filepath.Join(dir, "other")
				_ = os.MkdirAll(entry, 0o755)
				for name, text := range map[string]string{"gitdir": "/nowhere/.git\n", "HEAD": "ref: refs/heads/main\n", "commondir": "../..\n"} {
					_ = os.WriteFile(filepath.Join(entry, name), []byte(text), 0o600)
				}
				_ = os.RemoveAll(entry)
				_ = os.Remove(dir)
			}
		}
	}()
	for began := time.Now(); time.Since(began) < time.Second; {
		if _, err := repo.Worktrees(t.Context()); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	<-stopped
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestBrokenEntry: git was killed while it wrote the last file of an entry, and now
// cannot list worktrees. What was half made can be removed all the same.
func TestBrokenEntry(t *testing.T) {
	repo := newRepo(t)
	path := add(t, repo, "feat")
	write(t, linkOf(path), "locked", "initializing")
	write(t, linkOf(path), "commondir", "")
	if out, err := tryTool(repo.Root, "worktree", "list"); err == nil {
		t.Logf("this git does not mind: %s", out)
	}
	have, err := Open(t.Context(), repo.Root)
	if err != nil || have != repo {
		t.Fatalf("%+v, %v", have, err)
	}
	if err := repo.Whole(t.Context(), path, "feat"); !errors.Is(err, ErrHalfMade) {
		t.Error(err)
	}
	_, err = repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
	if left := traces(t, repo); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}
