package steps

import "ecluse/saga"

// keeps reports whether the worktree is to stay, and nothing of it has been removed. One
// that an earlier run had made is the user's to work in: a repair that fails leaves it,
// whatever state it is in. One that no longer can be kept goes, and it is said why.
func (w worktree) keeps(fact WorktreeFact, a *saga.Attempt) bool {
	s, asked := w.Session(), w.Options().KeepWorktree
	finished := fact.Finished || !fact.Made
	switch {
	case a.Reverting:
		return finished && fact.Removing == nil && fact.Run != s.Run.ID
	case asked && fact.Removing != nil:
		a.Warn("worktree %s cannot be kept any more, because its removal had begun; what is left of it is removed", s.Worktree)
	case asked && !finished:
		a.Warn("worktree %s cannot be kept, because it was never finished", s.Worktree)
	}
	return asked && finished && fact.Removing == nil
}
