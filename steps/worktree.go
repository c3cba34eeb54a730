package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ecluse/saga"
	"ecluse/steps/git"
)

// worktree makes the session's worktree and, where it must, its branch.
type worktree struct{ *Target }

var (
	_ saga.Step     = worktree{}
	_ saga.Verifier = worktree{}
)

// worktreeStep is the step's name.
const worktreeStep = "worktree"

// worktreeFact is what the step must know to compensate, saved before it acts.
type worktreeFact struct {
	// Made: the worktree is ours, and not one that the user had made.
	Made bool `json:"made"`
	// BranchMade: so is the branch, which began at Base.
	BranchMade bool           `json:"branch_made,omitempty"`
	Resolution git.Resolution `json:"resolution"`
	// Finished is saved after the worktree was whole. From then on what is in
	// it may be the user's, whatever state it is in.
	Finished bool `json:"finished,omitempty"`
}

func planWorktree(p *planner) {
	p.add(saga.Spec{
		Name: worktreeStep, Kind: "worktree", Cause: "every session has one", Keep: true,
		Does:    "git worktree add in " + p.cfg.WorktreeDir + ", on the branch",
		Reverts: "save uncommitted work to refs/ecluse/trash, remove the worktree, and the branch if we made it and it has no commits",
		Policy:  saga.Policy{Timeout: 10 * time.Minute, CompensateTimeout: 10 * time.Minute, CompensateRetries: 2, Backoff: time.Second},
	})
}

func newWorktree(t *Target, _ saga.Spec) saga.Step { return worktree{t} }

// Do makes the worktree, or finishes one that was half made.
func (w worktree) Do(ctx context.Context, a *saga.Attempt) error {
	s := w.Session()
	repo, err := git.Open(ctx, s.Root)
	if err != nil {
		return err
	}
	var fact worktreeFact
	known, err := a.Load("worktree", &fact)
	if err != nil {
		return err
	}
	if !known {
		if fact, err = w.decide(ctx, repo); err != nil {
			return saga.Permanent(err)
		}
		if err := a.Save("worktree", fact); err != nil {
			return err
		}
	}
	// The folder of the worktrees may lie in the main worktree, which must
	// stay clean.
	if rel, err := filepath.Rel(s.Root, s.Worktree); err == nil && filepath.IsLocal(rel) {
		if err := repo.Exclude(ctx, "/"+filepath.ToSlash(filepath.Clean(w.Config.WorktreeDir))+"/"); err != nil {
			return err
		}
	}
	if !fact.Made {
		return repo.Whole(ctx, s.Worktree, "")
	}
	if err := w.make(ctx, repo, fact, known); err != nil || fact.Finished {
		return err
	}
	if fact.Resolution.Kind == git.KindRemote {
		// Without an upstream the worktree is as good.
		if err := repo.Track(ctx, s.Branch); err != nil {
			a.Warn("%v", err)
		}
	}
	fact.Finished = true
	return a.Save("worktree", fact)
}

// make makes the worktree if it is not whole. An earlier attempt may have left a
// part of it, and the branch; the user may have removed it, or be working in it.
func (w worktree) make(ctx context.Context, repo git.Repo, fact worktreeFact, known bool) error {
	s := w.Session()
	err := repo.Whole(ctx, s.Worktree, "")
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, git.ErrNoWorktree) && !errors.Is(err, git.ErrHalfMade) && !errors.Is(err, git.ErrDamaged):
		return err
	case fact.Finished && occupied(s.Worktree):
		// It was whole once: nothing in it is ours to throw away.
		return saga.Permanent(fmt.Errorf("%w; or remove it with: ecluse down --delete-worktree %s", err, s.Slug))
	}
	if _, err := repo.Remove(ctx, s.Worktree, git.RemoveOptions{Remnant: known && !fact.Finished}); err != nil {
		return fmt.Errorf("clear the place of the worktree: %w", err)
	}
	res := fact.Resolution
	if known {
		if res, err = w.again(ctx, repo, res); err != nil {
			return saga.Permanent(err)
		}
	}
	return repo.Add(ctx, s.Worktree, res)
}

// again is what a worktree is made from when it is made once more: the branch may
// have been made, and may have commits by now.
func (w worktree) again(ctx context.Context, repo git.Repo, first git.Resolution) (git.Resolution, error) {
	res, err := repo.Resolve(ctx, first.Branch, first.Base)
	if err != nil || res.Kind == git.KindLocal {
		return res, err
	}
	if first.Kind == git.KindLocal {
		first.Kind = git.KindNew // it was there and is gone
	}
	return first, nil
}

