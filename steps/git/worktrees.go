package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ecluse/steps/run"
)

// Worktree is one of a repository's, as `git worktree list` tells it.
type Worktree struct {
	// Path is absolute and canonical, of the part that exists.
	Path string
	// Branch is what is checked out, without refs/heads/; empty if detached.
	Branch string
	// Head is the commit; empty if there is none yet.
	Head           string
	Bare, Detached bool
	// Locked, by `git worktree lock` or in its making; Reason may be empty.
	Locked bool
	Reason string
	// Prunable: its directory is gone, or is connected no more.
	Prunable bool
}

// Worktrees lists the worktrees, the main one first.
func (r Repo) Worktrees(ctx context.Context) ([]Worktree, error) {
	var out []byte
	err := r.retry(ctx, func() (err error) {
		out, err = r.git(ctx, "worktree", "list", "--porcelain", "-z")
		return err
	})
	if err != nil {
		if strings.Contains(said(err), "unknown switch `z'") {
			err = ErrOld
		}
		return nil, fmt.Errorf("list worktrees: %w", err)
	}
	var list []Worktree
	for block := range strings.SplitSeq(string(out), "\x00\x00") {
		if block == "" {
			continue
		}
		list = append(list, parseWorktree(block))
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("list worktrees of %s: git names none", r.CommonDir)
	}
	return list, nil
}

// parseWorktree reads one worktree: attributes that end in a zero byte.
func parseWorktree(block string) Worktree {
	var w Worktree
	for attribute := range strings.SplitSeq(block, "\x00") {
		name, value, _ := strings.Cut(attribute, " ")
		switch name {
		case "worktree":
			w.Path = place(value)
		case "HEAD":
			if strings.Trim(value, "0") != "" {
				w.Head = value
			}
		case "branch":
			w.Branch = strings.TrimPrefix(value, "refs/heads/")
		case "bare":
			w.Bare = true
		case "detached":
			w.Detached = true
		case "locked":
			w.Locked, w.Reason = true, value
		case "prunable":
			w.Prunable = true
		}
	}
	return w
}

// Whole looks whether path is a worktree of the repository that can be worked in:
// registered, connected, its making finished, and on the branch, or on any if
// branch is "". The error wraps [ErrNoWorktree], [ErrHalfMade], [ErrDamaged] or
// [ErrOtherBranch], or says why that could not be told.
//
// Nothing is said about the files in it: they are the user's to delete.
func (r Repo) Whole(ctx context.Context, path, branch string) error {
	path = place(path)
	dir := r.CommonDir
	if path != r.Root {
		e, found, err := r.entryOf(path)
		if err != nil {
			return err
		}
		if !found {
			return r.unknown(path)
		}
		if err := r.inspect(e); err != nil {
			return err
		}
		dir = e.dir
	}
	out, err := call{dir: path, at: []string{"--git-dir=" + dir}, args: []string{"rev-parse", "--symbolic-full-name", "HEAD"}}.output(ctx)
	if err != nil {
		if strings.Contains(said(err), "unknown revision") {
			return fmt.Errorf("%s: %w: what is checked out in it has no commit", path, ErrDamaged)
		}
		if head := filepath.Join(dir, "HEAD"); strings.Contains(said(err), "not a git repository") {
			return fmt.Errorf("%s: %w: git cannot read %s; write into it what was checked out, with: echo 'ref: refs/heads/BRANCH' >%s",
				path, ErrDamaged, head, shellQuote(head))
		}
		return fmt.Errorf("look at worktree %s: %w", path, err)
	}
	if err := readable(ctx, path, dir); err != nil {
		return err
	}
	return onBranch(path, line(out), branch)
}

// readable looks whether git can read the index of a worktree.
func readable(ctx context.Context, path, dir string) error {
	// There is no such file in an index, but all of it is read.
	_, err := call{dir: path, at: []string{"--git-dir=" + dir}, args: []string{"ls-files", "-z", "--", ".git"}}.output(ctx)
	var failed *run.Error
	if ctx.Err() == nil && errors.As(err, &failed) && failed.Status == 128 {
		index := filepath.Join(dir, "index")
		return fmt.Errorf("%s: %w: git cannot read its index (%s); make a new one with: rm %s && git -C %s reset",
			path, ErrDamaged, failed.Tail, shellQuote(index), shellQuote(path))
	}
	if err != nil {
		return fmt.Errorf("look at worktree %s: %w", path, err)
	}
	return nil
}

