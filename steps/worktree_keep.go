package steps

import (
	"context"

	"ecluse/saga"
)

// keep reports whether the worktree stays, and nothing of it has been removed. One that
// an earlier run had made is the user's to work in: a repair that fails leaves it,
// whatever state it is in. One that no longer can be kept goes, and it is said why.
func (w worktree) keep(ctx context.Context, fact WorktreeFact, a *saga.Attempt) (bool, error) {
	s, asked := w.Session(), w.Options().KeepWorktree
	finished, begun := fact.Finished || !fact.Made, fact.Removing != nil && fact.Removing.Emptying
	switch {
	case a.Reverting && fact.Run == s.Run.ID, !a.Reverting && !asked:
		return false, nil
	case asked && begun:
		a.Warn("worktree %s cannot be kept any more, because its removal had begun; what is left of it is removed", s.Worktree)
	case asked && !finished:
		a.Warn("worktree %s cannot be kept, because it was never finished", s.Worktree)
	}
	if begun || !finished {
		return false, nil
	}
	if fact.Removing == nil {
		return true, nil
	}
	// Its work was saved, and it may have been put aside, but that is all.
	repo, err := openRepo(ctx, s)
	if err != nil {
		return false, err
	}
	repo.PutBack(s.Worktree)
	fact.Removing = nil
	return true, a.Save(worktreeFactKey, fact)
}
