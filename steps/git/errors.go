package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ecluse/steps/run"
)

// Errors of [Open]: what is there is nothing to make worktrees of.
var (
	// ErrMissing: there is no git binary.
	ErrMissing = errors.New("git is not installed, or not in PATH; install git 2.36 or newer")
	// ErrOld: the git binary does not know what is needed here.
	ErrOld = errors.New("git is too old; install git 2.36 or newer")
	// ErrNotRepository: the directory belongs to no repository.
	ErrNotRepository = errors.New("not in a git repository; change into one, or make one with: git init")
	// ErrBare: there is no main worktree.
	ErrBare = errors.New("the repository is bare and has no main worktree; use a clone that has one")
	// ErrUnborn: there is no commit to begin a branch at.
	ErrUnborn = errors.New("HEAD has no commit yet")
)

// Errors of names.
var (
	// ErrBranchName: the name cannot name a branch.
	ErrBranchName = errors.New("cannot name a branch; see: git help check-ref-format")
	// ErrUnknownRevision: nothing has this name.
	ErrUnknownRevision = errors.New("names no commit; list branches with: git branch --all")
)

// Errors of [Repo.Whole]: why a worktree cannot be used.
var (
	// ErrNoWorktree: none is registered at the path, or its directory is gone.
	ErrNoWorktree = errors.New("there is no worktree")
	// ErrHalfMade: its making was cut off. It holds nothing of the user's.
	ErrHalfMade = errors.New("the worktree is half made")
	// ErrDamaged: it was whole and lost what connects it with the repository.
	ErrDamaged = errors.New("the worktree is damaged")
	// ErrOtherBranch: something else than the branch is checked out.
	ErrOtherBranch = errors.New("the worktree is not on the branch")
)

// Errors of removing and saving.
var (
	// ErrForeign: what is at the path is not the repository's to remove.
	ErrForeign = errors.New("not a worktree of this repository; move it away or remove it yourself")
	// ErrNested: the worktree holds another repository, whose commits or
	// changes exist nowhere else and cannot be saved.
	ErrNested = errors.New("a git repository of its own, with work that exists nowhere else; move it away, push it or remove it")
)

// LockedError is the refusal to remove a worktree that somebody locked.
type LockedError struct {
	Root, Path string
	// Reason is what was given to `git worktree lock`; it may be empty.
	Reason string
}

// Error names the reason and the command that unlocks.
func (e *LockedError) Error() string {
	reason := ""
	if e.Reason != "" {
		reason = fmt.Sprintf(" (%s)", e.Reason)
	}
	return fmt.Sprintf("worktree %s is locked%s; unlock it with: git -C %s worktree unlock %s",
		e.Path, reason, shellQuote(e.Root), shellQuote(e.Path))
}

// WritingError is the refusal to remove what somebody goes on writing into.
type WritingError struct {
	Path string
}

// Error says how to find who it is.
func (e *WritingError) Error() string {
	return fmt.Sprintf("somebody is writing in %s, faster than it can be saved; end who has a file or a shell there (lsof +D %s), and try again",
		e.Path, shellQuote(e.Path))
}

// CheckedOutError is the refusal to check a branch out a second time.
type CheckedOutError struct {
	Branch string
	// Path is the worktree that has it.
	Path string
	// Gone: the directory of that worktree does not exist any more.
	Gone bool
	Root string
}

// Error says where the branch is checked out and how to free it.
func (e *CheckedOutError) Error() string {
	if e.Gone {
		return fmt.Sprintf("branch %s is checked out in %s, which is gone; forget it with: git -C %s worktree prune",
			e.Branch, e.Path, shellQuote(e.Root))
	}
	return fmt.Sprintf("branch %s is checked out in %s; free it with: git -C %s switch --detach",
		e.Branch, e.Path, shellQuote(e.Path))
}

// CheckPlace says what is in the way where a worktree should be: a file, or a file
// where a directory on the way should be. A link at the place itself is in the way
// too.
func CheckPlace(path string) error {
	for at := place(path); ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%s is in the way of worktree %s: %s; move it away", kindOf(info), path, at)
		case err == nil || !absent(err) || at == filepath.Dir(at):
			return nil
		}
	}
}

// RemoveCommand is the command by which the user removes a worktree.
func (r Repo) RemoveCommand(path string) string {
	return fmt.Sprintf("git -C %s worktree remove %s", shellQuote(r.Root), shellQuote(path))
}

// Quote writes text so that a shell reads it as one word.
func Quote(text string) string { return shellQuote(text) }

// shellQuote writes text so that a shell reads it as one word.
func shellQuote(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+@%") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// said is the last output of the program that err is about.
func said(err error) string {
	var failed *run.Error
	if errors.As(err, &failed) {
		return failed.Tail
	}
	return ""
}
