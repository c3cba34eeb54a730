package steps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/git"
)

// removal is what is known of a removal that has begun.
type removal struct {
	// Inode of the directory: what is put in its place later is another's.
	Inode uint64 `json:"inode,omitempty"`
	// At is when it began: what was written after that was not saved.
	At time.Time `json:"at"`
	// Trash is the work that was saved before, if there was any.
	Trash *git.Trash `json:"trash,omitempty"`
	// Emptying: it was looked once more, and files may be gone since then.
	Emptying bool `json:"emptying,omitempty"`
}

// of reports whether what is at path is what was being removed.
func (r *removal) of(path string) bool {
	return r != nil && r.Inode != 0 && r.Inode == inode(path)
}

// inode of what is at path; 0 if nothing is.
func inode(path string) uint64 {
	var info unix.Stat_t
	if unix.Lstat(path, &info) != nil {
		return 0
	}
	return info.Ino
}

// Compensate removes what Do made, unless it is to be kept. Work that was not committed
// is saved first.
func (w worktree) Compensate(ctx context.Context, a *saga.Attempt) error {
	var fact WorktreeFact
	known, err := a.Load(worktreeFactKey, &fact)
	if err != nil || !known {
		return err
	}
	if kept, err := w.keep(ctx, fact, a); kept || err != nil {
		return cmp.Or(err, saga.ErrKept)
	}
	if !fact.Made && !w.Options().DeleteWorktree {
		return nil
	}
	s := w.Session()
	if Gone(s.Repo) {
		w.orphaned(a)
		return nil
	}
	ctx = patient(ctx, a)
	repo, err := openRepo(ctx, s)
	if err != nil {
		return err
	}
	if err := w.remove(ctx, repo, &fact, a); err != nil {
		return hopeless(err)
	}
	w.removeParents()
	if !fact.BranchMade || w.Options().KeepBranch {
		return nil
	}
	deleted, err := repo.DeleteBranch(ctx, s.Branch, fact.Resolution.Base)
	if err == nil && !deleted {
		a.Report("branch %s has commits or is in use, and stays", s.Branch)
	}
	return hopeless(err)
}

// Branch is what has become of the branch of a session, as it was before it was taken
// down: it is there, or was deleted with the session, which had made it. Both are false
// of one that somebody else has deleted, and when nobody can tell.
func Branch(ctx context.Context, s session.Session) (there, deleted bool) {
	repo, err := openRepo(ctx, s)
	if err != nil {
		return false, false
	}
	there, err = repo.HasBranch(ctx, s.Branch)
	if err != nil || there {
		return there, false
	}
	var fact WorktreeFact
	i := s.Plan.Index(WorktreeStep)
	known := i >= 0 && i < len(s.Progress.Steps) && json.Unmarshal(s.Progress.Steps[i].Facts[worktreeFactKey], &fact) == nil
	return false, known && fact.BranchMade
}

// remove removes the worktree. That the removal has begun is noted when nothing
// speaks against it any more, so that what a removal that was cut off left is
// known to be saved, and ours to remove.
func (w worktree) remove(ctx context.Context, repo git.Repo, fact *WorktreeFact, a *saga.Attempt) error {
	s := w.Session()
	repo.PutBack(s.Worktree)
	ruin := fact.Removing.of(s.Worktree)
	if fact.Removing == nil {
		if err := w.missing(repo, *fact, a); err != nil {
			return err
		}
	} else if t := fact.Removing.Trash; t != nil {
		warnOfTrash(a, *t) // whoever began may not have been heard
	}
	unfinished := fact.Made && !fact.Finished
	var begun time.Time
	look := w.lookAgain(ctx, repo, fact, &begun, a)
	if unfinished {
		look = nil
	}
	_, err := repo.Remove(ctx, s.Worktree, git.RemoveOptions{
		Remnant: ruin || unfinished,
		Look:    look,
		Begin: func() error {
			begun = time.Now()
			if r := fact.Removing; r != nil && (r.Emptying && r.of(s.Worktree) || !exists(s.Worktree)) && !written(s.Worktree, r.At) {
				return nil
			}
			trash, err := w.saveWork(ctx, repo, unfinished, a)
			if err != nil {
				return err
			}
			if trash == nil && fact.Removing != nil {
				trash = fact.Removing.Trash
			}
			fact.Removing = &removal{Inode: inode(s.Worktree), At: begun, Trash: trash}
			return a.Save(worktreeFactKey, *fact)
		},
	})
	return err
}

// finishRemoval ends a removal that had begun, before the worktree is made anew. If
// something else is in the place by now, that is not touched.
func (w worktree) finishRemoval(ctx context.Context, repo git.Repo, fact *WorktreeFact, a *saga.Attempt) error {
	s := w.Session()
	repo.PutBack(s.Worktree)
	ruin := fact.Removing.of(s.Worktree)
	if ruin || !exists(s.Worktree) {
		if err := w.remove(ctx, repo, fact, a); err != nil {
			return hopeless(fmt.Errorf("finish the removal that had begun: %w", err))
		}
		fact.Finished, fact.Identity = false, ""
	}
	fact.Removing = nil
	return a.Save(worktreeFactKey, *fact)
}

