package steps

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// gitRig is a repository with a session, as the steps worktree and env see it,
// with the facts that they saved.
type gitRig struct {
	*Target
	s     session.Session
	facts map[string]map[string]json.RawMessage
	// fail makes the n-th fact from now unsaveable, as a crash there does.
	fail int
}

// Session implements session.Handle.
func (r *gitRig) Session() session.Session { return r.s }

// Lease implements session.Handle.
func (r *gitRig) Lease([]session.Want) (session.Session, error) { return r.s, nil }

var errCrash = errors.New("crashed")

// newGitRig makes a repository with one commit, cloned from an origin that has
// the branch theirs, and a session of branch in it.
func newGitRig(t *testing.T, branch string) *gitRig {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, "none"))
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "my repo")
	r := &gitRig{facts: map[string]map[string]json.RawMessage{}, s: session.Session{
		Key: session.Key{Repo: filepath.Join(root, ".git"), Slug: "feat"}, ID: "id-1", Root: root, Branch: branch, Mode: settings.ModeHost,
		Worktree: filepath.Join(root, ".ecluse/worktrees/feat"), Slot: 1, Ports: map[string]int{"app": 3001},
	}}
	cfg := settings.Defaults()
	cfg.Mode = settings.ModeHost
	r.Target = &Target{Handle: r, Config: cfg, Dir: t.TempDir()}
	r.git(t, dir, "init", "-q", "-b", "main", "seed")
	r.put(t, filepath.Join(dir, "seed"), "file", "one\n")
	r.put(t, filepath.Join(dir, "seed"), ".gitignore", ".env\n.env.local\n")
	r.git(t, filepath.Join(dir, "seed"), "add", "-A")
	r.git(t, filepath.Join(dir, "seed"), "commit", "-qm", "begin")
	r.git(t, filepath.Join(dir, "seed"), "branch", "theirs")
	r.git(t, dir, "clone", "-q", "seed", "my repo")
	return r
}

func (r *gitRig) git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=T", "-c", "user.email=t@localhost"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *gitRig) put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// attempt is one attempt of a step, with the facts so far.
func (r *gitRig) attempt(step string) *saga.Attempt {
	if r.facts[step] == nil {
		r.facts[step] = map[string]json.RawMessage{}
	}
	known := map[string]json.RawMessage{}
	for key, value := range r.facts[step] {
		known[key] = value
	}
	return saga.NewAttempt(step, known, func(key string, data json.RawMessage) error {
		if r.fail--; r.fail == 0 {
			return errCrash
		}
		r.facts[step][key] = data
		return nil
	})
}

func (r *gitRig) do(t *testing.T, step saga.Step) error {
	t.Helper()
	name := r.name(step)
	return step.Do(t.Context(), r.attempt(name))
}

func (r *gitRig) verify(t *testing.T, step saga.Step) error {
	t.Helper()
	return step.(saga.Verifier).Verify(t.Context(), r.attempt(r.name(step)))
}

func (r *gitRig) compensate(t *testing.T, step saga.Step) error {
	t.Helper()
	return step.Compensate(t.Context(), r.attempt(r.name(step)))
}

func (r *gitRig) name(step saga.Step) string {
	if _, ok := step.(env); ok {
		return "env"
	}
	return WorktreeStep
}

// ok fails the test on an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// state is what the repository has besides its main worktree and main branch.
func (r *gitRig) state(t *testing.T) []string {
	t.Helper()
	repo, err := git.Open(context.Background(), r.s.Root)
	ok(t, err)
	all, err := repo.Worktrees(context.Background())
	ok(t, err)
	var have []string
	for _, w := range all[1:] {
		have = append(have, "worktree "+w.Branch)
	}
	for branch := range strings.FieldsSeq(r.git(t, r.s.Root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/ecluse")) {
		if branch != "main" {
			have = append(have, strings.Split(branch, "/2")[0])
		}
	}
	if exists(filepath.Join(r.s.Root, ".ecluse")) {
		have = append(have, ".ecluse")
	}
	if status := r.git(t, r.s.Root, "status", "--porcelain"); status != "" {
		have = append(have, status)
	}
	return have
}

func (r *gitRig) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, r.state(t)); diff != "" {
		t.Fatal(diff)
	}
}

