package steps

import (
	"context"
	"time"

	"ecluse/saga"
	"ecluse/steps/git"
)

// looks are how often work is saved that somebody goes on with.
const looks = 3

// lookAgain returns what looks at a worktree once more, at the place where its removal has
// put it, before anything in it is removed: what was written while its work was saved
// is saved, too. Since is when the work was looked at last.
func (w worktree) lookAgain(ctx context.Context, repo git.Repo, fact *WorktreeFact, since *time.Time, a *saga.Attempt) func(string) error {
	return func(at string) error {
		if fact.Removing == nil {
			return nil
		}
		if since.IsZero() {
			*since = fact.Removing.At
		}
		later := repo.WrittenSince
		if fact.Removing.Emptying { // then the folders have changed anyhow
			later = written
		}
		for range looks {
			if !later(at, *since) {
				return w.emptying(fact, *since, a)
			}
			*since = time.Now()
			more, err := w.saveMore(ctx, repo, at, fact, a)
			if err != nil {
				return err
			}
			if !more { // only what is ignored
				return w.emptying(fact, *since, a)
			}
		}
		return &git.WritingError{Path: w.Session().Worktree}
	}
}

// saveMore saves the work of a worktree if it is not what was saved already.
func (w worktree) saveMore(ctx context.Context, repo git.Repo, at string, fact *WorktreeFact, a *saga.Attempt) (bool, error) {
	trash, err := w.saveAt(ctx, repo, at, a)
	if err != nil || trash == nil || fact.Removing.Trash != nil && fact.Removing.Trash.Ref == trash.Ref {
		return false, err
	}
	warnOfTrash(a, *trash)
	fact.Removing.Trash = trash
	return true, a.Save(worktreeFactKey, *fact)
}

// emptying notes that from here on files are removed.
func (w worktree) emptying(fact *WorktreeFact, at time.Time, a *saga.Attempt) error {
	if fact.Removing.Emptying {
		return nil
	}
	fact.Removing.Emptying, fact.Removing.At = true, at
	return a.Save(worktreeFactKey, *fact)
}
