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

// WorktreeStep is the step's name.
const WorktreeStep = "worktree"

// WorktreeFact is what the step must know to compensate, saved before it acts.
type WorktreeFact struct {
	// Made: the worktree is ours, and not one that the user had made.
	Made bool `json:"made"`
	// BranchMade: so is the branch, which began at Base.
	BranchMade bool           `json:"branch_made,omitempty"`
	Resolution git.Resolution `json:"resolution"`
	// Run that made it last: the way back of another one leaves it.
	Run string `json:"run,omitempty"`
	// Finished is saved after the worktree was whole. From then on what is in
	// it may be the user's, whatever state it is in.
	Finished bool `json:"finished,omitempty"`
	// Identity is the git package's, saved with Finished: by it the worktree is
	// found when the user moved it.
	Identity string `json:"identity,omitempty"`
	// Removing is saved before the first file is removed, and after the work
	// was saved. From then on what is left is a ruin.
	Removing *removal `json:"removing,omitempty"`
}

// worktreeFactKey is the fact's key.
const worktreeFactKey = "worktree"

func planWorktree(p *planner) {
	p.add(saga.Spec{
		Name: WorktreeStep, Kind: "worktree", Cause: "every session has one", Keep: true,
		Does:    "git worktree add in " + p.cfg.WorktreeDir + ", on the branch",
		Reverts: "save uncommitted work to refs/ecluse/trash, remove the worktree, and the branch if we made it and it has no commits",
		Policy:  saga.Policy{Timeout: 10 * time.Minute, CompensateTimeout: 10 * time.Minute, CompensateRetries: 2, Backoff: time.Second},
	})
}

// Adopting has a plan say that its worktree is there already, and is the user's.
func Adopting(plan saga.Plan) {
	if i := plan.Index(WorktreeStep); i >= 0 {
		plan.Steps[i].Does = "adopt the worktree that is there, which is yours"
		plan.Steps[i].Reverts = "leave it, unless --delete-worktree is given; the branch stays"
	}
}

func newWorktree(t *Target, _ saga.Spec) saga.Step { return worktree{t} }

// Do makes the worktree, or finishes one that was half made.
func (w worktree) Do(ctx context.Context, a *saga.Attempt) error {
	s := w.Session()
	ctx = patient(ctx, a)
	repo, err := openRepo(ctx, s)
	if err != nil {
		return err
	}
	fact, known, err := w.settle(ctx, repo, a)
	if err != nil {
		return err
	}
	// The folder of the worktrees may lie in the main worktree, which must
	// stay clean.
	if rel, err := filepath.Rel(s.Root, s.Worktree); err == nil && filepath.IsLocal(rel) {
		if err := repo.Exclude(ctx, "/"+filepath.ToSlash(filepath.Clean(w.Config.WorktreeDir))+"/"); err != nil {
			return err
		}
	}
	if !fact.Made {
		if err := w.whole(ctx, repo, fact); err != nil {
			return err
		}
		return remark(repo, s, func(m *WorktreeMark) { m.Made = false })
	}
	track := fact.Resolution.Kind == git.KindRemote && fact.Identity == ""
	if err := w.make(ctx, repo, &fact, known, a); err != nil {
		return err
	}
	if err := remark(repo, s, func(m *WorktreeMark) { m.Made = true }); err != nil {
		return err
	}
	identity, err := repo.Identity(s.Worktree)
	if err != nil || fact.Finished && identity == fact.Identity {
		return err
	}
	if track {
		// Without an upstream the worktree is as good.
		if err := repo.Track(ctx, s.Branch); err != nil {
			a.Warn("%v", err)
		}
	}
	fact.Finished, fact.Identity = true, identity
	return a.Save(worktreeFactKey, fact)
}

// settle loads what an earlier attempt has decided, or decides it now. A removal that
// was cut off is finished first.
func (w worktree) settle(ctx context.Context, repo git.Repo, a *saga.Attempt) (fact WorktreeFact, known bool, err error) {
	if known, err = a.Load(worktreeFactKey, &fact); err != nil {
		return fact, known, err
	}
	if fact.Removing != nil {
		if err := w.finishRemoval(ctx, repo, &fact, a); err != nil {
			return fact, known, err
		}
	}
	if known {
		return fact, known, nil
	}
	if fact, err = w.decide(ctx, repo); err != nil {
		return fact, known, saga.Permanent(err)
	}
	return fact, known, a.Save(worktreeFactKey, fact)
}