// written reports whether a file in a ruin was written after a time: somebody went
// on working in it.
func written(path string, after time.Time) bool {
	found := false
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what cannot be read, the removal tells of
		}
		if info, err := d.Info(); err == nil && info.ModTime().After(after) {
			found = true
			return filepath.SkipAll
		}
		return nil
	})
	return found
}

// missing tells of a worktree that is not where it should be: the user moved it,
// or its directory is gone. One that was moved is left, and so is its branch: who
// moves it out of the session wants it, and it can be removed with one command.
func (w worktree) missing(repo git.Repo, fact WorktreeFact, a *saga.Attempt) error {
	s := w.Session()
	if exists(s.Worktree) || fact.Made && !fact.Finished {
		return nil
	}
	to, err := repo.Moved(s.Worktree, fact.Identity, s.Branch)
	if err != nil {
		return err
	}
	if to == "" {
		a.Warn("worktree %s is gone, and ecluse did not remove it; files that were only there cannot be saved", s.Worktree)
		return nil
	}
	a.Warn("the worktree was moved to %s and stays there, with what is checked out in it; remove it with: %s", to, repo.RemoveCommand(to))
	return nil
}

// orphaned is the end of a worktree whose repository is gone.
func (w worktree) orphaned(a *saga.Attempt) {
	s := w.Session()
	if !exists(s.Worktree) {
		return
	}
	a.Warn("repository %s is gone, so the work in %s cannot be saved; it stays, remove it yourself when you do not need it", s.Repo, s.Worktree)
}

// Gone reports whether nothing is at path.
func Gone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// patient tells onlookers what git waits for.
func patient(ctx context.Context, a *saga.Attempt) context.Context {
	return git.Patient(ctx, func(text string) { a.Report("%s", text) })
}

// openRepo opens the session's repository. Where that is gone, git would take
// another one, in a folder above.
func openRepo(ctx context.Context, s session.Session) (git.Repo, error) {
	repo, err := git.Open(ctx, s.Root)
	if err == nil && repo.CommonDir != s.Repo {
		err = saga.Permanent(fmt.Errorf("%s belongs to the repository %s, and the session to %s, which was moved or removed; put it back", s.Root, repo.CommonDir, s.Repo))
	}
	return repo, err
}

// hopeless marks the errors that only the user can help.
func hopeless(err error) error {
	var locked *git.LockedError
	var mount *git.MountError
	var busy *git.BusyError
	var stuck *git.UndeletableError
	var writing *git.WritingError
	switch {
	case errors.As(err, &writing), errors.As(err, &locked), errors.As(err, &mount), errors.As(err, &busy), errors.Is(err, git.ErrForeign), errors.Is(err, git.ErrDamaged), errors.Is(err, git.ErrNested),
		errors.As(err, &stuck) && stuck.Lasting():
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
		if err != nil || rel == "." || !filepath.IsLocal(rel) || unix.Rmdir(dir) != nil {
			return
		}
	}
}

// saveWork puts what is not committed where it can be brought back from, and what
// the repository remembers of a worktree whose directory is gone. Nobody has worked
// in one that was never finished.
func (w worktree) saveWork(ctx context.Context, repo git.Repo, unfinished bool, a *saga.Attempt) (*git.Trash, error) {
	s := w.Session()
	err := repo.Whole(ctx, s.Worktree, "")
	if errors.Is(err, git.ErrHalfMade) || unfinished && err != nil && occupied(s.Worktree) {
		return nil, nil
	}
	trash, err := w.saveAt(ctx, repo, s.Worktree, a)
	if err == nil && trash != nil {
		warnOfTrash(a, *trash)
	}
	return trash, err
}

// saveAt is saveWork for a worktree that is somewhere else by now, and tells nobody.
func (w worktree) saveAt(ctx context.Context, repo git.Repo, at string, a *saga.Attempt) (*git.Trash, error) {
	s := w.Session()
	dirty, err := repo.Dirty(ctx, at)
	if err != nil || !dirty {
		return nil, err
	}
	var fact WorktreeFact
	if _, err := a.Load(worktreeFactKey, &fact); err != nil {
		return nil, err
	}
	unborn, same, err := repo.Unborn(ctx, at, fact.Resolution.Base)
	if err != nil || same {
		return nil, err
	}
	if unborn {
		a.Warn("branch %s has no commit any more, so all that is checked out in %s counts as not committed", s.Branch, s.Worktree)
	}
	trash, err := repo.SaveTrash(ctx, at, s.Slug, time.Now())
	if err != nil {
		return nil, err
	}
	if err := a.Save("trash", trash); err != nil {
		return nil, err
	}
	return &trash, nil
}

// warnOfTrash tells where work was saved.
func warnOfTrash(a *saga.Attempt, trash git.Trash) {
	staged := ""
	if trash.Staged != "" {
		staged = ", and what was staged before as " + trash.Staged
	}
	a.Warn(savedAs+"%s%s"+bringBack+"%s", trash.Ref, staged, trash.Command)
}