// TestWorktreeLife: made and removed for each kind of branch, each twice, as after
// a crash.
func TestWorktreeLife(t *testing.T) {
	for branch, before := range map[string][]string{"new": nil, "theirs": nil, "local": {"local"}} {
		t.Run(branch, func(t *testing.T) {
			r := newGitRig(t, branch)
			if branch == "local" {
				r.git(t, r.s.Root, "branch", "local")
			}
			step := newWorktree(r.Target, saga.Spec{})
			ok(t, r.compensate(t, step)) // without Do
			if r.verify(t, step) == nil {
				t.Error("verified before Do")
			}
			for range 2 {
				ok(t, r.do(t, step))
				ok(t, r.verify(t, step))
			}
			r.expect(t, "worktree "+branch, branch, ".ecluse")
			if upstream := r.git(t, r.s.Root, "for-each-ref", "--format=%(upstream:short)", "refs/heads/"+branch); (upstream == "origin/theirs") != (branch == "theirs") {
				t.Errorf("upstream %q", upstream)
			}
			for range 2 {
				ok(t, r.compensate(t, step))
				r.expect(t, before...)
			}
			if config := r.git(t, r.s.Root, "config", "--local", "--list"); strings.Contains(config, "branch."+branch) {
				t.Errorf("left in the configuration: %s", config)
			}
		})
	}
}

// TestWorktreeCrash: cut off at each fact, the step ends whole when it is done
// again and leaves nothing when it is compensated.
func TestWorktreeCrash(t *testing.T) {
	for fail := 1; fail <= 2; fail++ {
		for _, forward := range []bool{true, false} {
			r := newGitRig(t, "theirs")
			step := newWorktree(r.Target, saga.Spec{})
			r.fail = fail
			if err := r.do(t, step); !errors.Is(err, errCrash) {
				t.Fatalf("fact %d: %v", fail, err)
			}
			if r.verify(t, step) == nil {
				t.Errorf("verified although fact %d is missing", fail)
			}
			if forward {
				ok(t, r.do(t, step))
				ok(t, r.verify(t, step))
				r.expect(t, "worktree theirs", "theirs", ".ecluse")
			}
			ok(t, r.compensate(t, step))
			r.expect(t)
		}
	}
}

// TestWorktreeHalf: what an earlier attempt left at the place is replaced, or
// removed, whatever it is.
func TestWorktreeHalf(t *testing.T) {
	for name, harm := range map[string]func(r *gitRig, t *testing.T, entry string){
		"in its making": func(r *gitRig, t *testing.T, entry string) { r.put(t, entry, "locked", "initializing") },
		"remnant":       func(r *gitRig, t *testing.T, entry string) { ok(t, os.RemoveAll(entry)) },
		"bare files": func(r *gitRig, t *testing.T, entry string) {
			ok(t, errors.Join(os.RemoveAll(entry), os.Remove(filepath.Join(r.s.Worktree, ".git"))))
		},
		"gone":        func(r *gitRig, t *testing.T, entry string) { ok(t, os.RemoveAll(r.s.Worktree)) },
		"branch only": func(r *gitRig, t *testing.T, _ string) { r.git(t, r.s.Root, "worktree", "remove", r.s.Worktree) },
	} {
		for _, forward := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				r := newGitRig(t, "new")
				step := newWorktree(r.Target, saga.Spec{})
				r.fail = 2
				if err := r.do(t, step); !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				harm(r, t, filepath.Join(r.s.Repo, "worktrees", "feat"))
				if forward {
					ok(t, r.do(t, step))
					ok(t, r.verify(t, step))
				}
				ok(t, r.compensate(t, step))
				r.expect(t)
			})
		}
	}
}

