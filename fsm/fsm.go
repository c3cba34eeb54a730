package fsm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	looplab "github.com/looplab/fsm"
)

// State is where a session's life stands. Its text is what is stored on disk
// and shown to people.
type State string

// The states. [Absent] is never stored: it is the lack of a row.
const (
	Absent      State = "absent"
	PendingUp   State = "pending-up"
	Active      State = "active"
	PendingDown State = "pending-down"
	Stopped     State = "stopped"
	Failed      State = "failed"
)

// Event is what happens to a session.
type Event string

// The events.
const (
	// Up begins, resumes, retries or repairs.
	Up Event = "up"
	// Down begins or resumes the teardown.
	Down Event = "down"
	// Done ends a run: everything that it had to do is done and verified.
	Done Event = "done"
	// Keep ends a teardown that was asked to keep the worktree.
	Keep Event = "keep"
	// Rollback turns an up that failed or was cancelled.
	Rollback Event = "rollback"
	// Fail ends a run that can neither go on nor go back.
	Fail Event = "fail"
)

// ErrTransition is wrapped by the errors of [Next]: the event means nothing in
// that state, or one of the two is unknown.
var ErrTransition = errors.New("no such transition")

// States lists every state, Absent first.
func States() []State {
	return []State{Absent, PendingUp, Active, PendingDown, Stopped, Failed}
}

// Events lists every event.
func Events() []Event { return []Event{Up, Down, Done, Keep, Rollback, Fail} }

// Known reports whether s is a state of this version. A state read from disk
// is checked before it is used: an unknown one was written by a newer version.
func (s State) Known() bool { return slices.Contains(States(), s) }

// Pending reports whether a run is, or was when it was cut off, under way.
func (s State) Pending() bool { return s == PendingUp || s == PendingDown }

// table is the lifecycle: design in one place, compared with the machine and
// with the README's diagram by tests.
var table = []looplab.EventDesc{
	{Name: string(Up), Src: []string{string(Absent)}, Dst: string(PendingUp)},
	{Name: string(Up), Src: []string{string(PendingUp)}, Dst: string(PendingUp)}, // resume
	{Name: string(Up), Src: []string{string(Active)}, Dst: string(PendingUp)},    // repair
	{Name: string(Up), Src: []string{string(Stopped)}, Dst: string(PendingUp)},
	{Name: string(Up), Src: []string{string(Failed)}, Dst: string(PendingUp)}, // retry

	{Name: string(Down), Src: []string{string(PendingUp)}, Dst: string(PendingDown)},
	{Name: string(Down), Src: []string{string(Active)}, Dst: string(PendingDown)},
	{Name: string(Down), Src: []string{string(Stopped)}, Dst: string(PendingDown)},
	{Name: string(Down), Src: []string{string(Failed)}, Dst: string(PendingDown)},
	{Name: string(Down), Src: []string{string(PendingDown)}, Dst: string(PendingDown)}, // resume

	{Name: string(Done), Src: []string{string(PendingUp)}, Dst: string(Active)},
	{Name: string(Done), Src: []string{string(PendingDown)}, Dst: string(Absent)},
	{Name: string(Keep), Src: []string{string(PendingDown)}, Dst: string(Stopped)},
	{Name: string(Rollback), Src: []string{string(PendingUp)}, Dst: string(PendingDown)},
	{Name: string(Fail), Src: []string{string(PendingUp)}, Dst: string(Failed)},
	{Name: string(Fail), Src: []string{string(PendingDown)}, Dst: string(Failed)},
}

// Next says where event e takes a session that is in state s. The error wraps
// [ErrTransition]; the state is then unchanged.
func Next(s State, e Event) (State, error) {
	if !s.Known() {
		return s, fmt.Errorf("state %q was written by a newer version: %w", s, ErrTransition)
	}
	if !slices.Contains(Events(), e) {
		return s, fmt.Errorf("unknown event %q: %w", e, ErrTransition)
	}
	machine := looplab.NewFSM(string(s), table, nil)
	err := machine.Event(context.Background(), string(e))
	var same looplab.NoTransitionError
	switch {
	case err == nil, errors.As(err, &same) && same.Err == nil:
		return State(machine.Current()), nil
	default:
		return s, fmt.Errorf("%s while %s: %w", e, s, ErrTransition)
	}
}