// decide looks at what is there: a worktree of the user's is adopted, anything
// else at the path is in the way.
func (w worktree) decide(ctx context.Context, repo git.Repo) (worktreeFact, error) {
	s := w.Session()
	err := repo.Whole(ctx, s.Worktree, s.Branch)
	switch {
	case err == nil:
		return worktreeFact{}, nil
	case errors.Is(err, git.ErrOtherBranch):
		return worktreeFact{}, err
	}
	entries, readErr := os.ReadDir(s.Worktree)
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		return worktreeFact{}, fmt.Errorf("look at the place of the worktree: %w", readErr)
	}
	if len(entries) > 0 {
		return worktreeFact{}, fmt.Errorf("%s exists and is no worktree of branch %s (%w); move it away", s.Worktree, s.Branch, err)
	}
	res, err := repo.Resolve(ctx, s.Branch, s.From)
	var busy *git.CheckedOutError
	if errors.As(err, &busy) && busy.Gone && git.Same(busy.Path, s.Worktree) {
		err = nil // only the memory of one that was here
	}
	if err != nil {
		return worktreeFact{}, err
	}
	return worktreeFact{Made: true, BranchMade: res.Kind != git.KindLocal, Resolution: res}, nil
}

// occupied reports whether something is at path that is not an empty folder.
func occupied(path string) bool {
	entries, err := os.ReadDir(path)
	return len(entries) > 0 || err != nil && !errors.Is(err, os.ErrNotExist)
}

// Verify looks whether the worktree is there and whole. Which branch is checked
// out in it is the user's affair.
func (w worktree) Verify(ctx context.Context, a *saga.Attempt) error {
	s := w.Session()
	var fact worktreeFact
	known, err := a.Load("worktree", &fact)
	if err != nil {
		return err
	}
	if !known || fact.Made && !fact.Finished {
		return fmt.Errorf("worktree %s was not finished", s.Worktree)
	}
	repo, err := git.Open(ctx, s.Root)
	if err != nil {
		return err
	}
	return repo.Whole(ctx, s.Worktree, "")
}

// Compensate removes what Do made. Work that was not committed is saved first.
func (w worktree) Compensate(ctx context.Context, a *saga.Attempt) error {
	var fact worktreeFact
	known, err := a.Load("worktree", &fact)
	if err != nil || !known {
		return err
	}
	if !fact.Made && !w.Options().DeleteWorktree {
		return nil
	}
	s := w.Session()
	repo, err := git.Open(ctx, s.Root)
	if err != nil {
		return err
	}
	if err := w.saveWork(ctx, repo, fact, a); err != nil {
		return hopeless(err)
	}
	remnant := fact.Made && !fact.Finished
	if _, err := repo.Remove(ctx, s.Worktree, git.RemoveOptions{Remnant: remnant}); err != nil {
		return hopeless(err)
	}
	w.removeParents()
	if !fact.BranchMade {
		return nil
	}
	deleted, err := repo.DeleteBranch(ctx, s.Branch, fact.Resolution.Base)
	if err == nil && !deleted {
		a.Report("branch %s has commits or is in use, and stays", s.Branch)
	}
	return err
}

// hopeless marks the errors that only the user can help.
func hopeless(err error) error {
	var locked *git.LockedError
	if errors.As(err, &locked) || errors.Is(err, git.ErrForeign) || errors.Is(err, git.ErrNested) {
		return saga.Permanent(err)
	}
	return err
}

// removeParents removes the folders of worktrees inside the main one that are
// empty now. Another session may make one anew at the same moment; git.Add
// tries again then.
func (w worktree) removeParents() {
	s := w.Session()
	for dir := filepath.Dir(s.Worktree); ; dir = filepath.Dir(dir) {
		rel, err := filepath.Rel(s.Root, dir)
		if err != nil || rel == "." || !filepath.IsLocal(rel) || os.Remove(dir) != nil {
			return
		}
	}
}

// saveWork puts what is not committed where it can be brought back from.
func (w worktree) saveWork(ctx context.Context, repo git.Repo, fact worktreeFact, a *saga.Attempt) error {
	s := w.Session()
	if !occupied(s.Worktree) {
		return nil
	}
	err := repo.Whole(ctx, s.Worktree, "")
	if errors.Is(err, git.ErrHalfMade) || fact.Made && !fact.Finished && err != nil {
		return nil // nobody has worked in it
	}
	dirty, err := repo.Dirty(ctx, s.Worktree)
	if err != nil || !dirty {
		return err
	}
	trash, err := repo.SaveTrash(ctx, s.Worktree, s.Slug, time.Now())
	if err != nil {
		return err
	}
	if err := a.Save("trash", trash); err != nil {
		return err
	}
	a.Warn("uncommitted work was saved as %s; bring it back with: %s", trash.Ref, trash.Command)
	return nil
}
