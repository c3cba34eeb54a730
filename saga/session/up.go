package session

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
)

// UpRequest is what Up needs to know.
type UpRequest struct {
	Key
	// Branch as the user typed it; empty when a session is brought up again
	// by its slug.
	Branch string
	// New makes the record of the session for a slot, with its plan and the
	// ports that it wants, when there is none yet. It may look at the machine.
	// Nil means that only a session that exists is meant.
	New      func(ctx context.Context, slot int) (Session, []Want, error)
	MaxSlots int
	Options  Options
	// Fits is asked of a session that exists. Its error refuses what was asked
	// for, before anything is changed. May be nil.
	Fits func(Session) error
	// Again chooses the steps of a session that exists which are done again even
	// if they are whole. May be nil.
	Again func(saga.Spec) bool
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
	defer func() { err = m.release(lock, s, err) }()
	for lost := 0; ; {
		seen, err := m.get(req.Key)
		if err != nil {
			return seen, done, err
		}
		if err := context.Cause(stops.Soft); err != nil {
			return seen, done, err
		}
		if err := req.agrees(seen); err != nil {
			return seen, done, err
		}
		s, again, err := m.upOnce(stops, req, seen, lost)
		done = done || s.Epoch != seen.Epoch
		if errors.Is(err, ErrStale) && seen.State == fsm.Absent && lost < maxLost {
			lost++
			continue
		}
		if err != nil || !again {
			return s, done, err
		}
	}
}

// agrees refuses what a session that exists cannot be.
func (r UpRequest) agrees(seen Session) error {
	switch {
	case seen.State == fsm.Absent:
		return nil
	case r.Branch != "" && seen.Branch != r.Branch:
		return Taken(seen, r.Branch)
	case r.Fits != nil:
		return r.Fits(seen)
	default:
		return nil
	}
}

// maxLost is how often an up may lose its slot to others that came first.
const maxLost = 1000

// upWay says which claim brings a session up from where it is; again means that
// it only takes out of the way what an earlier run left: a teardown that is not
// finished, or an up that had failed and was cut off before it could say so.
func upWay(s Session) (kind EventKind, again bool) {
	switch {
	case s.State == fsm.PendingDown, s.State == fsm.PendingUp && s.Progress.Cause != nil:
		return ClaimResume, true
	case s.State == fsm.Failed && backward(s):
		return ClaimDown, true
	default:
		return ClaimUp, false
	}
}

// upOnce takes one way through the lifecycle; again means that it finished what
// stood in the way, and that the session is to be brought up now. lost says how
// many slots went to others.
func (m *Manager) upOnce(stops Stops, req UpRequest, seen Session, lost int) (s Session, again bool, err error) {
	kind, again := upWay(seen)
	if again {
		return m.finishFirst(stops, seen, kind)
	}
	e := Event{Kind: kind, Owner: m.Processes.Self(VerbUp), Options: req.Options}
	if seen.State == fsm.Absent {
		s, err = m.create(stops, req, e, lost)
		return s, false, err
	}
	e.Missing = req.again(seen, m.missing(stops.Soft, seen))
	if err := context.Cause(stops.Soft); err != nil {
		return seen, false, err
	}
	if seen.State == fsm.Active && len(e.Missing) == 0 {
		return seen, false, nil
	}
	s, err = m.claim(stops, seen, e)
	return s, false, err
}

// again adds to the steps that are missing those that are to be done again.
func (r UpRequest) again(s Session, missing []string) []string {
	var names []string
	for i, spec := range s.Plan.Steps {
		whole := r.Again != nil && s.Progress.Steps[i].Phase == saga.Done && r.Again(spec)
		if whole || slices.Contains(missing, spec.Name) {
			names = append(names, spec.Name)
		}
	}
	return names
}

// finishFirst completes an earlier run that was cut off or got stuck.
func (m *Manager) finishFirst(stops Stops, seen Session, kind EventKind) (Session, bool, error) {
	s, err := m.claim(stops, seen, Event{Kind: kind, Owner: m.Processes.Self(VerbUp), Options: seen.Run.Options})
	switch {
	case errors.Is(err, ErrRolledBack), err == nil:
		return s, true, nil
	case errors.Is(err, ErrFailed) && !backward(s) && !parked(s):
		return s, true, nil // it was no teardown; the up makes it whole
	default:
		return s, false, err
	}
}

// parked reports whether too many owners died on a session's run.
func parked(s Session) bool { return s.Failure != nil && s.Failure.Code == CodeParked }

// backward reports whether what failed is a full teardown.
func backward(s Session) bool {
	return s.Progress.Direction == saga.Backward && s.Progress.Scope == ""
}

// create makes a session that does not exist. What it asks the machine (ports)
// is asked outside the transaction, for a slot that may be gone by then: the
// error then wraps ErrStale. Who lost several times is one of many that begin at
// once, and leaves the lowest slots to the others.
func (m *Manager) create(stops Stops, req UpRequest, e Event, lost int) (Session, error) {
	absent := Session{Key: req.Key, State: fsm.Absent}
	if req.New == nil {
		return absent, &notFoundError{req.Key}
	}
	held, err := m.Store.Slots(req.Repo)
	if err != nil {
		return absent, err
	}
	slot, err := FreeSlot(held, req.MaxSlots)
	if err != nil {
		return absent, err
	}
	if lost > 1 {
		slot = otherSlot(held, req.MaxSlots, slot, lost)
	}
	created, wants, err := req.New(stops.Soft, slot)
	if err != nil {
		return absent, err
	}
	created.Key, created.Slot, created.ID = req.Key, slot, m.NewID()
	e.New, e.Wants = &created, wants
	return m.claim(stops, absent, e)
}

// otherSlot is one of the lost+1 lowest free slots.
func otherSlot(held map[int]string, limit, lowest, lost int) int {
	held = maps.Clone(held)
	free := []int{lowest}
	for len(free) <= lost {
		held[free[len(free)-1]] = ""
		next, err := FreeSlot(held, limit)
		if err != nil {
			break
		}
		free = append(free, next)
	}
	return free[rand.IntN(len(free))]
}

// Taken is the refusal to use the slug of a session for another branch. It wraps
// [ErrTaken].
func Taken(s Session, branch string) error {
	return say(ErrTaken, "slug %s belongs to branch %s, not %s; end it with `ecluse down %s` or give this branch another name",
		s.Slug, s.Branch, branch, s.Slug)
}
