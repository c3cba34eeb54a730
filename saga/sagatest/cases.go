package sagatest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"ecluse/saga"
)

// exit ends the goroutine of an attempt whose process dies. Deferred calls of the
// step still run, which a kill does not grant; the crash tests of the binary kill.
func exit() { runtime.Goexit() }

// cases are the promises.
var cases = []promise{
	{"do", "Do makes the effect and Compensate leaves nothing of it", func(t *testing.T, f Fixture) error {
		s := f.subject(t)
		return s.all(t, s.do, s.undo)
	}},
	{"do twice", "Do is right after a whole Do: its owner died before it could report", func(t *testing.T, f Fixture) error {
		s := f.subject(t)
		return s.all(t, s.do, s.do, s.undo)
	}},
	{"compensate without do", "Compensate is right after no Do: its owner died between the intent and the effect", func(t *testing.T, f Fixture) error {
		s := f.subject(t)
		if err := s.Absent(); err != nil {
			return fmt.Errorf("the fixture: something is there before Do: %w", err)
		}
		return s.all(t, s.undo, s.do, s.undo)
	}},
	{"compensate twice", "Compensate is right after a whole Compensate", func(t *testing.T, f Fixture) error {
		s := f.subject(t)
		return s.all(t, s.do, s.undoUnreported, s.undo)
	}},
	{"do, compensate, do again", "nothing that a compensated step leaves stands in the way of the next", func(t *testing.T, f Fixture) error {
		s := f.subject(t)
		return s.all(t, s.do, s.undo, s.do, s.do, s.undo)
	}},
	{"do after a fact that could not be saved", "a fact is on disk before the effect that it describes, and Do fails when it cannot be saved",
		func(t *testing.T, f Fixture) error { return f.atEverySave(t, false, refused) }},
	{"do after a crash at a saved fact", "Do and Compensate are right after half a Do, wherever it was cut off",
		func(t *testing.T, f Fixture) error { return f.atEverySave(t, false, killed) }},
	{"compensate after a fact that could not be saved", "Compensate can be tried again when its journal could not be written",
		func(t *testing.T, f Fixture) error { return f.atEverySave(t, true, refused) }},
	{"compensate after a crash at a saved fact", "Compensate is right after half a Compensate",
		func(t *testing.T, f Fixture) error { return f.atEverySave(t, true, killed) }},
	{"cancelled before it began", "Do ends soon when its context is over, and what it left can be compensated", cancelledBefore},
	{"cancelled half-way", "Do ends soon after its context does, and what it left can be compensated or done", cancelledHalfway},
	{"verify", "Verify says nil after Do and an error before it and after Compensate, needs nothing but facts, and changes nothing", verifies},
	{"damage", "Verify sees what is less than whole, Do makes it whole again, and Compensate removes it", damaged},
}

// atEverySave cuts an attempt off at its k-th save, for every k, and then goes on
// in both ways.
func (f Fixture) atEverySave(t *testing.T, compensate bool, how fault) error {
	for k := 1; ; k++ {
		for _, back := range []bool{false, true} {
			s := f.subject(t)
			if compensate {
				if err := s.do(t); err != nil {
					return err
				}
			}
			s.stop = func(n int) fault {
				if n == k {
					return how
				}
				return saved
			}
			err := s.attempt(t, compensate, compensate)
			if s.saves < k {
				if err != nil {
					return fmt.Errorf("an attempt that nothing disturbed: %w", err)
				}
				return s.all(t, s.undo) // it has no k-th save
			}
			if err == nil {
				return fmt.Errorf("save %d was cut off, and the attempt said that all is well", k)
			}
			s.stop = nil
			acts := []func(*testing.T) error{s.do, s.undo}
			if back || compensate {
				acts = []func(*testing.T) error{s.undo, s.do}
			}
			if err := s.all(t, acts...); err != nil {
				return fmt.Errorf("after it was cut off at save %d: %w", k, err)
			}
			if err := s.all(t, s.undo); err != nil {
				return err
			}
		}
	}
}

