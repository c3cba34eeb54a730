package session

import (
	"context"
	"errors"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
)

// DownRequest is what Down needs to know.
type DownRequest struct {
	Key
	Options Options
	// Wait is how long to wait for another down or for a recover that goes
	// back; zero is not at all, negative without end. An up that is under way
	// is asked to stop, and is waited for in any case.
	Wait time.Duration
}

// Down compensates everything that was done for a session, and returns what it
// was. A session whose up is under way is first stopped by asking its owner.
//
// The errors wrap [ErrNotFound] or [ErrBusy], or are a [RunError] or an [AbandonError].
func (m *Manager) Down(stops Stops, req DownRequest) (s Session, err error) {
	// Before anybody is asked to stop: what cannot be done must change nothing.
	if err := m.mayAbandon(req); err != nil {
		return Session{}, err
	}
	lock, asked, err := m.ownAfterStop(stops, req)
	if err != nil {
		return Session{}, err
	}
	defer func() { err = m.release(lock, s, err) }()
	seen, err := m.get(req.Key)
	switch {
	case err != nil:
		return seen, err
	case seen.State == fsm.Absent && asked:
		return seen, nil // its own rollback left nothing to do
	case seen.State == fsm.Absent:
		return seen, &notFoundError{req.Key}
	case seen.stopped(req.Options):
		return seen, nil
	}
	return m.claim(stops, seen, Event{Kind: ClaimDown, Owner: m.Processes.Self(VerbDown), Options: req.Options})
}

// own takes the owner lock, waiting for it as long as asked.
func (m *Manager) own(stops Stops, key Key, verb Verb, wait time.Duration) (Lock, error) {
	ctx, cancel := stops.Soft, context.CancelFunc(func() {})
	if wait > 0 {
		ctx, cancel = context.WithTimeout(ctx, wait)
	}
	defer cancel()
	lock, err := m.Locker.Own(ctx, key, m.Processes.Self(verb), wait != 0)
	if cause := context.Cause(stops.Soft); err != nil && wait != 0 && cause != nil {
		return nil, cause
	}
	var busy *BusyError
	if errors.As(err, &busy) {
		if s, err := m.Store.Get(key); err == nil {
			busy.Step = Describe(s)
		}
	}
	return lock, err
}

// release gives the lock back and adds what comes of it to the error of what was
// done under it. The private folder of a session goes with it, if the store
// agrees that there is none. A lock under which something still runs is not given
// back: it ends with the process, as what runs does.
func (m *Manager) release(lock Lock, s Session, err error) error {
	if errors.Is(err, saga.ErrUnended) {
		return err
	}
	gone := s.State == fsm.Absent
	if gone {
		_, e := m.Store.Get(s.Key)
		gone = errors.Is(e, ErrNotFound)
	}
	if e := lock.Release(gone); e != nil {
		return errors.Join(err, e)
	}
	return err
}
