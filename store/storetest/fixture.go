package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
)

// Start is when the first event of a [Script] happens.
var Start = time.Date(2026, 3, 14, 9, 26, 53, 589793238, time.UTC)

// Applier is the part of a store that writes.
type Applier interface {
	Apply(session.Key, session.Event) (session.Result, error)
}

// Plan is a plan of two steps, one after the other.
func Plan() saga.Plan {
	return saga.Plan{Steps: []saga.Spec{
		{Name: "worktree", Kind: "fake", Does: "make a worktree", Keep: true, Config: json.RawMessage(`{"path":"/work"}`)},
		{Name: "compose", Kind: "fake", Needs: []string{"worktree"}, Policy: saga.Policy{Timeout: time.Minute, Retries: 1}},
	}}
}

// Script plays the owner of runs of one session: each call is a transaction.
type Script struct {
	Store Applier
	Key   session.Key
	// Seen is the epoch that the next claim has seen; Fence proves the last.
	Seen  uint64
	Fence session.Fence
	// Settings of new sessions; a small object if there are none.
	Settings json.RawMessage
	n        int
}

// at is a time, later with each event.
func (s *Script) at() time.Time { return Start.Add(time.Duration(s.n) * time.Second) }

// Owner is the owner that the script pretends to be.
func (s *Script) Owner(verb session.Verb) session.Owner {
	return session.Owner{PID: 4711, Start: 99, Boot: "boot", Namespace: "ns", Host: "host", Verb: verb, Since: s.at()}
}

// Claim takes the session over with an event of the kind; for a session that does
// not exist, with a new record that has the slot, and the wants.
func (s *Script) Claim(kind session.EventKind, slot int, wants ...session.Want) (session.Result, error) {
	s.n++
	e := session.Event{
		Kind: kind, At: s.at(), Seen: s.Seen, Owner: s.Owner(session.VerbUp), Wants: wants,
		RunID: fmt.Sprintf("run-%s-%s-%d-%d", s.Key.Repo, s.Key.Slug, s.Seen, s.n),
	}
	if s.Seen == 0 && kind == session.ClaimUp {
		settings := s.Settings
		if settings == nil {
			settings = json.RawMessage(`{"a":1}`)
		}
		e.New = &session.Session{
			Key: s.Key, ID: "id-" + e.RunID, Root: s.Key.Repo + "/..", Branch: "feat/" + s.Key.Slug, Mode: "hybrid",
			Worktree: "/trees/" + s.Key.Slug, Slot: slot, Plan: Plan(), Settings: settings,
		}
	}
	result, err := s.Store.Apply(s.Key, e)
	if err == nil {
		s.Seen = result.Session.Epoch
		s.Fence = session.Fence{Epoch: result.Session.Epoch, Run: result.Session.Run.ID}
	}
	return result, err
}

// Tell reports what the engine would report.
func (s *Script) Tell(events ...saga.Event) (session.Result, error) {
	s.n++
	return s.Store.Apply(s.Key, session.Event{Kind: session.Journal, At: s.at(), Fence: s.Fence, Saga: events})
}

// Up makes the session and brings it up: five transactions.
func (s *Script) Up(slot int, wants ...session.Want) (session.Session, error) {
	result, err := s.Claim(session.ClaimUp, slot, wants...)
	for _, e := range []saga.Event{
		{Kind: saga.StepSaved, Step: "worktree", Key: "branch", Data: json.RawMessage(`{"made":true}`)},
		{Kind: saga.StepDone, Step: "worktree"}, {Kind: saga.StepDone, Step: "compose"}, {Kind: saga.Verified},
	} {
		if err == nil {
			result, err = s.Tell(e)
		}
	}
	return result.Session, err
}

// Down takes the session down: three transactions.
func (s *Script) Down() (session.Session, error) {
	result, err := s.Claim(session.ClaimDown, 0)
	for _, step := range []string{"compose", "worktree"} {
		if err == nil {
			result, err = s.Tell(saga.Event{Kind: saga.StepCompensated, Step: step})
		}
	}
	if err == nil {
		s.Seen = 0
	}
	return result.Session, err
}
