package git

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// RemoveOptions are what the caller knows about the worktree to remove.
type RemoveOptions struct {
	// Remnant: the directory may be what a git that was cut off left behind,
	// with nothing in it that tells so. Without it, a directory that is not
	// connected with the repository is refused.
	Remnant bool
	// Begin is called once all that speaks against the removal was looked
	// for, and before anything is removed; not if there is nothing. Its error
	// is the removal's, and nothing is removed.
	Begin func() error
	// Look is called with the place of the directory when nobody finds it by its
	// path any more, and before the first file is removed: what was written
	// since Begin can be saved yet. Its error is the removal's; the directory has
	// its place again then.
	Look func(at string) error
}

// rounds are how often a directory is removed that somebody makes anew meanwhile.
const rounds = 3

// Remove removes the worktree at path, finished or not, and everything that the
// repository keeps about it, and reports whether there was anything. It returns
// nil only after it has looked and nothing is left. What is in the worktree is
// lost: [Repo.SaveTrash] comes before. No link is followed, no mount entered.
//
// With [RemoveOptions].Look, the directory is renamed before anything in it is removed.
// What a removal that was cut off so has left has its place again first. What somebody
// makes in the place meanwhile is removed the same way, Begin included.
//
// The directory goes first, its .git file last, and then what the repository keeps
// about it: as long as anything is left, it is known whose it is, and the removal
// can be tried again.
//
// The error is a [*LockedError] if somebody locked the worktree, a [*MountError] if
// something is mounted in it, and an [*UndeletableError] if a part of it cannot be
// removed. It wraps [ErrForeign] if what is there is not a worktree of this
// repository.
func (r Repo) Remove(ctx context.Context, path string, options RemoveOptions) (bool, error) {
	path = place(path)
	removed, err := r.remove(ctx, path, options)
	if err != nil {
		return removed, fmt.Errorf("remove worktree %s: %w", path, err)
	}
	return removed, nil
}

func (r Repo) remove(ctx context.Context, path string, options RemoveOptions) (bool, error) {
	mine, err := r.entriesFor(path)
	if err != nil {
		return false, err
	}
	for _, e := range mine {
		if e.locked && e.path != "" && !inMaking(e.reason) {
			return false, &LockedError{Root: r.Root, Path: path, Reason: e.reason}
		}
	}
	if err := clearAside(ctx, path, mine, options); err != nil {
		return false, err
	}
	there, err := r.clear(ctx, path, mine, options)
	if err != nil {
		return false, err
	}
	for _, e := range mine {
		if err := r.dropEntry(ctx, e.dir); err != nil {
			return false, err
		}
	}
	r.sweepEntries(ctx)
	_ = os.Remove(filepath.Join(r.CommonDir, "worktrees")) // if it is empty, as git does
	return there || len(mine) > 0, r.checkGone(path)
}

// clear removes the directory, and reports whether there was one.
func (r Repo) clear(ctx context.Context, path string, mine []entry, options RemoveOptions) (bool, error) {
	found := false
	for range rounds {
		there, err := r.checkPlace(path, len(mine) > 0 || options.Remnant)
		if err != nil {
			return false, err
		}
		found = found || there
		if (there || len(mine) > 0) && options.Begin != nil {
			if err := options.Begin(); err != nil {
				return false, err
			}
		}
		if err := removeAside(ctx, path, mine, options.Look); err != nil {
			return false, err
		}
		if _, err := os.Lstat(path); absent(err) {
			return found, nil
		}
	}
	return found, &WritingError{Path: path}
}

// checkPlace reports whether anything is at a path, and refuses what is not to be
// removed.
func (r Repo) checkPlace(path string, known bool) (bool, error) {
	info, err := os.Lstat(path)
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := r.checkOurs(path, info, known); err != nil {
		return true, err
	}
	return true, CheckMounts(path)
}

// droppedEntry begins the name of an entry that is being removed.
const droppedEntry = "ecluse-dropped-"

