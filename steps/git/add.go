package git

import (
	"context"
	"fmt"
	"strings"
)

// madeReason begins the reason of the lock of a worktree that Add is making. The
// path follows, so that an entry says whose it is before git has noted the path.
const madeReason = "ecluse is making "

// inMaking reports whether a lock says that the worktree is not finished: git's
// own, or ours.
func inMaking(reason string) bool {
	return reason == "initializing" || strings.HasPrefix(reason, madeReason)
}

// Add makes the worktree of a resolution at path, where nothing may be but an
// empty directory, and its branch if the resolution says so. When it fails, parts
// of both may be left: [Repo.Remove] and [Repo.DeleteBranch] remove them. Locks
// that other processes hold for a moment are waited for.
//
// The post-checkout hook is a part of it: its failure is Add's.
func (r Repo) Add(ctx context.Context, path string, res Resolution) error {
	if err := CheckBranch(res.Branch); err != nil {
		return fmt.Errorf("add a worktree: %w", err)
	}
	path = place(path)
	if res.Kind != KindLocal {
		if err := r.makeBranch(ctx, res); err != nil {
			return fmt.Errorf("make branch %s: %w", res.Branch, err)
		}
	}
	add := call{dir: r.Root, hooks: true, args: []string{
		"worktree", "add", "--quiet", "--lock", "--reason", madeReason + path, "--", path, res.Branch,
	}}
	err := r.retry(ctx, func() error {
		_, err := add.output(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("add worktree %s: %w", path, err)
	}
	err = r.retry(ctx, func() error {
		_, err := r.git(ctx, "worktree", "unlock", "--", path)
		return err
	})
	if err != nil {
		return fmt.Errorf("finish worktree %s: %w", path, err)
	}
	return nil
}

// makeBranch makes the branch of a resolution where there is none. That it is
// there already, at the right commit, is what an earlier attempt did.
func (r Repo) makeBranch(ctx context.Context, res Resolution) error {
	ref := "refs/heads/" + res.Branch
	return r.retry(ctx, func() error {
		// An empty old value: only if it does not exist.
		_, err := r.git(ctx, "update-ref", "-m", "branch: Created from "+res.Start, "--", ref, res.Base, "")
		if err == nil {
			return nil
		}
		if tip, ok, _ := r.commit(ctx, ref); ok {
			if tip == res.Base {
				return nil
			}
			return fmt.Errorf("it was made at the same time, at %s: %w", tip, err)
		}
		r.breakLock(ref)
		return err
	})
}
