package git

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMend: what keeps git from a worktree is seen, keeps its work from being saved, and
// so it from being removed; the error has the line that mends it.
func TestMend(t *testing.T) {
	for name, harm := range map[string]func(repo Repo, path string){
		"index": func(_ Repo, p string) { write(t, linkOf(p), "index", "garbage") },
		"head":  func(_ Repo, p string) { write(t, linkOf(p), "HEAD", "") },
		"link elsewhere": func(r Repo, p string) {
			other := newRepo(t)
			at := add(t, other, "other")
			write(t, p, ".git", "gitdir: "+linkOf(at)+"\n")
			t.Cleanup(func() { // the other one is as it was
				if e, found, err := other.entryOf(at); err != nil || !found || e.dir != linkOf(at) {
					t.Errorf("%+v, %v, %v", e, found, err)
				}
			})
		},
		"gitdir": func(_ Repo, p string) { write(t, linkOf(p), "gitdir", "/workspace/.git\n") },
	} {
		t.Run(name, func(t *testing.T) {
			repo, path := seed(t)
			write(t, path, "work", "x")
			harm(repo, path)
			err := repo.Whole(t.Context(), path, "")
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v", err)
			}
			options := RemoveOptions{Begin: func() error { _, err := repo.Dirty(t.Context(), path); return err }}
			_, removeErr := repo.Remove(t.Context(), path, options)
			if !errors.Is(removeErr, ErrDamaged) && !errors.Is(removeErr, ErrForeign) || !isFile(filepath.Join(path, "work")) {
				t.Fatalf("%v", removeErr)
			}
			for _, err := range []error{err, removeErr} {
				if !strings.Contains(err.Error(), "with: ") {
					t.Errorf("no advice: %v", err)
				}
			}
			_, line, _ := strings.Cut(err.Error(), "with: ")
			sh(t, strings.ReplaceAll(line, "BRANCH", "feat"))
			must(t, repo.Whole(t.Context(), path, "feat"))
			if dirty, err := repo.Dirty(t.Context(), path); err != nil || !dirty {
				t.Errorf("dirty %v, %v", dirty, err)
			}
			_, err = repo.Remove(t.Context(), path, RemoveOptions{})
			must(t, err)
			if left := traces(t, repo); len(left) != 1 {
				t.Errorf("left: %q", left)
			}
			if _, err := os.Lstat(path); !absent(err) {
				t.Errorf("%v", err)
			}
		})
	}
}
