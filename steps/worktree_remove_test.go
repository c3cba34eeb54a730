package steps

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ecluse/saga"
	"ecluse/saga/sagatest"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// made is a rig whose worktree is made.
func made(t *testing.T, branch string) (*gitRig, saga.Step) {
	t.Helper()
	r := newGitRig(t, branch)
	step := newWorktree(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	return r, step
}

// commitDetached makes a commit that no branch has.
func (r *gitRig) commitDetached(t *testing.T) {
	t.Helper()
	r.git(t, r.s.Worktree, "switch", "-q", "--detach")
	r.put(t, r.s.Worktree, "work", "precious\n")
	r.git(t, r.s.Worktree, "add", "work")
	r.git(t, r.s.Worktree, "commit", "-qm", "work")
}

// trash is the work that was saved last.
func (r *gitRig) trash(t *testing.T) git.Trash {
	t.Helper()
	var trash git.Trash
	if known, err := r.attempt(WorktreeStep).Load("trash", &trash); !known || err != nil {
		t.Fatalf("no trash: %v", err)
	}
	return trash
}

// stick makes a file undeletable and returns what makes it deletable again.
func stick(t *testing.T, path string) func() {
	t.Helper()
	if out, err := exec.Command("chattr", "+i", path).CombinedOutput(); err != nil {
		t.Skipf("chattr +i: %v: %s", err, out)
	}
	loosen := func() { _ = exec.Command("chattr", "-i", path).Run() }
	t.Cleanup(loosen)
	return loosen
}

// TestWorktreeStuck: a file that cannot be removed. Work is saved once, without what
// is ignored, however often it is tried; then it goes on where it was, forward or
// backward.
func TestWorktreeStuck(t *testing.T) {
	for _, forward := range []bool{false, true} {
		r, step := made(t, "new")
		r.put(t, r.s.Worktree, "dir/stuck", "x")
		r.put(t, r.s.Worktree, ".env", "SECRET\n")
		loosen := stick(t, filepath.Join(r.s.Worktree, "dir/stuck"))
		for range 3 {
			var at *git.UndeletableError
			if err := r.compensate(t, step); !errors.As(err, &at) || !saga.IsPermanent(err) || at.Path != filepath.Join(r.s.Worktree, "dir/stuck") {
				t.Fatalf("%v", err)
			}
			r.expect(t, "worktree new", "ecluse/trash/feat", "new", ".ecluse")
		}
		if files := r.git(t, r.s.Root, "ls-tree", "-r", "--name-only", r.trash(t).Ref); files != ".gitignore\ndir/stuck\nfile" {
			t.Errorf("saved: %q", files)
		}
		if r.verify(t, step) == nil {
			t.Error("a ruin was verified")
		}
		if forward && r.do(t, step) == nil {
			t.Error("made of a ruin")
		}
		loosen()
		if forward {
			ok(t, r.do(t, step))
			ok(t, r.verify(t, step))
			if status := r.git(t, r.s.Worktree, "status", "--porcelain"); status != "" {
				t.Errorf("not whole: %s", status)
			}
		}
		ok(t, r.compensate(t, step))
		r.expect(t, "ecluse/trash/feat")
	}
}

// TestWorktreeRuin: what somebody writes into what is left of a removal is work,
// and what they put in its place is theirs.
func TestWorktreeRuin(t *testing.T) {
	r, step := made(t, "new")
	r.put(t, r.s.Worktree, "stuck", "x")
	loosen := stick(t, filepath.Join(r.s.Worktree, "stuck"))
	if r.compensate(t, step) == nil {
		t.Fatal("removed")
	}
	r.put(t, r.s.Worktree, "more", "x")
	loosen()
	loosen = stick(t, filepath.Join(r.s.Worktree, "stuck"))
	if r.compensate(t, step) == nil {
		t.Fatal("removed")
	}
	if got := r.git(t, r.s.Root, "cat-file", "-p", r.trash(t).Ref+":more"); got != "x" {
		t.Errorf("%q", got)
	}
	loosen()
	ok(t, os.RemoveAll(r.s.Worktree))
	r.put(t, r.s.Worktree, ".git/mine", "x")
	if err := r.compensate(t, step); !errors.Is(err, git.ErrForeign) {
		t.Errorf("%v", err)
	}
	if !exists(filepath.Join(r.s.Worktree, ".git/mine")) {
		t.Error("removed")
	}
}

// TestWorktreeRefused: a removal that is refused has not begun: what is written
// until the next one is work like any other.
func TestWorktreeRefused(t *testing.T) {
	r, step := made(t, "new")
	r.git(t, r.s.Root, "worktree", "lock", r.s.Worktree)
	if r.compensate(t, step) == nil {
		t.Fatal("removed")
	}
	ok(t, r.verify(t, step))
	r.put(t, r.s.Worktree, "work", "x")
	r.git(t, r.s.Root, "worktree", "unlock", r.s.Worktree)
	ok(t, r.compensate(t, step))
	r.expect(t, "ecluse/trash/feat")
}

// TestWorktreeCutOff: cut off at each fact of a removal, it ends the same, with one
// ref in the trash.
func TestWorktreeCutOff(t *testing.T) {
	for fail := 1; fail <= 3; fail++ {
		r, step := made(t, "new")
		r.put(t, r.s.Worktree, "work", "x")
		r.fail = fail
		if err := r.compensate(t, step); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if begun := r.verify(t, step) != nil; begun != (fail == 3) {
			t.Errorf("fact %d: begun %v", fail, begun)
		}
		if fail == 3 { // killed, with the worktree aside
			ok(t, os.Rename(r.s.Worktree, filepath.Join(filepath.Dir(r.s.Worktree), ".feat.ecluse-removed")))
		}
		ok(t, r.compensate(t, step))
		r.expect(t, "ecluse/trash/feat")
		ok(t, r.compensate(t, step))
	}
}

// TestWorktreeMount: nothing is saved, and nothing removed, as long as something is
// mounted in the worktree.
func TestWorktreeMount(t *testing.T) {
	r, step := made(t, "new")
	outside := t.TempDir()
	r.put(t, outside, "precious", "x")
	at := filepath.Join(r.s.Worktree, "data")
	ok(t, os.Mkdir(at, 0o755))
	if err := unix.Mount(outside, at, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	var mount *git.MountError
	if err := r.compensate(t, step); !errors.As(err, &mount) || !saga.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	r.expect(t, "worktree new", "new", ".ecluse")
	if !exists(filepath.Join(outside, "precious")) {
		t.Fatal("removed")
	}
	ok(t, unix.Unmount(at, 0))
	ok(t, r.compensate(t, step))
	r.expect(t)
}

// TestWorktreeGoneWork: the directory is gone, and with it the only way to commits
// on a detached HEAD. They are saved before the entry goes, whatever removes it.
func TestWorktreeGoneWork(t *testing.T) {
	for name, forget := range map[string]func(r *gitRig, t *testing.T, step saga.Step){
		"down": func(r *gitRig, t *testing.T, step saga.Step) { ok(t, r.compensate(t, step)) },
		"up":   func(r *gitRig, t *testing.T, step saga.Step) { ok(t, r.do(t, step)) },
		"up of another session": func(r *gitRig, t *testing.T, step saga.Step) {
			r.facts = map[string]map[string]json.RawMessage{}
			ok(t, r.do(t, step))
		},
	} {
		for _, moved := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				r, step := made(t, "new")
				r.commitDetached(t)
				if moved {
					ok(t, os.Rename(r.s.Worktree, filepath.Join(t.TempDir(), "moved")))
				} else {
					ok(t, os.RemoveAll(r.s.Worktree))
				}
				forget(r, t, step)
				if got := r.git(t, r.s.Root, "cat-file", "-p", r.trash(t).Ref+":work"); got != "precious" {
					t.Errorf("%q", got)
				}
			})
		}
	}
}

