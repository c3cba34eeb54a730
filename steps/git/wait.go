package git

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ecluse/steps/proc"
)

const (
	// patience is how long other processes' locks are waited for, altogether.
	patience = 15 * time.Second
	// silence is how long that goes without a word.
	silence = time.Second
	// stale is the age from which a lock, or an entry, that nobody has open
	// was left behind by a git that was killed. git holds such a lock for
	// milliseconds.
	stale = 5 * time.Second
	// firstPause and longestPause are the pauses between two tries, before
	// jitter.
	firstPause   = 10 * time.Millisecond
	longestPause = 400 * time.Millisecond
)

// BusyError is the end of the wait for something that another process holds, or
// that one left behind when it was killed.
type BusyError struct {
	// Path of the lock, or of the half-written entry of a worktree; empty if
	// git did not name it.
	Path string
	// Holder is who has it open, for people; empty if nobody has.
	Holder string
	// Err is git's last complaint.
	Err error
}

// Error says what was waited for, who holds it, and what can be done.
func (e *BusyError) Error() string {
	text := fmt.Sprintf("waited %v for ", patience) + e.what()
	if e.Path != "" && e.Holder == "" {
		text += "; a program that was killed may have left it: if no git is at work here, remove it with: rm -r " + shellQuote(e.Path)
	}
	if e.Path == "" {
		text += fmt.Sprintf(": %v", e.Err)
	}
	return text
}

// Unwrap gives git's last complaint.
func (e *BusyError) Unwrap() error { return e.Err }

// what names what is waited for.
func (e *BusyError) what() string {
	switch {
	case e.Path == "":
		return "another git"
	case e.Holder == "":
		return e.Path + ", which no process has open"
	default:
		return e.Path + ", held by " + e.Holder
	}
}

// waiter is the patience of several calls together.
type waiter struct {
	report func(text string)
	mu     sync.Mutex
	left   time.Duration
}

type waiterKey struct{}

// Patient makes all that is called with the context share one patience, and tell
// what they wait for once that takes more than a moment.
func Patient(ctx context.Context, report func(text string)) context.Context {
	return context.WithValue(ctx, waiterKey{}, &waiter{report: report, left: patience})
}

// waiterOf is the context's waiter, or one for a single call.
func waiterOf(ctx context.Context) *waiter {
	if w, ok := ctx.Value(waiterKey{}).(*waiter); ok {
		return w
	}
	return &waiter{report: func(string) {}, left: patience}
}

// spend takes from what is left, and reports whether anything is.
func (w *waiter) spend(d time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left -= d
	return w.left > 0
}

// lockError is the lock of a ref that is there, where git was not asked.
type lockError struct{ path string }

func (e *lockError) Error() string { return e.path + " is locked" }

// retry calls do until it succeeds, fails for good, or patience or ctx end. What a
// dead git left of an entry of ours is removed.
func (r Repo) retry(ctx context.Context, do func() error) error {
	w, pause, told := waiterOf(ctx), firstPause, false
	began := time.Now()
	for last := began; ; {
		err := do()
		if err == nil || !transient(err) {
			return err
		}
		if r.clearDead(ctx, err) {
			continue
		}
		if now := time.Now(); !w.spend(now.Sub(last)) {
			return r.busy(err)
		} else if !told && now.Sub(began) > silence {
			w.report("waiting for " + r.busy(err).what())
			told = true
		}
		last = time.Now()
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
	var busy *BusyError
	if errors.As(err, &busy) {
		return false
	}
	var lock *lockError
	text := said(err)
	if errors.As(err, &lock) || entryIn(text) != "" {
		return true
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

// entryIn is the name of the entry that git complains about; "worktrees" if it is
// the directory of all.
func entryIn(text string) string {
	for _, sign := range []string{"failed to read ", "Invalid path '"} {
		_, path, found := strings.Cut(text, sign)
		if !found {
			continue
		}
		// The path may have a line break in it.
		if i := strings.Index(path, ".git/worktrees/"); i >= 0 {
			name := path[i+len(".git/worktrees/"):]
			return name[:strings.IndexAny(name+"/", "/':\n")]
		}
		if strings.Contains(path, ".git/worktrees'") {
			return "worktrees"
		}
		path, _, _ = strings.Cut(path, "\n")
		if i := strings.LastIndex(path, "/worktrees/"); i >= 0 {
			name := path[i+len("/worktrees/"):]
			return name[:strings.IndexAny(name+"/", "/':")]
		}
		if strings.Contains(path, "/worktrees") {
			return "worktrees"
		}
	}
	return ""
}

// busy describes what stands in the way.
func (r Repo) busy(err error) *BusyError {
	e := &BusyError{Path: r.obstacle(err), Err: err}
	if e.Path == "" {
		return e
	}
	if holders := holding(e.Path); len(holders) > 0 {
		e.Holder = proc.Describe(holders[0])
	}
	return e
}

// obstacle is the file or entry that git complains about.
func (r Repo) obstacle(err error) string {
	var lock *lockError
	if errors.As(err, &lock) {
		return lock.path
	}
	text := said(err)
	if name := entryIn(text); name != "" && name != "worktrees" {
		return filepath.Join(r.CommonDir, "worktrees", name)
	}
	if _, rest, found := strings.Cut(text, "Unable to create '"); found {
		if path, _, found := strings.Cut(rest, "': File exists"); found {
			return absolute(r.Root, path)
		}
	}
	if _, rest, found := strings.Cut(text, "could not lock config file "); found {
		path, _, _ := strings.Cut(rest, ": File exists")
		return absolute(r.Root, path) + ".lock"
	}
	return ""
}

// holding lists who has a file, or a directory or a file in it, open.
func holding(path string) []proc.ID {
	list, _ := proc.Holding(path)
	files, _ := os.ReadDir(path)
	for _, file := range files {
		more, _ := proc.Holding(filepath.Join(path, file.Name()))
		list = append(list, more...)
	}
	return list
}

// clearDead removes the entry that git complains about, if it is what is left of a
// worktree of ours whose making was killed: the lock is ours, which Add gives, the
// file that git cannot read was begun and has nobody who could finish it, and that
// for a while. It would keep git from all worktrees for ever.
func (r Repo) clearDead(ctx context.Context, err error) bool {
	name := entryIn(said(err))
	if name == "" || name == "worktrees" || name != filepath.Base(name) {
		return false
	}
	dir := filepath.Join(r.CommonDir, "worktrees", name)
	reason, readErr := os.ReadFile(filepath.Join(dir, "locked"))
	if readErr != nil || !strings.HasPrefix(string(reason), madeReason) {
		return false
	}
	// git writes it at once when it has opened it.
	info, statErr := os.Lstat(filepath.Join(dir, "commondir"))
	if statErr != nil || info.Size() > 0 || time.Since(info.ModTime()) < stale || len(holding(dir)) > 0 {
		return false
	}
	return r.dropEntry(ctx, dir) == nil
}

// awaitLock returns once a branch that does not exist has no lock either: it is
// being made, or a git that was killed left it.
func (r Repo) awaitLock(ctx context.Context, ref string) error {
	return r.retry(ctx, func() error {
		r.breakLock(ref)
		if path := r.lockOf(ref); exists(path) {
			return &lockError{path}
		}
		return nil
	})
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

// exists reports whether anything is at a path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
