package sagatest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"ecluse/saga"
)

// Fixture is one kind of step, ready to be tried by [Conform].
type Fixture struct {
	// Name of the kind, and of what is special about this fixture: "worktree",
	// "worktree of a branch that exists".
	Name string
	// New makes a world of its own for one case, and the step in it. It is
	// called often.
	New func(t *testing.T) Trial
}

// Trial is a step in a world of its own.
type Trial struct {
	// Spec is the step as a plan has it.
	Spec saga.Spec
	// Build makes the step as a new process does; it is called for each attempt.
	Build func() (saga.Step, error)
	// Surround is what surrounds an attempt in production (locks, logs,
	// environment), as [saga.Runner] has it. May be nil.
	Surround func(context.Context, *saga.Attempt) (context.Context, saga.Finish, error)
	// Present looks at the world, not at what the step says: nil when the whole
	// effect is there. Absent: nil when nothing of it is left, no file, no
	// process, no container.
	Present func() error
	Absent  func() error
	// State describes what the world looks like, for the check that Verify
	// changes nothing. May be nil.
	State func() string
	// Damage lists ways in which a whole effect can become less than whole, or
	// in which a Do that was cut off can leave it, by name. Each is applied to a
	// world in which Do was right. May be nil.
	Damage map[string]func() error
	// Opaque steps have effects that nothing is left to see of (a hook that
	// prints), so that Present and Absent always say nil: cases that need the
	// difference are skipped.
	Opaque bool
}

// attemptLimit bounds each attempt of the suite. A step that takes longer hangs.
const attemptLimit = 2 * time.Minute

// Conform tries every promise of [saga.Step] on a kind of step.
func Conform(t *testing.T, f Fixture) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := c.try(t, f); err != nil {
				t.Errorf("%s\nThe case proves that %s.", err, c.proves)
			}
		})
	}
}

// promise is one promise and how it is tried.
type promise struct {
	name, proves string
	try          func(t *testing.T, f Fixture) error
}

// subject is a trial and what its journal would hold.
type subject struct {
	Trial
	facts map[string]json.RawMessage
	tries int
	saves int
	// stop is asked at each save, with its number in this attempt, after the
	// fact was written if late.
	stop func(n int) fault
}

// fault is what becomes of a save.
type fault int

const (
	saved   fault = iota // it is written
	refused              // it is not, and says so
	killed               // it is written, and the process dies
)

// errRefused is what a save says that could not be written.
var errRefused = errors.New("save a fact: no space left on device")

// errDied is what is left of an attempt whose process died.
var errDied = errors.New("the process died")

func (f Fixture) subject(t *testing.T) *subject {
	return &subject{Trial: f.New(t), facts: map[string]json.RawMessage{}}
}

// save is what the attempt's journal does.
func (s *subject) save(died *bool) func(string, json.RawMessage) error {
	s.saves = 0
	return func(key string, data json.RawMessage) error {
		s.saves++
		what := saved
		if s.stop != nil {
			what = s.stop(s.saves)
		}
		if what == refused {
			return errRefused
		}
		s.facts = maps.Clone(s.facts)
		s.facts[key] = slices.Clone(data)
		if what == killed {
			*died = true
			exit()
		}
		return nil
	}
}

// attempt makes one attempt as a process of its own. resumed says that the one
// before was cut off.
func (s *subject) attempt(t *testing.T, compensate, resumed bool) error {
	s.tries++
	died := false
	a := saga.NewAttempt(s.Spec.Name, s.facts, s.save(&died))
	a.Number, a.Resumed, a.Compensating = s.tries, resumed, compensate
	ctx, cancel := context.WithTimeout(t.Context(), attemptLimit)
	defer cancel()
	err := s.within(ctx, a, func(ctx context.Context, step saga.Step) error {
		if compensate {
			return step.Compensate(ctx, a)
		}
		return step.Do(ctx, a)
	})
	if died {
		return errDied
	}
	if ctx.Err() != nil {
		return fmt.Errorf("it took longer than %s: %w", attemptLimit, err)
	}
	return err
}

// within builds the step, surrounds the attempt, and lets it act in a goroutine
// that may end at any save.
func (s *subject) within(ctx context.Context, a *saga.Attempt, act func(context.Context, saga.Step) error) error {
	step, err := s.Build()
	if err != nil {
		return fmt.Errorf("build the step: %w", err)
	}
	finish := func(err error) error { return err }
	if s.Surround != nil {
		if ctx, finish, err = s.Surround(ctx, a); err != nil {
			return fmt.Errorf("surround the attempt: %w", err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		result := errDied
		defer func() { ended <- result }()
		result = act(ctx, step)
	}()
	return finish(<-ended)
}

// do and undo make an attempt that is to succeed.
func (s *subject) do(t *testing.T) error {
	if err := s.attempt(t, false, s.tries > 0); err != nil {
		return fmt.Errorf("attempt %d, Do: %w", s.tries, err)
	}
	return s.present("after Do")
}

func (s *subject) undo(t *testing.T) error {
	err := s.undoUnreported(t)
	s.facts = map[string]json.RawMessage{} // they go with the effect
	return err
}

// undoUnreported compensates, and the journal does not get to know.
func (s *subject) undoUnreported(t *testing.T) error {
	if err := s.attempt(t, true, s.tries > 0); err != nil {
		return fmt.Errorf("attempt %d, Compensate: %w", s.tries, err)
	}
	return s.absent("after Compensate")
}

func (s *subject) present(when string) error {
	if err := s.Present(); err != nil {
		return fmt.Errorf("%s the effect is not there, or not whole: %w", when, err)
	}
	return nil
}

func (s *subject) absent(when string) error {
	if err := s.Absent(); err != nil {
		return fmt.Errorf("%s something is left: %w", when, err)
	}
	return nil
}

// verify asks the step; ok is false when it cannot tell.
func (s *subject) verify(t *testing.T) (ok bool, err error) {
	step, err := s.Build()
	if err != nil {
		return false, err
	}
	verifier, ok := step.(saga.Verifier)
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), attemptLimit)
	defer cancel()
	return true, verifier.Verify(ctx, saga.NewAttempt(s.Spec.Name, s.facts, nil))
}

// all runs one after another until one fails.
func (s *subject) all(t *testing.T, acts ...func(*testing.T) error) error {
	for _, act := range acts {
		if err := act(t); err != nil {
			return err
		}
	}
	return nil
}
