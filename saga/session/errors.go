package session

import (
	"errors"
	"fmt"
	"strings"

	"ecluse/fsm"
	"ecluse/saga"
)

// What stands in the way before anything is done.
var (
	// ErrNotFound: there is no such session.
	ErrNotFound = errors.New("no such session")
	// ErrSlug: the name cannot name a session.
	ErrSlug = errors.New("not a slug")
	// ErrExhausted: no slot, or no port, is free.
	ErrExhausted = errors.New("exhausted")
	// ErrBusy: a live process owns the session. See [BusyError].
	ErrBusy = errors.New("busy")
	// ErrTaken: the slug belongs to another branch.
	ErrTaken = errors.New("slug taken")
	// ErrNotThere: what was asked for cannot be done in the session's state.
	ErrNotThere = errors.New("not in that state")
)

// What the store's transaction found. Both mean that nothing was written.
var (
	// ErrSuperseded: another command took the session over.
	ErrSuperseded = errors.New("another command took the session over")
	// ErrStale: what the event was decided on has changed; look again.
	ErrStale = errors.New("the session changed meanwhile")
)

// How a run can end that does not reach what it was asked for. See [RunError].
var (
	// ErrRolledBack: it failed, and everything that it did was compensated.
	ErrRolledBack = errors.New("rolled back")
	// ErrFailed: something is left.
	ErrFailed = errors.New("failed")
	// ErrInterrupted: it was cut off and waits for recover.
	ErrInterrupted = errors.New("interrupted")
)

// worded is an error that says more than the sentinel that it is.
type worded struct {
	text string
	is   error
}

// say words an error that is (or wraps) another one.
func say(is error, format string, args ...any) error {
	return worded{fmt.Sprintf(format, args...), is}
}

// Error is the text alone.
func (e worded) Error() string { return e.text }

// Unwrap returns what it is.
func (e worded) Unwrap() error { return e.is }

// BusyError says who owns a session. It wraps [ErrBusy].
type BusyError struct {
	Key   Key
	Owner Owner
	// Step in hand, as "3/6 compose"; may be empty.
	Step string
}

// Error names the owner, what it does and since when.
func (e *BusyError) Error() string {
	step := ""
	if e.Step != "" {
		step = ", step " + e.Step
	}
	return fmt.Sprintf("session %s is busy: %s%s", e.Key.Slug, e.Owner, step)
}

// Unwrap returns [ErrBusy].
func (e *BusyError) Unwrap() error { return ErrBusy }

// RunError is a run that did not reach what it was asked for.
type RunError struct {
	Key  Key
	Run  string
	Verb Verb
	// State the session is in now.
	State fsm.State
	// End is ErrRolledBack, ErrFailed or ErrInterrupted.
	End error
	// Failure is why, as the journal has it: also when an earlier owner of
	// the run recorded it.
	Failure Failure
	// Left names the steps of which something may be left.
	Left []string
	// Err is the error of this process, where it is one.
	Err error
	// Session as the run left it, for who wants to know more: where the log
	// of the step is, say.
	Session Session
}

// Error says what the run came to, then at which step and why. The cause stands
// last: it may be the output of a program.
func (e *RunError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Verb, e.Key.Slug)
	switch {
	case errors.Is(e.End, ErrRolledBack) && e.State == fsm.Absent:
		b.WriteString(": everything was rolled back")
	case errors.Is(e.End, ErrRolledBack), e.reverted():
		fmt.Fprintf(&b, ": what this run did was rolled back, and the session is %s", e.State)
	case errors.Is(e.End, ErrInterrupted):
		fmt.Fprintf(&b, ": interrupted, the session is %s", e.State)
	case len(e.Left) > 0:
		fmt.Fprintf(&b, ": failed, left behind: %s", strings.Join(e.Left, ", "))
	default:
		b.WriteString(": failed")
	}
	if e.Failure.Step != "" {
		fmt.Fprintf(&b, ": step %s", e.Failure.Title(e.Session.Plan))
	}
	if e.Failure.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Failure.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// reverted reports whether the run was a repair that failed and was compensated,
// which leaves what worked before.
func (e *RunError) reverted() bool {
	p := e.Session.Progress
	return e.State == fsm.Failed && p.Direction == saga.Backward && p.Scope != "" && len(e.Left) == 0
}

// Unwrap returns the end and this process's own error.
func (e *RunError) Unwrap() []error {
	if e.Err != nil {
		return []error{e.End, e.Err}
	}
	return []error{e.End}
}
