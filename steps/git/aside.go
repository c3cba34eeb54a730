package git

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A worktree that is being removed is called so, in the same folder: a dot, its name,
// and this.
const asideMark = ".ecluse-removed"

// asideOf is where the worktree at path is put aside.
func asideOf(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+asideMark)
}

// BeforeAside is where a worktree was before its removal put it aside; any other path
// is itself.
func BeforeAside(path string) string {
	name, marked := strings.CutSuffix(filepath.Base(path), asideMark)
	if bare, dotted := strings.CutPrefix(name, "."); marked && dotted && bare != "" {
		return filepath.Join(filepath.Dir(path), bare)
	}
	return path
}

// PutBack gives a worktree its place again that was put aside by a removal which was cut
// off. It stays aside if something else is in the place by now.
func (r Repo) PutBack(path string) { putBack(place(path)) }

func putBack(path string) bool {
	return rename(asideOf(path), path) == nil
}

// rename never replaces what is at the new path.
func rename(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

// putAside renames a worktree, so that nobody finds it by its path any more, and says
// where it is then. It stays in its place where that cannot be done (a layer of a
// container's file system), and where submodules are: git finds their files by path.
func putAside(path string, mine []entry) string {
	for _, e := range mine {
		if isDir(filepath.Join(e.dir, "modules")) {
			return path
		}
	}
	aside := asideOf(path)
	if rename(path, aside) != nil {
		return path
	}
	return aside
}

// removeAside removes the tree of a worktree. It is put aside first and looked at once
// more. If that fails, it is put back, and the error names it by its own path.
// Without look, it is removed where it is.
func removeAside(ctx context.Context, path string, mine []entry, look func(string) error) error {
	if look == nil || !isDir(path) {
		return removeTree(ctx, path, ".git")
	}
	at := putAside(path, mine)
	err := look(at)
	if err == nil {
		err = removeTree(ctx, at, ".git")
	}
	if err == nil || at == path || !putBack(path) {
		return err
	}
	var stuck *UndeletableError
	if errors.As(err, &stuck) {
		stuck.Path = strings.Replace(stuck.Path, at, path, 1)
		stuck.Advice = strings.ReplaceAll(stuck.Advice, at, path)
	}
	var mount *MountError
	if errors.As(err, &mount) {
		mount.Path = strings.Replace(mount.Path, at, path, 1)
	}
	return err
}

// clearAside gives what a removal that was cut off has put aside its place again, or
// looks at it and removes it if something else is there by now.
func clearAside(ctx context.Context, path string, mine []entry, options RemoveOptions) error {
	aside := asideOf(path)
	if putBack(path) || options.Look == nil || !isDir(aside) {
		return nil
	}
	if link := linkOf(aside); isDir(filepath.Join(aside, ".git")) || link != "" && !slices.ContainsFunc(mine, func(e entry) bool { return e.dir == link }) {
		return nil // not what was at path
	}
	if err := options.Look(aside); err != nil {
		return err
	}
	return removeTree(ctx, aside, ".git")
}

// slack is by how much the time of a file may be behind the clock.
const slack = 20 * time.Millisecond

// WrittenSince reports whether anything came into a worktree since a time, or changed in
// it or in what is staged, ignored files included. What is there with an old date, from
// an archive, is seen, too.
func (r Repo) WrittenSince(path string, since time.Time) bool {
	path, since = place(path), since.Add(-slack)
	found := false
	_ = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && touched(name, d.IsDir(), since) {
			found = true
			return filepath.SkipAll
		}
		return nil // what cannot be read, the removal tells of
	})
	e, known, err := r.entryOf(path)
	if found || err != nil || !known {
		return found
	}
	return touched(filepath.Join(e.dir, "index"), false, since) || touched(filepath.Join(e.dir, "HEAD"), false, since)
}

// touched: of a directory, only what is in it counts, since it may have been renamed.
func touched(path string, dir bool, since time.Time) bool {
	var info unix.Stat_t
	if unix.Lstat(path, &info) != nil {
		return false
	}
	changed := time.Unix(info.Ctim.Unix())
	written := time.Unix(info.Mtim.Unix())
	return written.After(since) || !dir && changed.After(since)
}
