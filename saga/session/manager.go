package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
)

// Store keeps the records. Its methods are short transactions; none is held
// while a step runs.
type Store interface {
	// Get returns the record, or an error that wraps ErrNotFound.
	Get(Key) (Session, error)
	// List returns all records of all repositories.
	List() ([]Session, error)
	// Slots returns the slots of a repository that are held, and by which slugs.
	Slots(repo string) (map[int]string, error)
	// Apply runs Transition on the record and writes what it answers, in one
	// transaction that is on disk when Apply returns.
	Apply(Key, Event) (Result, error)
}

// Lock is an owner lock that is held.
type Lock interface {
	// Release gives the lock back; with gone, the session's private folder
	// goes with it.
	Release(gone bool) error
}

// Locker keeps the owner locks. They are the kernel's: they end with the process
// that holds them.
type Locker interface {
	// Own takes the lock of a session and describes the owner in it. When it
	// is held, Own waits for it until ctx ends, or, without wait, returns a
	// *BusyError at once.
	Own(ctx context.Context, key Key, owner Owner, wait bool) (Lock, error)
	// Holder returns who holds the lock, nil if nobody does. It writes nothing.
	Holder(key Key) (*Owner, error)
}

// Handle is what the steps of a run see of their session, and may change of it.
type Handle interface {
	// Session as the run last wrote it.
	Session() Session
	// Lease leases ports to the session.
	Lease(wants []Want) (Session, error)
}

// Steps knows the kinds of steps.
type Steps interface {
	// Build makes the step of a spec.
	Build(h Handle, spec saga.Spec) (saga.Step, error)
	// Prepare surrounds an attempt: lock, log, environment. It returns the
	// context to work under and what to call afterwards.
	Prepare(ctx context.Context, h Handle, spec saga.Spec, a *saga.Attempt) (context.Context, saga.Finish, error)
	// Drain returns once nothing runs any more that an earlier owner's attempt
	// of the step had started; it ends what does not end by itself.
	Drain(ctx context.Context, s Session, step string, report func(string)) error
}

// Processes knows the processes of this machine.
type Processes interface {
	// Self describes this process.
	Self(Verb) Owner
	// Signal sends a signal to the process that o describes, and to no other.
	Signal(o Owner, sig os.Signal) error
	// Suspended reports whether the process is stopped (SIGSTOP).
	Suspended(o Owner) bool
}

// Stops are the two ways in which a run is asked to end.
type Stops struct {
	// Soft: compensate what was begun, or stop in good order. Its cause is
	// a *Signalled.
	Soft context.Context
	// Hard: leave at once. Its values reach the steps.
	Hard context.Context
}

// Signalled is the cause of a stop that came from a signal.
type Signalled struct{ Signal os.Signal }

// Error says which signal it was.
func (s *Signalled) Error() string { return fmt.Sprintf("interrupted (%s)", s.Signal) }

// Manager carries out up, down and recover.
type Manager struct {
	Store     Store
	Locker    Locker
	Steps     Steps
	Processes Processes
	Sink      saga.Sink
	// Now is the clock, NewID makes random ids.
	Now   func() time.Time
	NewID func() string
	// Point is called before and after every transaction, for tests that end
	// the process there. Nil in production.
	Point func(name string)

	// asked: a down has asked one of this process's runs to stop.
	asked atomic.Bool
}

// handle is a run as its steps and the runner see it: a journal that is fenced.
type handle struct {
	m     *Manager
	key   Key
	mu    sync.Mutex // guards s
	s     Session
	fence Fence
}

var (
	_ Handle       = (*handle)(nil)
	_ saga.Journal = (*handle)(nil)
)

// Session returns the record as this run last wrote it.
func (h *handle) Session() Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.s
}

// Commit implements [saga.Journal].
func (h *handle) Commit(events ...saga.Event) (saga.Decision, error) {
	result, err := h.apply(Event{Kind: Journal, Saga: events})
	return result.Decision, err
}

// Lease implements [Handle].
func (h *handle) Lease(wants []Want) (Session, error) {
	result, err := h.apply(Event{Kind: Lease, Wants: wants})
	return result.Session, err
}

func (h *handle) apply(e Event) (Result, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.At, e.Fence = h.m.Now(), h.fence
	result, err := h.m.write(h.key, e)
	if err == nil {
		h.s = result.Session
	}
	return result, err
}

// write is Store.Apply between two points.
func (m *Manager) write(key Key, e Event) (Result, error) {
	m.point("before " + string(e.Kind))
	defer m.point("after " + string(e.Kind))
	return m.Store.Apply(key, e)
}

func (m *Manager) point(name string) {
	if m.Point != nil {
		m.Point(name)
	}
}

// get is Store.Get with an absent session in place of ErrNotFound.
func (m *Manager) get(key Key) (Session, error) {
	s, err := m.Store.Get(key)
	if errors.Is(err, ErrNotFound) {
		return Session{Key: key, State: fsm.Absent}, nil
	}
	return s, err
}

