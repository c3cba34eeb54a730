package session

import (
	"slices"
	"strings"
	"testing"

	"ecluse/fsm"
	"ecluse/saga"
)

// The checker sees: each of these variants breaks one rule that the product keeps,
// and the violation that follows is found. They are small switches around
// Transition or around the moves of a process, so that all else is the product.
func TestModelFindsWhatIsBroken(t *testing.T) {
	for _, c := range []struct {
		name    string
		variant variant
		want    string // the class of the violation that must be found
		// What it takes to come to it.
		crashes, fails, damages uint8
	}{
		{"no intent record", variant{transition: noIntent, unchecked: []string{"intent", "haunted", "lease", "grammar", "actors"}}, "leak", 1, 0, 0},
		{"no intent record, seen at once", variant{transition: noIntent, unchecked: []string{"haunted"}}, "intent", 0, 0, 0},
		{"what was started is not compensated", variant{transition: startedIsNothing, unchecked: []string{"intent", "haunted", "actors"}}, "leak", 1, 0, 0},
		{"no step lock, nobody waits for orphans", variant{noDrain: true}, "actors", 1, 0, 0},
		{"only what is in doubt is waited for", variant{drainInDoubt: true, unchecked: []string{"haunted"}}, "actors", 2, 0, 1},
		{"fencing without the owner lock", variant{noLock: true}, "actors", 0, 0, 0},
		{"neither owner lock nor fence", variant{noLock: true, noFence: true, unchecked: worldly}, "superseded", 0, 1, 0},
		{"epochs are used again", variant{noLock: true, reuseEpochs: true, unchecked: worldly}, "superseded", 0, 1, 0},
		{"slot and ports are released before all is compensated", variant{transition: releasedEarly}, "lease", 0, 0, 0},
		{"recover turns a teardown round", variant{transition: turnsRound}, "direction", 1, 0, 0},
		{"an epoch that does not rise", variant{transition: sameEpoch}, "epoch", 1, 0, 0},
		{"a repair that reverts everything", variant{transition: unscoped}, "gone", 0, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel(modelPlan(), 2, c.variant, runUp, runDown, runRecover)
			g := m.explore(initial(c.crashes, c.fails, c.damages, 0), 1<<19)
			t.Logf("%d states, %s: %s in %d moves\n%s", len(g.states), g.took, g.violation, len(g.trace), strings.Join(g.trace, "\n"))
			if class, _, _ := strings.Cut(g.violation, ":"); class != c.want {
				t.Errorf("found %q; want %q", class, c.want)
			}
		})
	}
}

// worldly are the violations that any two owners at once come to. Where they are
// not looked for, it shows what the fence alone is good for.
var worldly = []string{"actors", "leak", "intent", "haunted", "order", "active", "overlap", "lease", "grammar"}

// The fence protects the journal without any lock, whatever becomes of the world.
func TestModelFenceAloneProtectsTheJournal(t *testing.T) {
	m := newModel(modelPlan(), 2, variant{noLock: true, unchecked: worldly}, runUp, runDown, runRecover)
	g := m.explore(initial(1, 0, 0, 0), 1<<18)
	t.Logf("%d states, %s", len(g.states), g.took)
	if g.violation != "" {
		t.Errorf("%s\n%s", g.violation, strings.Join(g.trace, "\n"))
	}
}

// noIntent records what was done and never that it was begun: the first school
// of engines.
func noIntent(s Session, e Event, v View) (Result, error) {
	s.Progress.Steps = slices.Clone(s.Progress.Steps)
	if e.Kind == Journal && s.Progress.Direction == saga.Forward {
		for i, spec := range s.Plan.Steps {
			ready := !slices.ContainsFunc(spec.Needs, func(need string) bool { return s.Progress.Steps[s.Plan.Index(need)].Phase != saga.Done })
			if step := &s.Progress.Steps[i]; step.Phase == saga.Planned && ready {
				step.Phase, step.Run = saga.Started, s.Run.ID
			}
		}
	}
	result, err := Transition(s, e, v)
	for i := range result.Session.Progress.Steps {
		if step := &result.Session.Progress.Steps[i]; step.Phase == saga.Started {
			*step = saga.StepState{Phase: saga.Planned}
		}
	}
	return result, err
}

// startedIsNothing takes a step that was started and not done for one of which
// nothing is there.
func startedIsNothing(s Session, e Event, v View) (Result, error) {
	s.Progress.Steps = slices.Clone(s.Progress.Steps)
	if e.Kind == ClaimDown || e.Kind == ClaimRollback {
		for i := range s.Progress.Steps {
			if step := &s.Progress.Steps[i]; step.Phase == saga.Started {
				*step = saga.StepState{Phase: saga.Planned}
			}
		}
	}
	return Transition(s, e, v)
}

// releasedEarly gives slot and ports to others as soon as a teardown begins.
func releasedEarly(s Session, e Event, v View) (Result, error) {
	result, err := Transition(s, e, v)
	if result.Session.State == fsm.PendingDown {
		result.Session.Slot, result.Session.Ports = 0, nil
	}
	return result, err
}

// turnsRound goes forward again where a teardown was cut off.
func turnsRound(s Session, e Event, v View) (Result, error) {
	if e.Kind == ClaimResume && s.State == fsm.PendingDown {
		s.State, e.Kind = fsm.Failed, ClaimUp
	}
	return Transition(s, e, v)
}

// sameEpoch forgets to raise the epoch when a run is taken over.
func sameEpoch(s Session, e Event, v View) (Result, error) {
	result, err := Transition(s, e, v)
	if s.State != fsm.Absent && e.Kind != Journal && err == nil {
		result.Session.Epoch = s.Epoch
	}
	return result, err
}

// unscoped compensates the whole session when a repair fails.
func unscoped(s Session, e Event, v View) (Result, error) {
	settled := s.Settled
	if e.Kind == ClaimUp {
		s.Settled = false
	}
	result, err := Transition(s, e, v)
	result.Session.Settled = settled || result.Session.Settled
	return result, err
}
