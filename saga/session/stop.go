package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
)

const (
	// stopPatience is how often a command that waits for an owner says so.
	stopPatience = 5 * time.Second
	// stopLooks is how often an owner was waited for, at least, before it is asked
	// again: as long as the machine stood still it could not do as it was asked.
	stopLooks = 4
	// claimPatience bounds the wait for an owner that has not yet said what it
	// does: it is looking at the session before it claims it.
	claimPatience = 10 * time.Second
	// lookAgain is how long one wait for the lock lasts before the record is
	// read again: the session may have changed hands.
	lookAgain = 250 * time.Millisecond
)

// ownAfterStop takes the owner lock for a down. The owner of an up that is under
// way is asked to stop, once, and waited for; any other owner is waited for as
// long as the request has it.
func (m *Manager) ownAfterStop(stops Stops, req DownRequest) (lock Lock, asked bool, err error) {
	begun, said := m.Now(), m.Now()
	var told uint64
	for looks := 0; ; looks++ {
		lock, err := m.own(stops, req.Key, VerbDown, 0)
		var busy *BusyError
		if !errors.As(err, &busy) {
			return lock, asked, err
		}
		s, err := m.get(req.Key)
		if err != nil {
			return nil, asked, err
		}
		waited, patience := m.Now().Sub(begun), req.patience(s)
		asked = asked || s.State == fsm.PendingUp || rollsBack(s)
		switch {
		case s.State != fsm.PendingUp:
		case s.Run.Stop == nil:
			m.askToStop(s, req.Options)
		case waited >= stopPatience && looks >= stopLooks && told != s.Epoch:
			// Who asked before us may have died before it could signal.
			told = s.Epoch
			m.signal(s)
		}
		if patience >= 0 && waited >= patience {
			return nil, asked, busy
		}
		if m.Now().Sub(said) >= stopPatience {
			said = m.Now()
			m.sayThatWeWait(s, busy.Owner, waited)
		}
		lock, err = m.own(stops, req.Key, VerbDown, lookAgain)
		if err == nil {
			return lock, asked, nil
		}
		if cause := context.Cause(stops.Soft); cause != nil {
			return nil, asked, cause
		}
	}
}

// patience is how long the owner of a session is waited for; negative is without
// end.
func (r DownRequest) patience(s Session) time.Duration {
	switch {
	case s.State == fsm.PendingUp, rollsBack(s):
		return -1
	case s.State == fsm.PendingDown, r.Wait < 0:
		return r.Wait
	default:
		return max(claimPatience, r.Wait)
	}
}

// askToStop asks the owner of an up to turn back, or, if the down keeps some of what
// there is, to leave that to it. When that cannot be done, or
// another command has just done it, the next look at the record will tell.
func (m *Manager) askToStop(s Session, o Options) {
	result, err := m.write(s.Key, Event{Kind: AskStop, At: m.Now(), Seen: s.Epoch, Owner: m.Processes.Self(VerbDown), Options: o})
	if err == nil {
		m.signal(result.Session)
	}
}

// signal tells the owner of a session that there is word for it.
func (m *Manager) signal(s Session) {
	owner := s.Run.Owner
	m.sink(s).Notify(saga.Notice{Time: m.Now(), Message: fmt.Sprintf("asking %s to stop", owner)})
	if err := m.Processes.Signal(owner, syscall.SIGTERM); err != nil {
		m.sink(s).Notify(saga.Notice{Time: m.Now(), Message: fmt.Sprintf("%s could not be told: %v", owner, err), Warning: true})
	}
}

// onStop says what the first stop means to the run of a session.
func (m *Manager) onStop(key Key, cause error, d saga.Direction) (saga.Event, bool) {
	s, err := m.Store.Get(key)
	if err != nil {
		s = Session{} // the journal will say what is wrong
	}
	if s.Run.Stop != nil {
		m.asked.Store(true)
	} else if m.meansAnother(s, cause) {
		return saga.Event{}, false
	}
	return stopEvent(s.Run.Stop, cause, d)
}

// stopEvent turns a run back that goes forward and halts one that goes back,
// unless it was asked for by a down that wants just that. One that goes forward is
// halted, too, if whoever asks will take it back in its own way.
func stopEvent(asked *StopRequest, cause error, d saga.Direction) (saga.Event, bool) {
	switch {
	case asked != nil && d == saga.Backward:
		return saga.Event{}, false
	case asked != nil:
		event := saga.Event{Kind: saga.Turn, Err: fmt.Sprintf("stopped: %s asked for it", asked.By), Code: CodeStopped}
		if asked.Halt {
			event.Kind = saga.Halt
		}
		return event, true
	case d == saga.Backward:
		return saga.Event{Kind: saga.Halt}, true
	default:
		return saga.Event{Kind: saga.Turn, Err: cause.Error(), Code: CodeInterrupted}, true
	}
}

// meansAnother reports whether the signal that stops this process came from a
// down that wants another of its sessions: a recover works on several.
func (m *Manager) meansAnother(s Session, cause error) bool {
	var by *Signalled
	if !errors.As(cause, &by) || by.Signal != syscall.SIGTERM {
		return false
	}
	all, err := m.Store.List()
	found := err == nil && slices.ContainsFunc(all, func(other Session) bool {
		return other.Run.Stop != nil && other.State.Pending() && other.Run.Owner.same(s.Run.Owner)
	})
	// Looked at last: the run that was meant says so before its session can be gone.
	return found || m.asked.Load()
}

// rollsBack reports whether an up is already on its way back.
func rollsBack(s Session) bool {
	return s.State == fsm.PendingDown && s.Run.Verb != VerbDown
}

// sayThatWeWait tells for whom a command is waiting.
func (m *Manager) sayThatWeWait(s Session, owner Owner, waited time.Duration) {
	text := fmt.Sprintf("waiting for %s, %s so far", owner, waited.Round(time.Second))
	if m.Processes.Suspended(owner) {
		text += fmt.Sprintf("; it is suspended: `kill -CONT %d` lets it go on, `kill -KILL %d` ends it", owner.PID, owner.PID)
	}
	m.sink(s).Notify(saga.Notice{Time: m.Now(), Message: text, Warning: true})
}

// notFoundError names the session that does not exist.
type notFoundError struct{ key Key }

// Error says so.
func (e *notFoundError) Error() string {
	return fmt.Sprintf("there is no session %s", e.key.Slug)
}

// Unwrap returns [ErrNotFound].
func (e *notFoundError) Unwrap() error { return ErrNotFound }