// make makes the worktree if it is not whole. An earlier attempt may have left a
// part of it, and the branch; the user may have removed it, or be working in it.
func (w worktree) make(ctx context.Context, repo git.Repo, fact *WorktreeFact, known bool, a *saga.Attempt) error {
	s := w.Session()
	if err := git.CheckPlace(s.Worktree); err != nil {
		return saga.Permanent(err)
	}
	err := repo.Whole(ctx, s.Worktree, "")
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, git.ErrNoWorktree) && !errors.Is(err, git.ErrHalfMade) && !errors.Is(err, git.ErrDamaged):
		return err
	case fact.Finished && occupied(s.Worktree):
		// It was whole once: nothing in it is ours to throw away.
		return saga.Permanent(w.advise(err))
	}
	if err := w.missing(repo, *fact, a); err != nil {
		return err
	}
	_, err = repo.Remove(ctx, s.Worktree, git.RemoveOptions{
		Remnant: known && !fact.Finished,
		Begin: func() error {
			_, err := w.saveWork(ctx, repo, known && !fact.Finished, a)
			return err
		},
	})
	if err != nil {
		return fmt.Errorf("clear the place of the worktree: %w", err)
	}
	res := fact.Resolution
	if known {
		if res, err = w.again(ctx, repo, res); err != nil {
			return saga.Permanent(err)
		}
	}
	// From here on it is this run's again, and nobody's work.
	if fact.Finished || fact.Run != s.Run.ID {
		fact.Finished, fact.Run = false, s.Run.ID
		if err := a.Save(worktreeFactKey, *fact); err != nil {
			return err
		}
	}
	return repo.Add(ctx, s.Worktree, res)
}

// advise adds what can be done about a worktree that was whole and is not.
func (w worktree) advise(err error) error {
	s := w.Session()
	if errors.Is(err, git.ErrDamaged) {
		return fmt.Errorf("%w; or remove it, where its work can still be saved, with: ecluse down --delete-worktree %s", err, s.Slug)
	}
	return fmt.Errorf("%s is not the session's worktree any more (%w); move it away", s.Worktree, err)
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
func (w worktree) decide(ctx context.Context, repo git.Repo) (WorktreeFact, error) {
	s := w.Session()
	if err := git.CheckPlace(s.Worktree); err != nil {
		return WorktreeFact{}, err
	}
	err := repo.Whole(ctx, s.Worktree, s.Branch)
	switch {
	case err == nil:
		return WorktreeFact{Run: s.Run.ID}, nil
	case errors.Is(err, git.ErrOtherBranch):
		return WorktreeFact{}, err
	}
	entries, readErr := os.ReadDir(s.Worktree)
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		return WorktreeFact{}, fmt.Errorf("look at the place of the worktree: %w", readErr)
	}
	if len(entries) > 0 {
		return WorktreeFact{}, fmt.Errorf("%s exists and is no worktree of branch %s (%w); move it away", s.Worktree, s.Branch, err)
	}
	res, err := repo.Resolve(ctx, s.Branch, s.From)
	var busy *git.CheckedOutError
	if errors.As(err, &busy) && busy.Gone && git.Same(busy.Path, s.Worktree) {
		err = nil // only the memory of one that was here
	}
	if err != nil {
		return WorktreeFact{}, err
	}
	return WorktreeFact{Made: true, Run: s.Run.ID, BranchMade: res.Kind != git.KindLocal, Resolution: res}, nil
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
	var fact WorktreeFact
	known, err := a.Load(worktreeFactKey, &fact)
	if err != nil {
		return err
	}
	if !known || fact.Made && !fact.Finished {
		return fmt.Errorf("worktree %s was not finished", s.Worktree)
	}
	if fact.Removing.of(s.Worktree) {
		return fmt.Errorf("the removal of worktree %s had begun", s.Worktree)
	}
	repo, err := openRepo(ctx, s)
	if err != nil {
		return err
	}
	return w.whole(ctx, repo, fact)
}

// whole looks whether the worktree is whole. One that was adopted and is gone stays gone.
func (w worktree) whole(ctx context.Context, repo git.Repo, fact WorktreeFact) error {
	err := repo.Whole(ctx, w.Session().Worktree, "")
	if !fact.Made && errors.Is(err, git.ErrNoWorktree) {
		return saga.Coded(CauseWorktreeGone, err)
	}
	return err
}
