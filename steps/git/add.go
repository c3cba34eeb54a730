package git

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ecluse/steps/proc"
)

const (
	// patience is how long another process's lock is waited for, altogether.
	patience = 15 * time.Second
	// stale is the age from which the lock of a branch that is ours, and that
	// nobody has open, was left behind by a git that was killed. git holds
	// such a lock for milliseconds.
	stale = 5 * time.Second
	// firstPause and longestPause are the pauses between two tries, before
	// jitter.
	firstPause   = 10 * time.Millisecond
	longestPause = 400 * time.Millisecond
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
	err := retry(ctx, func() error {
		_, err := add.output(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("add worktree %s: %w", path, err)
	}
	err = retry(ctx, func() error {
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
	return retry(ctx, func() error {
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

// awaitLock returns once a branch that does not exist has no lock either: it is
// being made, or a git that was killed left it.
func (r Repo) awaitLock(ctx context.Context, ref string) error {
	deadline := time.Now().Add(patience)
	for {
		r.breakLock(ref)
		if _, err := os.Lstat(r.lockOf(ref)); err != nil || time.Now().After(deadline) {
			return nil
		}
		if err := sleep(ctx, firstPause); err != nil {
			return err
		}
	}
}

// lockOf is the file by which git locks a ref.
func (r Repo) lockOf(ref string) string {
	return filepath.Join(r.CommonDir, filepath.FromSlash(ref)+".lock")
}

// breakLock removes the lock that a git that was killed left on a branch of ours.
// A lock that somebody has open, or that is young, stays.
func (r Repo) breakLock(ref string) {
	path := r.lockOf(ref)
	info, err := os.Lstat(path)
	if err != nil || time.Since(info.ModTime()) < stale {
		return
	}
	if holders, err := proc.Holding(path); err != nil || len(holders) > 0 {
		return
	}
	_ = os.Remove(path)
}

// retry calls do until it succeeds, fails for good, or patience or ctx end.
func retry(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(patience)
	pause := firstPause
	for {
		err := do()
		if err == nil || !transient(err) || time.Now().After(deadline) {
			return err
		}
		// Everybody who lost the same lock waits another while.
		if cut := sleep(ctx, pause/2+rand.N(pause)); cut != nil {
			return errors.Join(err, cut)
		}
		pause = min(2*pause, longestPause)
	}
}

// sleep returns after a while, or with the cause when ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// transient reports whether git lost against another process that is about to be
// done. A directory that cannot be made was removed at that moment, when it
// was empty. What of another worktree cannot be read, or is a path no more, is gone
// since git saw it ("No such file"), or not yet written ("Success"): that worktree
// is being made or removed, or it was the last one.
func transient(err error) bool {
	text := said(err)
	for _, sign := range []string{"failed to read ", "Invalid path '"} {
		if strings.Contains(text, sign) && strings.Contains(text, "/worktrees") {
			return true
		}
	}
	for _, sign := range []string{
		".lock': File exists", "could not lock config file", "could not create directory of",
		"could not create leading directories",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
