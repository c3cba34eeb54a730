package session

import (
	"context"
	"errors"

	"ecluse/fsm"
)

// Mode is which way an interrupted session is to be finished.
type Mode string

// The modes.
const (
	// Auto goes the way that the run was going.
	Auto Mode = "auto"
	// Resume goes forward; a teardown that has begun cannot.
	Resume Mode = "resume"
	// Rollback goes back.
	Rollback Mode = "rollback"
)

// RecoverRequest is what Recover needs to know.
type RecoverRequest struct {
	Key
	Mode Mode
	// Repair makes an active session whole whose services have died.
	Repair bool
}

// Way says what Recover will do about a session, before it does it: empty when
// there is nothing to do. The error wraps [ErrNotThere] when the mode asks for
// what cannot be had.
func (r RecoverRequest) Way(s Session) (EventKind, error) {
	switch s.State {
	case fsm.PendingUp:
		if r.Mode == Rollback {
			return ClaimRollback, nil
		}
		return ClaimResume, nil
	case fsm.PendingDown, fsm.Failed:
		back := s.State == fsm.PendingDown || backward(s)
		switch {
		case back && r.Mode == Resume:
			return "", say(ErrNotThere, "session %s was being taken down, and that is never turned round; `ecluse down %s` finishes it, `ecluse up %s` finishes it and makes a new one",
				s.Slug, s.Slug, s.Slug)
		case s.State == fsm.PendingDown:
			return ClaimResume, nil
		case back:
			return ClaimDown, nil
		case r.Mode == Rollback && s.Settled:
			return "", say(ErrNotThere, "session %s was whole once, and rolling back its last run would not end it; `ecluse recover %s` makes it whole, `ecluse down %s` ends it",
				s.Slug, s.Slug, s.Slug)
		case r.Mode == Rollback:
			return ClaimDown, nil
		default:
			return ClaimUp, nil
		}
	case fsm.Active:
		if r.Repair {
			return ClaimUp, nil
		}
	case fsm.Absent, fsm.Stopped: // nothing of them was cut off
	}
	return "", nil
}

// Recover finishes what an interrupted or failed session was about, and returns
// it as it is then. It never waits for another owner: that is not interrupted.
//
// The errors wrap [ErrBusy], [ErrNotFound] or [ErrNotThere], or are a
// [RunError]. A teardown or rollback that it completes is no error, whatever had
// caused it.
func (m *Manager) Recover(stops Stops, req RecoverRequest) (s Session, err error) {
	lock, err := m.own(stops, req.Key, VerbRecover, 0)
	if err != nil {
		return Session{}, err
	}
	defer func() { err = m.release(lock, s, err) }()
	seen, err := m.get(req.Key)
	if err != nil {
		return seen, err
	}
	if seen.State == fsm.Absent {
		return seen, &notFoundError{req.Key}
	}
	way, err := req.Way(seen)
	if err != nil || way == "" {
		return seen, err
	}
	e := Event{Kind: way, Owner: m.Processes.Self(VerbRecover), Options: seen.Run.Options}
	if seen.State != fsm.PendingDown && way != ClaimDown && way != ClaimRollback {
		e.Missing = m.missing(stops.Soft, seen)
		if err := context.Cause(stops.Soft); err != nil {
			return seen, err
		}
	}
	if seen.State == fsm.Active && len(e.Missing) == 0 {
		return seen, nil
	}
	s, err = m.claim(stops, seen, e)
	if errors.Is(err, ErrRolledBack) && (seen.State == fsm.PendingDown || way == ClaimRollback) {
		return s, nil
	}
	return s, err
}
