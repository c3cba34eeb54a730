package git

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSaveTrashStaged: what was staged of a file that was changed after that is kept, as
// git stash does, and only then: one who takes the commit for changes needs one parent.
func TestSaveTrashStaged(t *testing.T) {
	stage := func(p, name, text string) { write(t, p, name, text); tool(t, p, "add", name) }
	for name, tt := range map[string]struct {
		work func(p string)
		file string // of which something is kept
	}{
		"changed":         {func(p string) { stage(p, "edit", "staged"); write(t, p, "edit", "later") }, "edit"},
		"changed back":    {func(p string) { stage(p, "edit", "staged"); write(t, p, "edit", "edit\n") }, "edit"},
		"new and changed": {func(p string) { stage(p, "new", "staged"); write(t, p, "new", "later") }, "new"},
		"new and gone":    {func(p string) { stage(p, "new", "staged"); must(t, os.Remove(filepath.Join(p, "new"))) }, "new"},
		"only staged":     {func(p string) { stage(p, "new", "staged"); write(t, p, "edit", "later") }, ""},
		"only changed":    {func(p string) { write(t, p, "edit", "later") }, ""},
		"taken out":       {func(p string) { tool(t, p, "rm", "-q", "--cached", "edit"); write(t, p, "edit", "later") }, ""},
		"intended":        {func(p string) { write(t, p, "new", "later"); tool(t, p, "add", "-N", "new") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo, path := seed(t)
			tt.work(path)
			want := files(t, path)
			trash, err := repo.SaveTrash(t.Context(), path, "feat", when)
			must(t, err)
			again, err := repo.SaveTrash(t.Context(), path, "feat", when.Add(time.Hour))
			must(t, err)
			if again != trash {
				t.Errorf("%v and %v", trash, again)
			}
			if parents := strings.Fields(tool(t, repo.Root, "log", "-1", "--format=%P", trash.Ref)); (len(parents) == 2) != (tt.file != "") || parents[0] != tool(t, path, "rev-parse", "HEAD") {
				t.Errorf("parents %q", parents)
			}
			if (trash.Staged != "") != (tt.file != "") {
				t.Errorf("%+v", trash)
			}
			if tt.file != "" {
				if have := tool(t, repo.Root, "cat-file", "-p", trash.Staged+":"+tt.file); have != "staged" {
					t.Errorf("staged: %q", have)
				}
				tool(t, path, "reset", "-q", "--hard")
				tool(t, path, "stash", "apply", "--index", "-q", trash.Ref)
				if have := tool(t, path, "show", ":"+tt.file); have != "staged" {
					t.Errorf("staged, with git stash apply: %q", have)
				}
				return
			}
			if have := restored(t, repo, path); len(have) != len(want) || have["edit"] != want["edit"] {
				t.Errorf("%v, want %v", have, want)
			}
		})
	}
}