// TestWorktreeMoved: a worktree that the user moved stays where it is, with its
// branch.
func TestWorktreeMoved(t *testing.T) {
	r, step := made(t, "new")
	to := filepath.Join(t.TempDir(), "x")
	r.git(t, r.s.Root, "worktree", "move", r.s.Worktree, to)
	r.put(t, to, "work", "x")
	ok(t, r.compensate(t, step))
	r.expect(t, "worktree new", "new")
	if !exists(filepath.Join(to, "work")) {
		t.Error("removed")
	}
}

// TestWorktreeFile: a file in the place of the worktree, or on the way to it.
func TestWorktreeFile(t *testing.T) {
	for _, parent := range []bool{false, true} {
		for _, before := range []bool{false, true} {
			r := newGitRig(t, "new")
			step := newWorktree(r.Target, saga.Spec{})
			at := r.s.Worktree
			if parent {
				at = filepath.Dir(at)
			}
			if before {
				ok(t, r.do(t, step))
				ok(t, os.RemoveAll(at))
			}
			r.put(t, filepath.Dir(at), filepath.Base(at), "mine")
			if err := r.do(t, step); !saga.IsPermanent(err) || errors.Is(err, unix.ENOTDIR) {
				t.Errorf("do: %v", err)
			}
			err := r.compensate(t, step)
			if refused := before && !parent; refused != errors.Is(err, git.ErrForeign) || refused != (err != nil) {
				t.Errorf("parent %v, before %v: compensate: %v", parent, before, err)
			}
			if before && r.compensate(t, newEnv(r.Target, saga.Spec{})) != nil {
				t.Error("env is not compensated")
			}
			if data, err := os.ReadFile(at); err != nil || string(data) != "mine" {
				t.Errorf("%s, %v", data, err)
			}
		}
	}
}