// dropEntry removes an entry. It is put aside first: an entry that is half there
// is one that no git can read, and that names no worktree any more.
func (r Repo) dropEntry(ctx context.Context, dir string) error {
	aside := filepath.Join(r.CommonDir, droppedEntry+rand.Text())
	if err := os.Rename(dir, aside); err != nil {
		return removeTree(ctx, dir, "gitdir")
	}
	return removeTree(ctx, aside, "")
}

// sweepEntries removes what is left of entries whose removal was cut off, and of looking
// at what had no entry.
func (r Repo) sweepEntries(ctx context.Context) {
	sweepScratch(r.CommonDir)
	left, _ := os.ReadDir(r.CommonDir)
	for _, d := range left {
		if strings.HasPrefix(d.Name(), droppedEntry) {
			_ = removeTree(ctx, filepath.Join(r.CommonDir, d.Name()), "")
		}
	}
}

// checkOurs refuses to remove what is not a worktree of the repository.
func (r Repo) checkOurs(path string, info fs.FileInfo, known bool) error {
	for _, dir := range []string{r.Root, r.CommonDir} {
		if rel, err := filepath.Rel(path, dir); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("%s lies in it: %w", dir, ErrForeign)
		}
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is in its place: %w", kindOf(info), ErrForeign)
	}
	if isDir(filepath.Join(path, ".git")) {
		return fmt.Errorf("it is a repository of its own: %w", ErrForeign)
	}
	if link := linkOf(path); link != "" {
		ours := filepath.Dir(link) == filepath.Join(r.CommonDir, "worktrees")
		switch {
		case ours && !known && isDir(link):
			return &unlinkedError{r.unknown(path)}
		case !ours && known:
			return fmt.Errorf("its .git file leads to %s; if it is this repository's all the same, mend it with: git -C %s worktree repair: %w",
				link, shellQuote(r.Root), ErrForeign)
		case !ours:
			return fmt.Errorf("its .git file leads to %s: %w", link, ErrForeign)
		}
		return nil
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 && !known {
		return errors.Join(err, ErrForeign)
	}
	return nil
}

// unlinkedError is [ErrForeign] for a worktree of this very repository, which must be
// mended first.
type unlinkedError struct{ error }

func (e *unlinkedError) Unwrap() []error { return []error{e.error, ErrForeign} }

// kindOf says what is at a path that is no directory.
func kindOf(info fs.FileInfo) string {
	switch {
	case info.Mode().IsRegular():
		return "a file"
	case info.Mode()&fs.ModeSymlink != 0:
		return "a link"
	default:
		return "a special file"
	}
}

// entriesFor are the entries that belong to a path: those that name it, those that
// the lock of an unfinished one names it in, and what is left of one that was being
// made, or removed, when git was killed. That has the name, but neither a path nor
// a reason: git writes the lock first, and a worktree without a path is none.
func (r Repo) entriesFor(path string) ([]entry, error) {
	all, err := r.entries()
	if err != nil {
		return nil, err
	}
	var mine []entry
	for _, e := range all {
		if e.path == path || e.path == "" && (e.reason == madeReason+strings.TrimSpace(path) || e.reason == "" && namedAfter(e.dir, path)) {
			mine = append(mine, e)
		}
	}
	return mine, nil
}

// namedAfter reports whether git has called an entry so for a worktree at path: by
// its last part, and a number if that was taken. With a number it may just as well
// be that of another path (feat-1 and feat-11) which is being made in this moment,
// so then it counts only once it is old.
func namedAfter(dir, path string) bool {
	number, ok := strings.CutPrefix(filepath.Base(dir), filepath.Base(path))
	if !ok || strings.Trim(number, "0123456789") != "" {
		return false
	}
	info, err := os.Lstat(dir)
	return number == "" || err == nil && time.Since(info.ModTime()) > stale
}

// checkGone looks whether really nothing is left.
func (r Repo) checkGone(path string) error {
	if _, err := os.Lstat(path); !absent(err) {
		return errors.Join(errors.New("it is still there"), err)
	}
	left, err := r.entriesFor(path)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s is still there", left[0].dir)
	}
	return err
}
