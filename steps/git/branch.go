package git

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind says where a branch comes from.
type Kind string

// The kinds.
const (
	// KindLocal: the branch exists.
	KindLocal Kind = "local"
	// KindRemote: it will be made where origin's branch of that name is.
	KindRemote Kind = "remote"
	// KindNew: it will be made where it was asked to begin.
	KindNew Kind = "new"
)

// Resolution says what a worktree of a branch is made from. It is a part of
// journals, so its names stay.
type Resolution struct {
	Kind   Kind   `json:"kind"`
	Branch string `json:"branch"`
	// Start is the name of where the branch begins: a branch of origin's, or
	// what was asked for; of a local branch its own name.
	Start string `json:"start"`
	// Base is its commit, now.
	Base string `json:"base"`
}

// CheckBranch reports a name that no branch can have. It knows the rules of
// `git check-ref-format --branch` but for @{-1}, which is no name, and takes UTF-8
// only: the name is written to journals. The error wraps [ErrBranchName].
func CheckBranch(name string) error {
	if flaw := flawOf(name); flaw != "" {
		return fmt.Errorf("%q %s and %w", name, flaw, ErrBranchName)
	}
	return nil
}

// flawOf says what is wrong with a branch's name.
func flawOf(name string) string {
	switch {
	case name == "":
		return "is empty"
	case name == "HEAD" || name == "@":
		return "has a meaning of its own"
	case strings.HasPrefix(name, "-"):
		return "begins like an option"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.HasSuffix(name, "."):
		return "ends in a dot"
	}
	for _, part := range []string{"..", "@{"} {
		if strings.Contains(name, part) {
			return fmt.Sprintf("contains %q", part)
		}
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || strings.ContainsRune(" ~^:?*[\\", r) {
			return fmt.Sprintf("contains %q", r)
		}
	}
	for component := range strings.SplitSeq(name, "/") {
		switch {
		case component == "":
			return "has an empty part"
		case strings.HasPrefix(component, "."):
			return "has a part that begins with a dot"
		case strings.HasSuffix(component, ".lock"):
			return "has a part that ends in .lock"
		}
	}
	return ""
}

// Resolve decides what a worktree of branch is made from: the local branch, else
// the branch of that name at origin as it was last fetched, else a new one that
// begins at from, or at HEAD of the main worktree if from is "". Nothing is
// fetched, nothing made.
//
// The error is a [*CheckedOutError] when some worktree has the branch checked out.
// It wraps [ErrBranchName], [ErrUnknownRevision] or [ErrUnborn].
func (r Repo) Resolve(ctx context.Context, branch, from string) (Resolution, error) {
	if err := CheckBranch(branch); err != nil {
		return Resolution{}, err
	}
	tips, err := r.commits(ctx, "refs/heads/"+branch, "refs/remotes/origin/"+branch, "HEAD")
	if err != nil {
		return Resolution{}, fmt.Errorf("look for branch %s: %w", branch, err)
	}
	switch {
	case tips[0] != "":
		return Resolution{Kind: KindLocal, Branch: branch, Start: branch, Base: tips[0]}, r.checkFree(ctx, branch)
	case tips[1] != "":
		return Resolution{Kind: KindRemote, Branch: branch, Start: "origin/" + branch, Base: tips[1]}, nil
	case from == "" && tips[2] == "":
		return Resolution{}, fmt.Errorf("begin branch %s in %s: %w", branch, r.Root, ErrUnborn)
	case from == "":
		return Resolution{Kind: KindNew, Branch: branch, Start: "HEAD", Base: tips[2]}, nil
	}
	commit, ok, err := r.commit(ctx, from)
	switch {
	case err != nil:
		return Resolution{}, fmt.Errorf("look for %s: %w", from, err)
	case !ok:
		return Resolution{}, fmt.Errorf("begin branch %s: %q %w", branch, from, ErrUnknownRevision)
	}
	return Resolution{Kind: KindNew, Branch: branch, Start: from, Base: commit}, nil
}

