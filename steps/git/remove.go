package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// RemoveOptions are what the caller knows about the worktree to remove.
type RemoveOptions struct {
	// Remnant: the directory may be what a git that was cut off left behind,
	// with nothing in it that tells so. Without it, a directory that is not
	// connected with the repository is refused.
	Remnant bool
}

// Remove removes the worktree at path, finished or not, and everything that the
// repository keeps about it, and reports whether there was anything. It returns
// nil only after it has looked and nothing is left. What is in the worktree is
// lost: [Repo.SaveTrash] comes before. No link is followed.
//
// The error is a [*LockedError] if somebody locked the worktree. It wraps
// [ErrForeign] if what is there is not a worktree of this repository.
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
		if e.locked && !inMaking(e.reason) {
			return false, &LockedError{Root: r.Root, Path: path, Reason: e.reason}
		}
	}
	info, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	there := err == nil
	if there {
		if err := r.checkOurs(path, info, len(mine) > 0 || options.Remnant); err != nil {
			return false, err
		}
	}
	if len(mine) > 0 && there {
		// git knows best what belongs to a worktree. Twice "force" is for one
		// that is locked, which by now is one that was not finished. Where
		// it refuses all the same, the rest is done here.
		_, err := r.git(ctx, "worktree", "remove", "--force", "--force", "--", path)
		if ctx.Err() != nil || errors.Is(err, ErrMissing) {
			return false, err
		}
	}
	// The directory first: while the entry is there, it says whose the
	// directory is, if this is cut off.
	if err := removeTree(ctx, path); err != nil {
		return false, err
	}
	for _, e := range mine {
		if err := removeTree(ctx, e.dir); err != nil {
			return false, err
		}
	}
	_ = os.Remove(filepath.Join(r.CommonDir, "worktrees")) // if it is empty, as git does
	return there || len(mine) > 0, r.checkGone(path)
}

// checkOurs refuses to remove what is not a worktree of the repository.
func (r Repo) checkOurs(path string, info fs.FileInfo, known bool) error {
	for _, dir := range []string{r.Root, r.CommonDir} {
		if rel, err := filepath.Rel(path, dir); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("%s lies in it: %w", dir, ErrForeign)
		}
	}
	if !info.IsDir() {
		return fmt.Errorf("it is no directory: %w", ErrForeign)
	}
	if isDir(filepath.Join(path, ".git")) {
		return fmt.Errorf("it is a repository of its own: %w", ErrForeign)
	}
	if link := linkOf(path); link != "" {
		ours := filepath.Dir(link) == filepath.Join(r.CommonDir, "worktrees")
		if !ours || !known && isDir(link) {
			return fmt.Errorf("its .git file leads to %s: %w", link, ErrForeign)
		}
		return nil
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 && !known {
		return errors.Join(err, ErrForeign)
	}
	return nil
}

// entriesFor are the entries that belong to a path: those that name it, those that
// the lock of an unfinished one names it in, and what is left of one that was
// being made when git was killed, which then is empty and has its name.
func (r Repo) entriesFor(path string) ([]entry, error) {
	all, err := r.entries()
	if err != nil {
		return nil, err
	}
	var mine []entry
	for _, e := range all {
		if e.path == path || e.path == "" && (e.reason == madeReason+strings.TrimSpace(path) || namedAfter(e.dir, path) && isEmpty(e.dir)) {
			mine = append(mine, e)
		}
	}
	return mine, nil
}

// namedAfter reports whether git could have called an entry so for a worktree at
// path: by its last part, and a number if that was taken.
func namedAfter(dir, path string) bool {
	number, ok := strings.CutPrefix(filepath.Base(dir), filepath.Base(path))
	return ok && strings.Trim(number, "0123456789") == ""
}

func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// checkGone looks whether really nothing is left.
func (r Repo) checkGone(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errors.New("it is still there"), err)
	}
	left, err := r.entriesFor(path)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s is still there", left[0].dir)
	}
	return err
}

// removeTree removes a directory and what is in it. A directory that may not be
// written to (a module cache) is made writable; what somebody still writes into
// is tried again.
func removeTree(ctx context.Context, path string) error {
	pause := firstPause
	for tries := 0; ; tries++ {
		err := os.RemoveAll(path)
		if err == nil || tries == 8 {
			return err
		}
		if errors.Is(err, fs.ErrPermission) {
			openUp(path)
		}
		if cut := sleep(ctx, pause); cut != nil {
			return errors.Join(err, cut)
		}
		pause = min(2*pause, longestPause)
	}
}

// openUp lets the owner into all directories below path, as far as that goes.
// WalkDir calls for a directory before it reads it, and follows no link.
func openUp(path string) {
	_ = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			if info, err := d.Info(); err == nil && info.Mode().Perm()&0o700 != 0o700 {
				_ = os.Chmod(name, 0o700)
			}
		}
		return nil
	})
}