// TestWorktreeWork: nothing that the user did in a worktree is lost.
func TestWorktreeWork(t *testing.T) {
	r := newGitRig(t, "new")
	step := newWorktree(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	r.put(t, r.s.Worktree, "work", "precious\n")
	ok(t, os.Remove(filepath.Join(r.s.Worktree, ".git")))
	if err := r.do(t, step); !saga.IsPermanent(err) || !errors.Is(err, git.ErrDamaged) {
		t.Errorf("a damaged worktree with work: %v", err)
	}
	ok(t, r.compensate(t, step))
	r.expect(t, "ecluse/trash/feat")
	var trash git.Trash
	if known, err := r.attempt(WorktreeStep).Load("trash", &trash); !known || err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", trash.Command).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found, _ := filepath.Glob(filepath.Join(r.s.Root, ".ecluse/worktrees/feat-*/work"))
	if len(found) != 1 {
		t.Errorf("%q", found)
	}
}

// TestWorktreeCommits: a branch that we made stays once it has commits; one that
// the user switched to is not ours.
func TestWorktreeCommits(t *testing.T) {
	r := newGitRig(t, "new")
	step := newWorktree(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	r.git(t, r.s.Worktree, "commit", "-q", "--allow-empty", "-m", "work")
	r.git(t, r.s.Worktree, "switch", "-qc", "other")
	ok(t, r.verify(t, step))
	ok(t, r.do(t, step))
	ok(t, r.compensate(t, step))
	r.expect(t, "new", "other")
}

// TestWorktreeReplaced: after the worktree was finished, what somebody put in its
// place is not removed.
func TestWorktreeReplaced(t *testing.T) {
	r := newGitRig(t, "new")
	step := newWorktree(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	r.git(t, r.s.Root, "worktree", "remove", r.s.Worktree)
	r.put(t, r.s.Worktree, "mine", "x")
	if err := r.do(t, step); !saga.IsPermanent(err) {
		t.Errorf("do: %v", err)
	}
	if err := r.compensate(t, step); !saga.IsPermanent(err) || !errors.Is(err, git.ErrForeign) {
		t.Errorf("compensate: %v", err)
	}
	if !exists(filepath.Join(r.s.Worktree, "mine")) {
		t.Fatal("removed")
	}
	ok(t, os.RemoveAll(r.s.Worktree))
	ok(t, r.compensate(t, step))
	r.expect(t)
}

// TestWorktreeAdopted: a worktree that the user made is used, and stays, unless the
// user asks for its removal; then its branch stays.
func TestWorktreeAdopted(t *testing.T) {
	r := newGitRig(t, "mine")
	step := newWorktree(r.Target, saga.Spec{})
	r.git(t, r.s.Root, "worktree", "add", "-q", "-b", "mine", r.s.Worktree)
	ok(t, r.do(t, step))
	ok(t, r.verify(t, step))
	r.put(t, r.s.Worktree, "work", "x")
	ok(t, r.compensate(t, step))
	r.expect(t, "worktree mine", "mine", ".ecluse")
	r.s.Run.Options.DeleteWorktree = true
	r.git(t, r.s.Root, "worktree", "lock", "--reason", "mine", r.s.Worktree)
	var locked *git.LockedError
	if err := r.compensate(t, step); !errors.As(err, &locked) || !saga.IsPermanent(err) {
		t.Fatal(err)
	}
	r.git(t, r.s.Root, "worktree", "unlock", r.s.Worktree)
	ok(t, r.compensate(t, step))
	r.expect(t, "ecluse/trash/feat", "mine")
}

// TestWorktreeInTheWay: what is at the place, or holds the branch, is not touched.
func TestWorktreeInTheWay(t *testing.T) {
	for name, prepare := range map[string]func(r *gitRig, t *testing.T){
		"files":        func(r *gitRig, t *testing.T) { r.put(t, r.s.Worktree, "mine", "x") },
		"other branch": func(r *gitRig, t *testing.T) { r.git(t, r.s.Root, "worktree", "add", "-q", "-b", "x", r.s.Worktree) },
		"branch used":  func(r *gitRig, t *testing.T) { r.git(t, r.s.Root, "switch", "-qc", "new") },
		"name":         func(r *gitRig, _ *testing.T) { r.s.Branch = "--force" },
		"from":         func(r *gitRig, _ *testing.T) { r.s.From = "nothing" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newGitRig(t, "new")
			prepare(r, t)
			before := r.state(t)
			step := newWorktree(r.Target, saga.Spec{})
			if err := r.do(t, step); !saga.IsPermanent(err) {
				t.Fatalf("%v", err)
			}
			ok(t, r.compensate(t, step))
			if after := r.state(t); !slices.Equal(before, after) && name != "files" {
				t.Errorf("%q became %q", before, after)
			}
		})
	}
}

// TestWorktreeVanished: a worktree that the user removed by hand is made again,
// also by a session that knows nothing of it.
func TestWorktreeVanished(t *testing.T) {
	r := newGitRig(t, "new")
	ok(t, r.do(t, newWorktree(r.Target, saga.Spec{})))
	ok(t, os.RemoveAll(r.s.Worktree))
	ok(t, r.do(t, newWorktree(r.Target, saga.Spec{})))
	ok(t, os.RemoveAll(r.s.Worktree))
	r.facts = map[string]map[string]json.RawMessage{}
	step := newWorktree(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	ok(t, r.verify(t, step))
	ok(t, r.compensate(t, step))
	r.expect(t, "new") // which was there before this session
}
