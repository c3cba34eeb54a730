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
