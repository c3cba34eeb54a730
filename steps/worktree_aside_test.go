package steps

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecluse/saga"
	"ecluse/steps/git"
)

// compensateWhile compensates, and calls during before each fact is saved.
func (r *gitRig) compensateWhile(t *testing.T, step saga.Step, during func(key string)) error {
	t.Helper()
	a := saga.NewAttempt(WorktreeStep, r.facts[WorktreeStep], func(key string, data json.RawMessage) error {
		during(key)
		r.facts[WorktreeStep][key] = data
		return nil
	})
	return step.Compensate(t.Context(), a)
}

// saved are all names that are in the trash.
func (r *gitRig) saved(t *testing.T) string {
	t.Helper()
	var names []string
	for ref := range strings.FieldsSeq(r.git(t, r.s.Root, "for-each-ref", "--format=%(refname)", git.TrashRefs)) {
		names = append(names, r.git(t, r.s.Root, "ls-tree", "-r", "--name-only", ref))
	}
	return strings.Join(names, "\n")
}

// TestWorktreeWrittenMeanwhile: what is written after the work was saved, and before the
// first file is removed, is saved too; nothing was there to save before, or something.
func TestWorktreeWrittenMeanwhile(t *testing.T) {
	for _, dirty := range []bool{false, true} {
		r, step := made(t, "new")
		if dirty {
			r.put(t, r.s.Worktree, "early", "x")
		}
		count := 0
		ok(t, r.compensateWhile(t, step, func(key string) {
			if count++; key == worktreeFactKey && exists(r.s.Worktree) {
				r.put(t, r.s.Worktree, "late", "x")
			}
		}))
		names := r.saved(t)
		if !strings.Contains(names, "late") || dirty != strings.Contains(names, "early") {
			t.Errorf("dirty before %v: %d facts, saved: %q", dirty, count, names)
		}
		if exists(r.s.Worktree) {
			t.Error("it is still there")
		}
	}
}

// TestWorktreeWrittenOn: who works in the folder, and not by its path, and does not
// stop, is told of; nothing is lost. When he stops, it goes on.
func TestWorktreeWrittenOn(t *testing.T) {
	r, step := made(t, "new")
	folder, err := os.OpenRoot(r.s.Worktree)
	ok(t, err)
	defer folder.Close()
	number := 0
	on := func(string) {
		number++
		ok(t, folder.WriteFile(strings.Repeat("n", number), []byte("x"), 0o644))
	}
	on("")
	var writing *git.WritingError
	if err := r.compensateWhile(t, step, on); !errors.As(err, &writing) || !saga.IsPermanent(err) {
		t.Fatalf("%v", err)
	}
	if !exists(filepath.Join(r.s.Worktree, "n")) {
		t.Error("it is not in its place")
	}
	ok(t, r.compensate(t, step))
	if names := strings.Fields(r.saved(t)); !strings.Contains(strings.Join(names, " "), strings.Repeat("n", number)) {
		t.Errorf("of %d files, saved: %q", number, names)
	}
	// What only changes is ignored: nobody is told, and nothing kept.
	r, step = made(t, "new")
	r.put(t, r.s.Worktree, "work", "x")
	ok(t, r.compensateWhile(t, step, func(string) {
		if exists(r.s.Worktree) {
			r.put(t, r.s.Worktree, ".env", "x")
		}
	}))
	r.expect(t, "ecluse/trash/feat")
}
