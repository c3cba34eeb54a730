package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ecluse/fsm"
)

// UpRequest is what Up needs to know.
type UpRequest struct {
	Key
	// Branch as the user typed it; empty when a session is brought up again
	// by its slug.
	Branch string
	// New makes the record of the session for a slot, with its plan and the
	// ports that it wants, when there is none yet. It may look at the machine.
	New      func(ctx context.Context, slot int) (Session, []Want, error)
	MaxSlots int
	Options  Options
	// Wait is how long to wait for another owner; zero is not at all,
	// negative without end.
	Wait time.Duration
}

// Up brings a session up from whatever state it is in and returns it as it is
// then. With an active session it looks at every step and makes what is missing,
// and only that; when all is well nothing is written and done is false.
//
// The errors wrap [ErrBusy], [ErrExhausted], [ErrTaken], or are a [RunError].
func (m *Manager) Up(stops Stops, req UpRequest) (s Session, done bool, err error) {
	lock, err := m.own(stops, req.Key, VerbUp, req.Wait)
	if err != nil {
		return Session{}, false, err
	}
	defer func() { err = errors.Join(err, release(lock, s)) }()
	for {
		seen, err := m.get(req.Key)
		if err != nil {
			return seen, false, err
		}
		if seen.State != fsm.Absent && req.Branch != "" && seen.Branch != req.Branch {
			return seen, false, fmt.Errorf("slug %s belongs to branch %s, not %s; end it with `ecluse down %s` or give this branch another name: %w",
				req.Slug, seen.Branch, req.Branch, req.Slug, ErrTaken)
		}
		s, again, err := m.upOnce(stops, req, seen)
		if err != nil || !again {
			return s, s.Epoch != seen.Epoch, err
		}
	}
}

// upOnce takes one way through the lifecycle; again means that it finished what
// stood in the way, and that the session is to be brought up now.
func (m *Manager) upOnce(stops Stops, req UpRequest, seen Session) (s Session, again bool, err error) {
	e := Event{Kind: ClaimUp, Owner: m.Processes.Self(VerbUp), Options: req.Options}
	switch seen.State {
	case fsm.Absent:
		s, err := m.create(stops, req, e)
		return s, errors.Is(err, ErrStale), staleIsFine(err)
	case fsm.PendingDown:
		return m.finishFirst(stops, seen, ClaimResume)
	case fsm.Failed:
		if backward(seen) {
			return m.finishFirst(stops, seen, ClaimDown)
		}
	}
	e.Missing = m.missing(stops.Soft, seen)
	if err := context.Cause(stops.Soft); err != nil {
		return seen, false, err
	}
	if seen.State == fsm.Active && len(e.Missing) == 0 {
		return seen, false, nil
	}
	s, err = m.claim(stops, seen, e)
	return s, false, err
}

// finishFirst completes a teardown that was cut off or got stuck.
func (m *Manager) finishFirst(stops Stops, seen Session, kind EventKind) (Session, bool, error) {
	s, err := m.claim(stops, seen, Event{Kind: kind, Owner: m.Processes.Self(VerbUp), Options: seen.Run.Options})
	switch {
	case errors.Is(err, ErrRolledBack), err == nil:
		return s, true, nil
	case errors.Is(err, ErrFailed) && !backward(s):
		return s, true, nil // a repair was reverted; the up makes it whole
	default:
		return s, false, err
	}
}

// backward reports whether what failed is a full teardown.
func backward(s Session) bool {
	return s.Progress.Direction == "backward" && s.Progress.Scope == ""
}

// create makes a session that does not exist. What it asks the machine (ports)
// is asked outside the transaction, for a slot that may be gone by then.
func (m *Manager) create(stops Stops, req UpRequest, e Event) (Session, error) {
	absent := Session{Key: req.Key, State: fsm.Absent}
	all, err := m.Store.List()
	if err != nil {
		return absent, err
	}
	slot, err := FreeSlot(all, req.Repo, req.MaxSlots)
	if err != nil {
		return absent, err
	}
	created, wants, err := req.New(stops.Soft, slot)
	if err != nil {
		return absent, err
	}
	created.Key, created.Slot, created.ID = req.Key, slot, m.NewID()
	e.New, e.Wants = &created, wants
	return m.claim(stops, absent, e)
}

// staleIsFine drops ErrStale, which only asks to look again.
func staleIsFine(err error) error {
	if errors.Is(err, ErrStale) {
		return nil
	}
	return err
}