// claim takes the session over and runs it until the run ends.
func (m *Manager) claim(stops Stops, seen Session, e Event) (Session, error) {
	e.At, e.Seen, e.RunID = m.Now(), seen.Epoch, m.NewID()
	result, err := m.write(seen.Key, e)
	if err != nil {
		return seen, err
	}
	s := result.Session
	h := &handle{m: m, key: s.Key, s: s, fence: Fence{Epoch: s.Epoch, Run: s.Run.ID}}
	if err := m.drain(stops, seen); err != nil {
		return s, m.runError(s, ErrInterrupted, err)
	}
	runner := &saga.Runner{
		Plan: s.Plan, RunID: s.Run.ID, Journal: h, Sink: m.sink(s),
		Step: func(spec saga.Spec) (saga.Step, error) { return m.Steps.Build(h, spec) },
		Prepare: func(ctx context.Context, spec saga.Spec, a *saga.Attempt) (context.Context, saga.Finish, error) {
			return m.Steps.Prepare(ctx, h, spec, a)
		},
		OnStop: func(cause error, d saga.Direction) (saga.Event, bool) { return m.onStop(s.Key, cause, d) },
	}
	_, err = runner.Run(stops.Soft, stops.Hard, result.Decision)
	return m.concluded(h.Session(), err)
}

// drain waits until nothing runs any more that the previous owner had started.
func (m *Manager) drain(stops Stops, seen Session) error {
	for _, step := range seen.Progress.Haunted(seen.Plan) {
		err := m.Steps.Drain(stops.Hard, seen, step, func(text string) {
			m.sink(seen).Notify(saga.Notice{Time: m.Now(), Step: step, Message: text})
		})
		if err != nil {
			return fmt.Errorf("end what the interrupted step %s left running: %w", step, err)
		}
	}
	return nil
}

// concluded turns where a run ended into its error. err is the runner's own.
func (m *Manager) concluded(s Session, err error) (Session, error) {
	switch {
	case err != nil, s.State.Pending():
		return s, m.runError(s, ErrInterrupted, err)
	case s.State == fsm.Failed:
		return s, m.runError(s, ErrFailed, nil)
	case s.Failure != nil:
		return s, m.runError(s, ErrRolledBack, nil)
	default:
		return s, nil
	}
}

// runError describes how a run ended.
func (m *Manager) runError(s Session, end, err error) error {
	e := &RunError{Key: s.Key, Run: s.Run.ID, Verb: s.Run.Verb, State: s.State, End: end, Err: err, Session: s}
	switch {
	case s.Failure != nil:
		e.Failure = *s.Failure
	case s.Progress.Cause != nil:
		e.Failure = *failureOf(s.Progress)
	}
	switch {
	case s.State == fsm.Absent:
	case s.State == fsm.Failed && s.Progress.Direction == saga.Backward:
		e.Left = s.Progress.Outstanding(s.Plan)
	default:
		e.Left = s.Progress.Remaining(s.Plan)
	}
	return e
}

// missing looks at every done step of a session and lists those that are not
// whole any more. It changes nothing.
func (m *Manager) missing(ctx context.Context, s Session) []string {
	h := &looker{s}
	lost := saga.Verify(ctx, s.Plan, s.Progress, func(spec saga.Spec) (saga.Step, error) { return m.Steps.Build(h, spec) })
	var names []string
	for _, spec := range s.Plan.Steps {
		if err, ok := lost[spec.Name]; ok {
			names = append(names, spec.Name)
			m.sink(s).Notify(saga.Notice{Time: m.Now(), Step: spec.Name, Message: "missing: " + err.Error()})
		}
	}
	return names
}

// looker is a handle for those who only look.
type looker struct{ s Session }

// Session returns the record that is looked at.
func (l *looker) Session() Session { return l.s }

// Lease refuses.
func (l *looker) Lease([]Want) (Session, error) {
	return l.s, errors.New("only looking is allowed here")
}

// sink adds the session to what the engine tells.
func (m *Manager) sink(s Session) saga.Sink {
	if m.Sink == nil {
		return saga.Discard
	}
	return saga.SinkFunc(func(n saga.Notice) {
		n.Repo, n.Session, n.Run = s.Repo, s.Slug, s.Run.ID
		if n.Total == 0 {
			n.Index, n.Total = s.Plan.Index(n.Step)+1, len(s.Plan.Steps)
		}
		m.Sink.Notify(n)
	})
}

// FreeSlot is the lowest of 1..limit that nobody holds, of the slots of a repository.
// The error wraps [ErrExhausted].
func FreeSlot(held map[int]string, limit int) (int, error) {
	for slot := 1; slot <= limit; slot++ {
		if _, taken := held[slot]; !taken {
			return slot, nil
		}
	}
	return 0, say(ErrExhausted, "no slot is free: max_slots is %d, and there are %s; stopped and failed sessions hold theirs too, so end one with `ecluse down`, or raise max_slots",
		limit, strings.Join(slices.Sorted(maps.Values(held)), ", "))
}
