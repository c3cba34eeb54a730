package git

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRemoveLooksAgain: what is written after the work was saved is seen before the first
// file goes, at a place where nobody finds it by its path.
func TestRemoveLooksAgain(t *testing.T) {
	repo, path := seed(t)
	write(t, path, "new", "x")
	looked := 0
	options := RemoveOptions{
		Begin: func() error { write(t, path, "late", "x"); return nil },
		Look: func(at string) error {
			looked++
			if at == path || !Same(BeforeAside(at), path) || isDir(path) {
				t.Errorf("it is at %s", at)
			}
			if have := files(t, at); have["late"] == "" || have["edit"] == "" || have["new"] == "" {
				t.Errorf("there is %v", have)
			}
			trash, err := repo.SaveTrash(t.Context(), at, "feat", when)
			must(t, err)
			if have := tool(t, repo.Root, "cat-file", "-p", trash.Ref+":late"); have != "x" {
				t.Errorf("saved: %s", have)
			}
			return nil
		},
	}
	removed, err := repo.Remove(t.Context(), path, options)
	if err != nil || !removed || looked != 1 {
		t.Fatalf("%v, %v, looked %d times", removed, err, looked)
	}
	if left := traces(t, repo); len(left) != 1 || left[0] != "refs/heads/feat" {
		t.Errorf("left: %q", left)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err == nil && len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestRemoveAsideFails: a removal that fails after it has put the worktree aside gives it
// its place again, and names it by that.
func TestRemoveAsideFails(t *testing.T) {
	repo, path := seed(t)
	cut := errors.New("cut")
	_, err := repo.Remove(t.Context(), path, RemoveOptions{Look: func(string) error { return cut }})
	if !errors.Is(err, cut) {
		t.Fatal(err)
	}
	must(t, repo.Whole(t.Context(), path, "feat"))
	fix(t, filepath.Join(path, "edit"))
	_, err = repo.Remove(t.Context(), path, RemoveOptions{Look: func(string) error { return nil }})
	var stuck *UndeletableError
	if !errors.As(err, &stuck) || stuck.Path != filepath.Join(path, "edit") {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

// TestRemoveAsideLeft: what a removal that was killed has put aside is looked at and goes,
// also if something is in its place by now.
func TestRemoveAsideLeft(t *testing.T) {
	for _, anew := range []bool{false, true} {
		repo, path := seed(t)
		write(t, path, "late", "x")
		must(t, os.Rename(path, asideOf(path)))
		if anew {
			write(t, path, "more", "x")
		}
		seen := map[string]string{}
		_, err := repo.Remove(t.Context(), path, RemoveOptions{Look: func(at string) error {
			for name, text := range files(t, at) {
				seen[name] = text
			}
			return nil
		}})
		if err != nil || seen["late"] == "" || anew != (seen["more"] != "") {
			t.Errorf("anew %v: %v, seen %v", anew, err, seen)
		}
		if left := traces(t, repo); len(left) != 1 || left[0] != "refs/heads/feat" {
			t.Errorf("left: %q", left)
		}
		if left, err := os.ReadDir(filepath.Dir(path)); err == nil && len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestRemoveMadeAnew: what somebody makes in the place of a worktree that is being removed
// is asked about like the first, and not for ever.
func TestRemoveMadeAnew(t *testing.T) {
	for _, times := range []int{1, rounds} {
		repo, path := seed(t)
		asked, looked := 0, 0
		_, err := repo.Remove(t.Context(), path, RemoveOptions{
			Begin: func() error { asked++; return nil },
			Look: func(string) error {
				if looked++; looked <= times {
					write(t, path, "anew", "x")
				}
				return nil
			},
		})
		var writing *WritingError
		if times < rounds && (err != nil || asked != 2) || times == rounds && (!errors.As(err, &writing) || asked != rounds) {
			t.Errorf("made anew %d times, asked %d times: %v", times, asked, err)
		}
	}
}

// TestWrittenSince: each way in which something comes into a worktree, or changes.
func TestWrittenSince(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	for name, tt := range map[string]struct {
		change func(path string)
		want   bool
	}{
		"nothing": {func(string) {}, false},
		"renamed": {func(p string) { must(t, os.Rename(p, asideOf(p))); must(t, os.Rename(asideOf(p), p)) }, false},
		"new":     {func(p string) { write(t, p, "dir/new", "x") }, true},
		"changed": {func(p string) { write(t, p, "edit", "x") }, true},
		"old": {func(p string) {
			write(t, p, "edit", "x")
			must(t, os.Chtimes(filepath.Join(p, "edit"), long, long))
		}, true},
		"moved in": {func(p string) {
			from := filepath.Join(filepath.Dir(p), "from")
			write(t, from, "deep/file", "x")
			must(t, os.Rename(from, filepath.Join(p, "dir", "in")))
		}, true},
		"staged": {func(p string) { tool(t, p, "rm", "-q", "--cached", "edit") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			repo, path := seed(t)
			since := time.Now().Add(2 * slack) // what seed wrote is before
			for probe := t.TempDir(); !touched(probe, true, since); {
				write(t, probe, "x", "")
				must(t, os.Remove(filepath.Join(probe, "x")))
			}
			tt.change(path)
			if have := repo.WrittenSince(path, since); have != tt.want {
				t.Errorf("%v", have)
			}
		})
	}
}