// unknown is the error for a path that no entry names. What leads to an entry all the same
// was moved there, or the entry was changed, as a container does that has another path
// for it.
func (r Repo) unknown(path string) error {
	if link := linkOf(path); isDir(link) && filepath.Dir(link) == filepath.Join(r.CommonDir, "worktrees") {
		return fmt.Errorf("%s: %w: %s names another place for it; mend it with: git -C %s worktree repair %s",
			path, ErrDamaged, filepath.Join(link, "gitdir"), shellQuote(r.Root), shellQuote(path))
	}
	return fmt.Errorf("%s: %w", path, ErrNoWorktree)
}

// inspect looks at what connects a worktree with the repository.
func (r Repo) inspect(e entry) error {
	switch {
	case e.locked && inMaking(e.reason):
		return fmt.Errorf("%s: %w: %s", e.path, ErrHalfMade, e.reason)
	case !isDir(e.path):
		return fmt.Errorf("%s: %w: its directory is gone", e.path, ErrNoWorktree)
	case linkOf(e.path) != e.dir:
		return fmt.Errorf("%s: %w: its .git file does not lead to %s; mend it with: git -C %s worktree repair",
			e.path, ErrDamaged, e.dir, shellQuote(r.Root))
	case !isFile(filepath.Join(e.dir, "index")):
		return fmt.Errorf("%s: %w: it has no index; make one with: git -C %s reset", e.path, ErrDamaged, shellQuote(e.path))
	}
	return nil
}

// onBranch compares the ref that is checked out with the branch that should be.
func onBranch(path, ref, branch string) error {
	have, onAny := strings.CutPrefix(ref, "refs/heads/")
	switch {
	case branch == "" || onAny && have == branch:
		return nil
	case !onAny:
		have = "no branch"
	}
	return fmt.Errorf("%s: %w %s: it is on %s; change with: git -C %s switch %s",
		path, ErrOtherBranch, branch, have, shellQuote(path), shellQuote(branch))
}

// entry is what the repository keeps about a worktree: a directory below
// worktrees/ in the common directory.
type entry struct {
	dir string
	// path of the worktree; empty when git was killed before it noted it.
	path   string
	locked bool
	reason string
}

// entries reads all of them. An entry that goes meanwhile is left out.
func (r Repo) entries() ([]entry, error) {
	base := filepath.Join(r.CommonDir, "worktrees")
	dirs, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the worktrees of %s: %w", r.CommonDir, err)
	}
	var list []entry
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		e := entry{dir: filepath.Join(base, d.Name())}
		if link, err := os.ReadFile(filepath.Join(e.dir, "gitdir")); err == nil && len(link) > 0 {
			e.path = place(filepath.Dir(absolute(e.dir, line(link))))
		}
		if reason, err := os.ReadFile(filepath.Join(e.dir, "locked")); err == nil {
			e.locked, e.reason = true, strings.TrimSpace(string(reason))
		}
		list = append(list, e)
	}
	return list, nil
}

// entryOf is the entry that names a path, or the one that what was put aside was in.
func (r Repo) entryOf(path string) (entry, bool, error) {
	all, err := r.entries()
	if err != nil {
		return entry{}, false, err
	}
	path = BeforeAside(place(path))
	for _, e := range all {
		if e.path == path {
			return e, true, nil
		}
	}
	return entry{}, false, nil
}

// linkOf is the directory that the .git file of a worktree names, in canonical
// form; empty if there is no such file.
func linkOf(path string) string {
	file := filepath.Join(path, ".git")
	if !isFile(file) {
		return ""
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	dir, ok := strings.CutPrefix(string(data), "gitdir: ")
	if !ok {
		return ""
	}
	return place(absolute(path, strings.TrimRight(dir, "\r\n")))
}

// absolute is a path that is relative to dir, or absolute already.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// Same reports whether two paths name the same place, whatever links lead to it.
func Same(a, b string) bool { return place(a) == place(b) }

// FileAt is a file as a revision has it; the error does not tell whether it is the
// revision or the file that is not there.
func (r Repo) FileAt(ctx context.Context, revision, path string) ([]byte, error) {
	out, err := r.git(ctx, "cat-file", "blob", revision+":"+path)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", path, revision, err)
	}
	return out, nil
}

// Tracked reports whether a file of a worktree is in its index.
func (r Repo) Tracked(ctx context.Context, path, name string) (bool, error) {
	out, err := call{dir: path, args: []string{"ls-files", "-z", "--", name}}.output(ctx)
	if err != nil {
		return false, fmt.Errorf("look whether %s is tracked: %w", name, err)
	}
	return len(out) > 0, nil
}

// GiveBack makes a file of a worktree what its index says, and takes it for
// unchanged again.
func (r Repo) GiveBack(ctx context.Context, path, name string) error {
	if _, err := (call{dir: path, args: []string{"checkout-index", "--quiet", "--force", "--index", "--", name}}).output(ctx); err != nil {
		return fmt.Errorf("give %s back: %w", name, err)
	}
	return nil
}