// checkFree looks whether a branch is checked out anywhere.
func (r Repo) checkFree(ctx context.Context, branch string) error {
	all, err := r.Worktrees(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		if w.Branch == branch {
			return &CheckedOutError{Branch: branch, Path: w.Path, Gone: w.Prunable, Root: r.Root}
		}
	}
	return nil
}

// Track makes branch follow the branch of the same name at origin, as `git push`
// and `git status` want it. That needs the lock of the config file; calls of ecluse
// take turns, and others are waited for.
func (r Repo) Track(ctx context.Context, branch string) error {
	err := r.guarded(ctx, func() error {
		return r.retry(ctx, func() error {
			_, err := r.git(ctx, "branch", "--quiet", "--set-upstream-to=origin/"+branch, "--", branch)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("set the upstream of branch %s: %w", branch, err)
	}
	return nil
}

// DeleteBranch deletes a branch that still is at base and is checked out nowhere,
// together with its section in the repository's configuration. It reports whether
// the branch is gone: not if it has commits, or is in use. A branch that is gone
// already is gone.
func (r Repo) DeleteBranch(ctx context.Context, branch, base string) (bool, error) {
	if err := CheckBranch(branch); err != nil {
		return false, fmt.Errorf("delete a branch: %w", err)
	}
	gone, err := r.dropRef(ctx, branch, base)
	if err != nil {
		return false, fmt.Errorf("delete branch %s: %w", branch, err)
	}
	if !gone {
		return false, nil
	}
	if err := r.dropSection(ctx, branch); err != nil {
		return true, fmt.Errorf("delete the configuration of branch %s: %w", branch, err)
	}
	return true, nil
}

// dropRef deletes the ref if it is at base: compared and swapped, so a commit that
// comes at the same moment is not lost.
func (r Repo) dropRef(ctx context.Context, branch, base string) (gone bool, err error) {
	ref := "refs/heads/" + branch
	err = r.retry(ctx, func() error {
		gone = false
		tip, there, err := r.commit(ctx, ref)
		if err != nil {
			return err
		}
		if !there {
			gone = true
			return r.awaitLock(ctx, ref)
		}
		if tip != base {
			return nil
		}
		all, err := r.Worktrees(ctx)
		if err != nil {
			return err
		}
		for _, w := range all {
			if w.Branch == branch {
				return nil
			}
		}
		if _, err := r.git(ctx, "update-ref", "--no-deref", "-d", "--", ref, base); err != nil {
			r.breakLock(ref)
			if tip, there, _ := r.commit(ctx, ref); there && tip != base {
				return nil // somebody was faster
			}
			return err
		}
		gone = true
		return nil
	})
	return gone, err
}

// dropSection removes what [Repo.Track], or git, noted about a branch.
func (r Repo) dropSection(ctx context.Context, branch string) error {
	section := "branch." + branch
	if there, err := r.hasConfig(ctx, section); err != nil || !there {
		return err
	}
	return r.guarded(ctx, func() error {
		return r.retry(ctx, func() error {
			if there, err := r.hasConfig(ctx, section); err != nil || !there {
				return err
			}
			_, err := r.git(ctx, "config", "--local", "--remove-section", section)
			if err != nil && strings.Contains(said(err), "no such section") {
				return nil
			}
			return err
		})
	})
}

// hasConfig reports whether the repository's configuration has a section. Most
// branches have none, and nobody's lock is needed to see that.
func (r Repo) hasConfig(ctx context.Context, section string) (bool, error) {
	out, err := r.git(ctx, "config", "--local", "--name-only", "--null", "--list")
	return err == nil && hasSection(string(out), section), err
}

// hasSection reports whether one of the keys is of a section.
func hasSection(keys, section string) bool {
	for key := range strings.SplitSeq(keys, "\x00") {
		if dot := strings.LastIndexByte(key, '.'); dot > 0 && key[:dot] == section {
			return true
		}
	}
	return false
}
