package session

import (
	"fmt"
	"strings"

	"ecluse/saga"
)

// Status is a session as somebody sees it who only looks.
type Status struct {
	Session
	// Owner of the run that is under way; nil when there is none.
	Owner *Owner
	// Interrupted: the session is pending, and nobody works on it.
	Interrupted bool
}

// Status tells whether somebody works on a session. It writes nothing and waits
// for nobody.
//
// A record that is pending while its lock is free proves an interrupted run only
// if it was still the same after the lock was found free: an owner holds the
// lock from before its first transition until after its last.
//
// The error wraps [ErrNotFound] for a session that has gone since s was read.
func (m *Manager) Status(s Session) (Status, error) {
	for {
		owner, err := m.Locker.Holder(s.Key)
		if err != nil {
			return Status{Session: s}, err
		}
		if !s.State.Pending() {
			return Status{Session: s}, nil
		}
		if owner != nil {
			return Status{Session: s, Owner: owner}, nil
		}
		again, err := m.Store.Get(s.Key)
		if err != nil {
			return Status{Session: s}, err
		}
		if again.Epoch == s.Epoch && again.State == s.State {
			return Status{Session: again, Interrupted: true}, nil
		}
		s = again
	}
}

// Current is the place in the plan of the step that a run is at: one that is
// under way, else the first that failed, else, of a run that has not ended, the
// one that comes next; -1 if there is none.
func Current(s Session) int {
	failed, first, last := -1, -1, -1
	for i, step := range s.Progress.Steps {
		switch step.Phase {
		case saga.Started, saga.Compensating:
			return i
		case saga.Failed, saga.CompensationFailed:
			if failed < 0 {
				failed = i
			}
		case saga.Planned:
			if first < 0 {
				first = i
			}
		case saga.Done:
			last = i
		case saga.Compensated, saga.PhaseAbandoned:
		}
	}
	switch {
	case failed >= 0 || !s.State.Pending():
		return failed
	case s.Progress.Direction == saga.Backward:
		return last
	default:
		return first
	}
}

// Describe names the steps in hand: "3/6 compose", "4/6 service:web, service:api".
func Describe(s Session) string {
	var names []string
	for i, step := range s.Progress.Steps {
		if step.Phase.Running() {
			names = append(names, s.Plan.Steps[i].Title(step.Phase))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d %s", Current(s)+1, len(s.Plan.Steps), strings.Join(names, ", "))
}
