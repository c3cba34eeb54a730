package session

import (
	"encoding/json"
	"fmt"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
)

// EventKind is what happens to a session's record.
type EventKind string

// The events. A claim is made by whoever holds the session's owner lock and
// takes the session over; the others come from the owner, but for AskStop.
const (
	// ClaimUp makes, resumes, retries or repairs.
	ClaimUp EventKind = "claim-up"
	// ClaimDown begins a teardown, whatever was going on before.
	ClaimDown EventKind = "claim-down"
	// ClaimResume goes on with an interrupted run in its own direction.
	ClaimResume EventKind = "claim-resume"
	// ClaimRollback turns an interrupted up back.
	ClaimRollback EventKind = "claim-rollback"

	// Journal folds what the engine reports.
	Journal EventKind = "journal"
	// Lease adds port leases to those that the session holds.
	Lease EventKind = "lease"
	// AskStop asks the owner of an up to turn back. Anybody may, once.
	AskStop EventKind = "ask-stop"
)

// Fence proves that the sender of an event still owns the session.
type Fence struct {
	Epoch uint64
	Run   string
}

// Event is one thing that happens to a session's record.
type Event struct {
	Kind EventKind
	At   time.Time

	// Claims: the epoch that the claimer saw (0 when there was no row), the
	// id for a new run, the claimer, what it wants, and the done steps that
	// it found missing.
	Seen    uint64
	RunID   string
	Owner   Owner
	Options Options
	Missing []string
	// New is the record of a session that does not exist yet, with its slot.
	New *Session

	// Wants are the ports to lease, with New and Lease.
	Wants []Want

	// Journal and Lease: who says so, and what the engine reports.
	Fence Fence
	Saga  []saga.Event
}

// NeedsView reports whether the event must see the slots and leases of others.
func (e Event) NeedsView() bool { return e.New != nil || e.Kind == Lease }

// Want is a port that a session needs.
type Want struct {
	Name string
	// Candidates that were free on the machine, best first.
	Candidates []int
	// Taken says, in words, what holds those that were not.
	Taken string
	// Pin is the port that the user asked for, 0 if any will do. It is then the
	// one candidate, which can be had unless Taken says who has it.
	Pin int
}

// View is what a transition sees of the rest of the store.
type View struct {
	// NextEpoch is a number above every epoch that was ever given.
	NextEpoch uint64
	// Slots are those that other sessions of the repository hold, by whom.
	Slots map[int]string
	// Ports are those that other sessions of the machine hold, by whom.
	Ports map[int]string
}

// Entry is one line of the history.
type Entry struct {
	Time time.Time `json:"time"`
	Key
	ID    string `json:"id"`
	Root  string `json:"root,omitempty"`
	Run   string `json:"run"`
	Verb  Verb   `json:"verb"`
	Epoch uint64 `json:"epoch"`
	// From and To are set when the session's state changed.
	From fsm.State `json:"from,omitempty"`
	To   fsm.State `json:"to,omitempty"`
	// Entry is set when a step's phase changed.
	saga.Entry
	Note string `json:"note,omitempty"`
	// Place is the fact of that key, which a step has just saved.
	Place json.RawMessage `json:"place,omitempty"`
}

// PlaceFact is the key of the fact that says on which machine a step makes something.
// The history keeps it: nobody could find there what a session has left that is gone.
const PlaceFact = "place"

// Result is what [Transition] answers.
type Result struct {
	// Session as it is now. Its state is Absent when the row is to go.
	Session  Session
	Decision saga.Decision
	History  []Entry
}

// Reserve gives a session its leases: of each want the best candidate that nobody
// holds, beside those that it holds already. Others are the ports of other sessions,
// by whom. The error wraps [ErrExhausted].
func Reserve(held map[string]int, wants []Want, others map[int]string) (map[string]int, error) {
	ports := make(map[string]int, len(held)+len(wants))
	mine := make(map[int]string, len(held)+len(wants))
	for name, port := range held {
		ports[name], mine[port] = port, name
	}
	for _, want := range wants {
		if _, ok := ports[want.Name]; ok {
			continue
		}
		port, by := want.best(others, mine)
		if port == 0 {
			if want.Taken != "" {
				by = "; " + want.Taken + by
			}
			return nil, want.exhausted(by, others[want.Pin])
		}
		ports[want.Name], mine[port] = port, want.Name
	}
	return ports, nil
}

// best is the best candidate that neither another session holds nor another lease of
// the same one; 0 if there is none, and by whom the last is held.
func (w Want) best(others, mine map[int]string) (port int, by string) {
	for _, candidate := range w.Candidates {
		if holder, ok := others[candidate]; ok {
			by = fmt.Sprintf("; %d is leased to session %s", candidate, holder)
			continue
		}
		if holder, ok := mine[candidate]; ok {
			by = fmt.Sprintf("; %d is leased to %s of the same session", candidate, holder)
			continue
		}
		if w.Pin == 0 || w.Taken == "" {
			return candidate, by
		}
	}
	return 0, by
}

// exhausted is that none of the ports can be had, by whom they are held. Holder is
// the session that has the one that was pinned.
func (w Want) exhausted(by, holder string) error {
	switch {
	case w.Pin != 0 && holder != "":
		return say(ErrExhausted, "port %d cannot be had for %s: it is leased to session %s; end that, or pin another one", w.Pin, w.Name, holder)
	case w.Pin != 0:
		return say(ErrExhausted, "port %d cannot be had for %s%s; end what holds it, or pin another one", w.Pin, w.Name, by)
	}
	return say(ErrExhausted, "no port is free for %s%s; end what holds it, or give the service another base_port or a wider port_search_range",
		w.Name, by)
}
