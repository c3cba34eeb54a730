package git

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGone: the directory of a worktree is gone. What only its entry knows, the
// commits on a detached HEAD and what was staged, is saved all the same.
func TestGone(t *testing.T) {
	for name, tt := range map[string]struct {
		work func(t *testing.T, path string)
		want string // the file that comes back; none: there is nothing to save
	}{
		"clean":    {func(*testing.T, string) {}, ""},
		"unstaged": {func(t *testing.T, p string) { write(t, p, "file", "lost with the directory") }, ""},
		"branch":   {func(t *testing.T, p string) { tool(t, p, "commit", "-q", "--allow-empty", "-m", "x") }, ""},
		"staged":   {func(t *testing.T, p string) { write(t, p, "new", "x"); tool(t, p, "add", "new") }, "new"},
		"detached": {func(t *testing.T, p string) {
			tool(t, p, "switch", "-q", "--detach")
			write(t, p, "new", "x")
			tool(t, p, "add", "new")
			tool(t, p, "commit", "-qm", "x")
		}, "new"},
		"own ref": {func(t *testing.T, p string) {
			tool(t, p, "switch", "-q", "--detach")
			write(t, p, "new", "x")
			tool(t, p, "add", "new")
			tool(t, p, "commit", "-qm", "x")
			tool(t, p, "update-ref", "refs/worktree/mine", "HEAD")
		}, "new"},
		"conflict": {func(t *testing.T, p string) {
			write(t, p, "new", "x")
			tool(t, p, "add", "new")
			tool(t, p, "commit", "-qm", "x")
			tool(t, p, "switch", "-q", "--detach", "HEAD~")
			write(t, p, "new", "y")
			tool(t, p, "add", "new")
			tool(t, p, "commit", "-qm", "y")
			_, _ = tryTool(p, "merge", "feat")
		}, "new"},
		"broken index":   {func(t *testing.T, p string) { write(t, linkOf(p), "index", "garbage") }, ""},
		"no index":       {func(t *testing.T, p string) { must(t, os.Remove(filepath.Join(linkOf(p), "index"))) }, ""},
		"no branch":      {func(t *testing.T, p string) { tool(t, p, "update-ref", "-d", "refs/heads/feat") }, "file"},
		"object missing": {missing, "-"},
	} {
		for _, way := range []string{"removed", "moved", "emptied"} {
			t.Run(name+" "+way, func(t *testing.T) {
				repo := newRepo(t)
				path := add(t, repo, "feat")
				tt.work(t, path)
				switch way {
				case "removed":
					must(t, os.RemoveAll(path))
				case "moved":
					must(t, os.Rename(path, filepath.Join(t.TempDir(), "moved")))
				case "emptied":
					must(t, os.RemoveAll(path))
					must(t, os.Mkdir(path, 0o755))
				}
				dirty, err := repo.Dirty(t.Context(), path)
				if err != nil || dirty != (tt.want != "") {
					t.Fatalf("dirty %v, %v", dirty, err)
				}
				if !dirty {
					return
				}
				trash, err := repo.SaveTrash(t.Context(), path, "feat", when)
				must(t, err)
				_, err = repo.Remove(t.Context(), path, RemoveOptions{})
				must(t, err)
				if tt.want == "-" {
					return
				}
				sh(t, trash.Command)
				if found, _ := filepath.Glob(strings.NewReplacer("*", "?", "[", "?").Replace(path) + "-*/" + tt.want); len(found) != 1 {
					t.Errorf("%s did not come back: %q", tt.want, found)
				}
			})
		}
	}
	if dirty, err := newRepo(t).Dirty(t.Context(), filepath.Join(t.TempDir(), "never")); dirty || err != nil {
		t.Errorf("what never was: %v, %v", dirty, err)
	}
}

// missing stages a file and removes its object.
func missing(t *testing.T, path string) {
	write(t, path, "new", "only here")
	tool(t, path, "add", "new")
	object := tool(t, path, "rev-parse", ":new")
	must(t, os.Remove(filepath.Join(linkOf(path), "../../objects", object[:2], object[2:])))
}

func TestMoved(t *testing.T) {
	repo := newRepo(t)
	path, other := add(t, repo, "feat"), add(t, repo, "other")
	identity, err := repo.Identity(path)
	must(t, err)
	if to, err := repo.Moved(path, identity, "feat"); to != "" || err != nil || identity == "" {
		t.Fatalf("in its place: %q, %v", to, err)
	}
	place := filepath.Join(t.TempDir(), "x")
	tool(t, repo.Root, "worktree", "move", path, place)
	for _, branch := range []string{"feat", "else"} {
		if branch != "feat" {
			tool(t, place, "switch", "-qc", branch)
		}
		if to, err := repo.Moved(path, identity, "feat"); to != place || err != nil {
			t.Errorf("%q, %v", to, err)
		}
		if to, err := repo.Moved(path, "", "feat"); (to != "") != (branch == "feat") || err != nil {
			t.Errorf("by branch: %q, %v", to, err)
		}
	}
	// Another worktree that gets the name is another.
	tool(t, repo.Root, "worktree", "remove", place)
	tool(t, repo.Root, "worktree", "add", "-q", "-b", "new", filepath.Join(t.TempDir(), "feat"))
	if to, err := repo.Moved(path, identity, "feat"); to != "" || err != nil {
		t.Errorf("another: %q, %v", to, err)
	}
	must(t, repo.Whole(t.Context(), other, "other"))
}