// cancelledBefore does with a context that is over.
func cancelledBefore(t *testing.T, f Fixture) error {
	s := f.subject(t)
	return s.cancelled(t, func(cancel context.CancelFunc) { cancel() }, s.undo)
}

// cancelledHalfway does with a context that ends at some time in the middle.
func cancelledHalfway(t *testing.T, f Fixture) error {
	s := f.subject(t)
	begun := time.Now()
	if err := s.do(t); err != nil {
		return err
	}
	took := time.Since(begun)
	if err := s.all(t, s.undo); err != nil {
		return err
	}
	for i := range 4 {
		s := f.subject(t)
		after := func(cancel context.CancelFunc) { time.AfterFunc(took*time.Duration(i)/4, cancel) }
		acts := []func(*testing.T) error{s.undo}
		if i%2 == 1 {
			acts = []func(*testing.T) error{s.do, s.undo}
		}
		if err := s.cancelled(t, after, acts...); err != nil {
			return fmt.Errorf("cancelled after %d/4 of its time: %w", i, err)
		}
	}
	return nil
}

// endsSoon is how long a step may go on when its context is over. Programs get a
// few seconds between TERM and KILL.
const endsSoon = 30 * time.Second

// cancelled does with a context that is cancelled, and goes on with others.
func (s *subject) cancelled(t *testing.T, when func(context.CancelFunc), acts ...func(*testing.T) error) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	when(cancel)
	s.tries++
	var died bool
	a := saga.NewAttempt(s.Spec.Name, s.facts, s.save(&died))
	begun := time.Now()
	err := s.within(ctx, a, func(ctx context.Context, step saga.Step) error { return step.Do(ctx, a) })
	if took := time.Since(begun); took > endsSoon {
		return fmt.Errorf("it went on for %s", took)
	}
	if err == nil {
		if err := s.present("after Do, which succeeded in spite of its cancelled context,"); err != nil {
			return err
		}
	}
	return s.all(t, acts...)
}

// verifies is the case of steps that can be verified.
func verifies(t *testing.T, f Fixture) error {
	s := f.subject(t)
	before := s.state()
	ok, err := s.verify(t)
	switch {
	case !ok && err == nil:
		t.Skip("it cannot be verified")
	case err == nil && !s.Opaque:
		return errors.New("Verify said nil before Do")
	case s.state() != before:
		return fmt.Errorf("Verify before Do changed the world from\n%s\nto\n%s", before, s.state())
	}
	if err := s.do(t); err != nil {
		return err
	}
	before = s.state()
	for range 2 {
		if _, err := s.verify(t); err != nil {
			return fmt.Errorf("Verify after Do: %w", err)
		}
	}
	if after := s.state(); after != before {
		return fmt.Errorf("Verify changed the world from\n%s\nto\n%s", before, after)
	}
	if err := s.present("after Verify"); err != nil {
		return err
	}
	if err := s.undo(t); err != nil {
		return err
	}
	before = s.state()
	if _, err := s.verify(t); err == nil && !s.Opaque {
		return errors.New("Verify said nil after Compensate")
	}
	if after := s.state(); after != before {
		return fmt.Errorf("Verify, which found nothing, changed the world from\n%s\nto\n%s", before, after)
	}
	return s.absent("after Verify")
}

func (s *subject) state() string {
	if s.State == nil {
		return ""
	}
	return s.State()
}

// damaged tries each kind of damage.
func damaged(t *testing.T, f Fixture) error {
	names := slices.Sorted(maps.Keys(f.New(t).Damage))
	if len(names) == 0 {
		t.Skip("the fixture knows no damage")
	}
	for _, name := range names {
		for _, back := range []bool{false, true} {
			s := f.subject(t)
			if err := s.do(t); err != nil {
				return err
			}
			if err := s.Damage[name](); err != nil {
				return fmt.Errorf("the fixture: %s: %w", name, err)
			}
			if ok, err := s.verify(t); ok && err == nil {
				return fmt.Errorf("%s: Verify did not see it", name)
			}
			acts := []func(*testing.T) error{s.do, s.undo}
			if back {
				acts = []func(*testing.T) error{s.undo, s.do, s.undo}
			}
			if err := s.all(t, acts...); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}