// TestRepositoryGone: with the repository gone, both steps end; a worktree elsewhere
// is kept.
func TestRepositoryGone(t *testing.T) {
	for _, outside := range []bool{false, true} {
		for _, moved := range []bool{false, true} {
			r := newGitRig(t, "new")
			r.Config.InheritEnv = nil
			if outside {
				r.s.Worktree = filepath.Join(t.TempDir(), "feat")
			}
			list := []saga.Step{newEnv(r.Target, saga.Spec{}), newWorktree(r.Target, saga.Spec{})}
			ok(t, r.do(t, list[1]))
			ok(t, r.do(t, list[0]))
			r.put(t, r.s.Worktree, "work", "x")
			if moved {
				ok(t, os.Rename(r.s.Root, r.s.Root+"2"))
			} else {
				ok(t, os.RemoveAll(r.s.Root))
			}
			for range 2 {
				for _, step := range list {
					ok(t, r.compensate(t, step))
				}
			}
			if exists(filepath.Join(r.s.Worktree, "work")) != outside || exists(filepath.Join(r.s.Worktree, settings.EnvFile)) {
				t.Errorf("outside %v, moved %v", outside, moved)
			}
		}
	}
}

// TestRepositoryAbove: git finds a repository in a folder above one that is gone.
// That one gets no worktree.
func TestRepositoryAbove(t *testing.T) {
	r := newGitRig(t, "new")
	above := filepath.Dir(r.s.Root)
	r.git(t, above, "init", "-q")
	r.git(t, above, "commit", "-q", "--allow-empty", "-m", "x")
	ok(t, os.Rename(r.s.Repo, r.s.Repo+"2"))
	if err := r.do(t, newWorktree(r.Target, saga.Spec{})); !saga.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	if exists(r.s.Worktree) {
		t.Error("made in the other repository")
	}
}

// warnings runs the step in a saga, forward or backward, and returns what it warns of.
func (r *gitRig) warnings(t *testing.T, journal *sagatest.Journal, plan saga.Plan, kind saga.EventKind) string {
	t.Helper()
	var mu sync.Mutex
	var list []string
	runner := &saga.Runner{
		Plan: plan, RunID: "run", Journal: journal,
		Step: func(spec saga.Spec) (saga.Step, error) { return newWorktree(r.Target, spec), nil },
		Sink: saga.SinkFunc(func(n saga.Notice) {
			mu.Lock()
			defer mu.Unlock()
			if n.Warning {
				list = append(list, n.Message)
			}
		}),
	}
	d, err := journal.Begin("run", saga.Event{Kind: kind})
	ok(t, err)
	_, err = runner.Run(t.Context(), t.Context(), d)
	ok(t, err)
	mu.Lock()
	defer mu.Unlock()
	return strings.Join(list, "\n")
}

// TestWorktreeWarns: whoever ends a removal tells what became of the work, also of
// what another began; and that a worktree was moved, is gone, or outlives its
// repository.
func TestWorktreeWarns(t *testing.T) {
	for name, harm := range map[string]func(r *gitRig, t *testing.T) (want string, loosen func()){
		"nothing": func(*gitRig, *testing.T) (string, func()) { return "", nil },
		"cut off": func(r *gitRig, t *testing.T) (string, func()) {
			r.put(t, r.s.Worktree, "work", "x")
			return git.TrashRefs, stick(t, filepath.Join(r.s.Worktree, "work"))
		},
		"moved": func(r *gitRig, t *testing.T) (string, func()) {
			to := filepath.Join(t.TempDir(), "x")
			r.git(t, r.s.Root, "worktree", "move", r.s.Worktree, to)
			return to, nil
		},
		"gone": func(r *gitRig, t *testing.T) (string, func()) {
			ok(t, os.RemoveAll(r.s.Worktree))
			return r.s.Worktree, nil
		},
		"repository gone": func(r *gitRig, t *testing.T) (string, func()) {
			ok(t, os.Rename(r.s.Repo, r.s.Repo+"2"))
			return r.s.Worktree, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newGitRig(t, "new")
			plan := saga.Plan{Steps: []saga.Spec{{Name: WorktreeStep, Kind: "worktree"}}}
			journal := sagatest.NewJournal(plan)
			if said := r.warnings(t, journal, plan, saga.RunForward); said != "" {
				t.Errorf("up: %s", said)
			}
			want, loosen := harm(r, t)
			runs := 1
			if loosen != nil {
				runs = 2
			}
			for i := range runs {
				if i == 1 {
					loosen()
				}
				if said := r.warnings(t, journal, plan, saga.RunBackward); want == "" && said != "" || !strings.Contains(said, want) {
					t.Errorf("down %d: %q, want %q", i, said, want)
				}
			}
			if phase := journal.Phase(WorktreeStep); phase != saga.Compensated {
				t.Errorf("%s", phase)
			}
		})
	}
}
