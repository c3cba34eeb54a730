package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// checkNested refuses a worktree with repositories in it that hold work. A
// repository that is not a submodule always does: its files cannot be saved as
// files of this one. So does another worktree of this repository, whether it is ignored or
// not: it may be a session's. A submodule does if something is not committed in it, or
// is on no branch of its remotes: its repository goes with the worktree.
func (v *view) checkNested(ctx context.Context) error {
	if err := v.checkInside(); err != nil {
		return err
	}
	out, err := v.git(ctx, nil, "ls-files", "--others", "--exclude-standard", "-z")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(string(out), "\x00") {
		if strings.HasSuffix(name, "/") {
			return fmt.Errorf("%s is %w", filepath.Join(BeforeAside(v.path), name), ErrNested)
		}
	}
	out, err = v.git(ctx, nil, "ls-files", "--stage", "-z")
	if err != nil {
		return err
	}
	for item := range strings.SplitSeq(string(out), "\x00") {
		stage, name, _ := strings.Cut(item, "\t")
		if !strings.HasPrefix(stage, "160000 ") {
			continue
		}
		if err := checkSubmodule(ctx, filepath.Join(v.path, name)); err != nil {
			return err
		}
	}
	return nil
}

// checkInside refuses a worktree in which there is another one.
func (v *view) checkInside() error {
	all, err := v.repo.entries()
	if err != nil {
		return err
	}
	for _, e := range all {
		rel, err := filepath.Rel(place(BeforeAside(v.path)), e.path)
		if e.path == "" || err != nil || rel == "." || !filepath.IsLocal(rel) || linkOf(filepath.Join(v.path, rel)) != e.dir {
			continue
		}
		return fmt.Errorf("worktree %s lies inside; take it away with: git -C %s worktree remove %s; it is %w",
			e.path, shellQuote(v.repo.Root), shellQuote(e.path), ErrNested)
	}
	return nil
}

// checkSubmodule refuses a submodule that holds work. One that is not there, or
// not filled, holds none.
func checkSubmodule(ctx context.Context, path string) error {
	if link := filepath.Join(path, ".git"); !isFile(link) && !isDir(link) {
		return nil
	}
	out, err := call{dir: path, args: []string{"rev-parse", "--git-path", "shallow"}}.output(ctx)
	if err != nil {
		return fmt.Errorf("look at submodule %s: %w", path, err)
	}
	// Where a shallow clone ends was fetched, though no branch may have it.
	fetched, _ := os.ReadFile(absolute(path, line(out)))
	for _, args := range [][]string{
		{"status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none"},
		append([]string{"rev-list", "--max-count=1", "HEAD", "--branches", "--not", "--remotes", "--tags"},
			strings.Fields(string(fetched))...),
	} {
		out, err := call{dir: path, args: args}.output(ctx)
		if err != nil {
			return fmt.Errorf("look at submodule %s: %w", path, err)
		}
		if len(out) > 0 {
			return fmt.Errorf("submodule %s is %w", path, ErrNested)
		}
	}
	return nil
}
