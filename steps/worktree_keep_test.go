package steps

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecluse/saga"
	"ecluse/saga/sagatest"
	"ecluse/steps/git"
)

// revert compensates on the way back of a repair.
func (r *gitRig) revert(t *testing.T, step saga.Step) error {
	t.Helper()
	a := r.attempt(WorktreeStep)
	a.Compensating, a.Reverting = true, true
	return step.Compensate(t.Context(), a)
}

// TestWorktreeReverted: a repair that fails leaves a worktree that an earlier run had
// made, whatever is wrong with it, and so with one that was adopted. A teardown after
// that removes the first.
func TestWorktreeReverted(t *testing.T) {
	for name, harm := range map[string]func(r *gitRig, t *testing.T){
		"forgotten": func(r *gitRig, t *testing.T) { ok(t, os.RemoveAll(filepath.Join(r.s.Repo, "worktrees/feat"))) },
		"no link":   func(r *gitRig, t *testing.T) { ok(t, os.Remove(filepath.Join(r.s.Worktree, ".git"))) },
		"no commit": func(r *gitRig, t *testing.T) { r.git(t, r.s.Worktree, "checkout", "-q", "--orphan", "fresh") },
	} {
		for _, adopted := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				r := newGitRig(t, "new")
				r.s.Run.ID = "r1"
				step := newWorktree(r.Target, saga.Spec{})
				if adopted {
					r.git(t, r.s.Root, "worktree", "add", "-q", "-b", "new", r.s.Worktree)
				}
				ok(t, r.do(t, step))
				r.put(t, r.s.Worktree, ".env", "SECRET\n") // which git ignores
				harm(r, t)
				r.s.Run.ID = "r2"
				if r.do(t, step) == nil {
					t.Fatal("made whole")
				}
				if err := r.revert(t, step); !errors.Is(err, saga.ErrKept) {
					t.Errorf("%v", err)
				}
				if !exists(filepath.Join(r.s.Worktree, ".env")) {
					t.Fatal("removed")
				}
				ok(t, r.compensate(t, step))
				if exists(r.s.Worktree) != adopted {
					t.Errorf("adopted %t, there %t", adopted, !adopted)
				}
			})
		}
	}
}

// TestWorktreeMadeAgain: where nothing was left, a repair makes the worktree anew, also
// if it is cut off at that; and that goes with the repair.
func TestWorktreeMadeAgain(t *testing.T) {
	for _, forward := range []bool{false, true} {
		r := newGitRig(t, "theirs")
		r.s.Run.ID = "r1"
		step := newWorktree(r.Target, saga.Spec{})
		ok(t, r.do(t, step))
		r.git(t, r.s.Worktree, "branch", "-q", "--unset-upstream")
		ok(t, os.RemoveAll(r.s.Worktree))
		r.s.Run.ID = "r2"
		for fail := range 2 {
			r.fail = fail + 1
			if err := r.do(t, step); !errors.Is(err, errCrash) {
				t.Fatalf("fact %d: %v", fail, err)
			}
		}
		r.put(t, filepath.Join(r.s.Repo, "worktrees/feat"), "locked", "initializing")
		if forward {
			ok(t, r.do(t, step))
			ok(t, r.verify(t, step))
			if upstream := r.git(t, r.s.Root, "for-each-ref", "--format=%(upstream:short)", "refs/heads/theirs"); upstream != "" {
				t.Errorf("the upstream is %s again", upstream)
			}
		}
		ok(t, r.revert(t, step))
		r.expect(t)
		r.s.Run.ID = "r3"
		ok(t, r.do(t, step))
		ok(t, r.verify(t, step))
		ok(t, r.compensate(t, step))
		r.expect(t)
	}
}

// TestWorktreeKeptThoughNotDone: a teardown that is to keep the worktree keeps it as long
// as nothing of it was removed, and says it where it cannot.
func TestWorktreeKeptThoughNotDone(t *testing.T) {
	r := newGitRig(t, "new")
	plan := saga.Plan{Steps: []saga.Spec{{Name: WorktreeStep, Kind: "worktree"}}}
	journal := sagatest.NewJournal(plan)
	if said := r.warnings(t, journal, plan, saga.RunForward); said != "" {
		t.Errorf("up: %s", said)
	}
	r.git(t, r.s.Worktree, "init", "-q", "nested")
	r.warnings(t, journal, plan, saga.RunBackward)
	if phase := journal.Phase(WorktreeStep); phase != saga.CompensationFailed {
		t.Fatalf("down: %s", phase)
	}
	r.s.Run.Options.KeepWorktree = true
	if said := r.warnings(t, journal, plan, saga.RunBackward); said != "" || journal.Phase(WorktreeStep) != saga.Done {
		t.Errorf("down --keep-worktree: %s, %s", journal.Phase(WorktreeStep), said)
	}
	r.expect(t, "worktree new", "new", ".ecluse")
	ok(t, os.RemoveAll(filepath.Join(r.s.Worktree, "nested")))

	r.s.Run.Options.KeepWorktree = false
	r.put(t, r.s.Worktree, "stuck", "x")
	loosen := stick(t, filepath.Join(r.s.Worktree, "stuck"))
	r.warnings(t, journal, plan, saga.RunBackward)
	r.s.Run.Options.KeepWorktree = true
	loosen()
	if said := r.warnings(t, journal, plan, saga.RunBackward); !strings.Contains(said, "cannot be kept any more") || !strings.Contains(said, git.TrashRefs) {
		t.Errorf("a ruin: %q", said)
	}
	r.expect(t, "ecluse/trash/feat")
}

// TestWorktreeNotFinished: nobody has worked in it, and it goes.
func TestWorktreeNotFinished(t *testing.T) {
	r := newGitRig(t, "new")
	step := newWorktree(r.Target, saga.Spec{})
	r.fail = 2
	if err := r.do(t, step); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	r.s.Run.Options.KeepWorktree = true
	ok(t, r.compensate(t, step))
	r.expect(t)
}

// TestWorktreePutAside: a teardown that gave up, or was cut off, after it had saved the
// work and put the worktree aside has removed nothing: it can still be kept.
func TestWorktreePutAside(t *testing.T) {
	r, step := made(t, "new")
	r.put(t, r.s.Worktree, ".env", "SECRET\n")
	r.put(t, r.s.Worktree, "work", "x")
	r.fail = 3 // the work, that it begins, and that files go
	if err := r.compensate(t, step); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if r.verify(t, step) == nil {
		t.Fatal("it had not begun")
	}
	r.s.Run.Options.KeepWorktree = true
	if err := r.compensate(t, step); !errors.Is(err, saga.ErrKept) {
		t.Fatal(err)
	}
	ok(t, r.verify(t, step))
	if !exists(filepath.Join(r.s.Worktree, ".env")) || !exists(filepath.Join(r.s.Worktree, "work")) {
		t.Error("removed")
	}
}
