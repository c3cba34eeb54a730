package sagatest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"ecluse/saga"
)

// Act is what one attempt of a scripted step does.
type Act string

// The acts. What is half-done stays half-done.
const (
	// Work does all of it.
	Work Act = ""
	// Fail does nothing and fails; FailHalf fails half-way, FailWhole after
	// all of it, FailPermanent for good.
	Fail          Act = "fail"
	FailHalf      Act = "fail half-way"
	FailWhole     Act = "fail in the end"
	FailPermanent Act = "fail for good"
	// Hang stops half-way until its context ends. Deaf goes on when it is
	// released, whatever its context says.
	Hang Act = "hang"
	Deaf Act = "deaf"
	// Panic panics half-way.
	Panic Act = "panic"
)

// ErrScript is the failure of a script.
var ErrScript = errors.New("as the script has it")

// errKilled is what an attempt of a killed process ends with. Nobody hears it.
var errKilled = errors.New("killed")

// Script is a step that does as it is told.
type Script struct {
	Name string
	// Do and Compensate say what the attempts do, one after another, over
	// all runs and processes. When they are used up the step works.
	OnDo, OnCompensate []Act
	// Facts are saved one after another by Do, before its effect, and are
	// needed by Compensate: a fact that is missing while its part of the
	// effect is there is noted as a fault.
	Facts []string
	// Blind steps cannot be verified.
	Blind bool
	// Begun gets a word whenever an attempt is half-way, if it is set.
	Begun chan string
	// Release lets Deaf attempts go on.
	Release chan struct{}

	world *World
	mu    sync.Mutex
	tries []saga.Attempt
}

// Attempts lists what was tried, in order; only the exported fields are set.
func (s *Script) Attempts() []Try {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Try
	for i := range s.tries {
		a := &s.tries[i]
		out = append(out, Try{a.Number, a.Resumed, a.Compensating, a.Reverting})
	}
	return out
}

// Try is one attempt as the step saw it.
type Try struct {
	Number                           int
	Resumed, Compensating, Reverting bool
}

// next takes the next act off the script.
func (s *Script) next(a *saga.Attempt) Act {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = append(s.tries, saga.Attempt{Number: a.Number, Resumed: a.Resumed, Compensating: a.Compensating, Reverting: a.Reverting})
	acts := &s.OnDo
	if a.Compensating {
		acts = &s.OnCompensate
	}
	if len(*acts) == 0 {
		return Work
	}
	act := (*acts)[0]
	*acts = (*acts)[1:]
	return act
}

// Do implements [saga.Step].
func (s *Script) Do(ctx context.Context, a *saga.Attempt) error {
	defer s.world.enter(s.Name, false)()
	act := s.next(a)
	if act == Fail || act == FailPermanent {
		return s.fail(act)
	}
	for _, fact := range s.Facts {
		if err := a.Save(fact, true); err != nil {
			return err
		}
	}
	return s.perform(ctx, act, Whole)
}

// Compensate implements [saga.Step].
func (s *Script) Compensate(ctx context.Context, a *saga.Attempt) error {
	defer s.world.enter(s.Name, true)()
	act := s.next(a)
	if act == Fail || act == FailPermanent {
		return s.fail(act)
	}
	for _, fact := range s.Facts {
		var known bool
		if _, err := a.Load(fact, &known); err != nil {
			return err
		}
		if !known && s.world.Effect(s.Name) != None {
			s.world.mu.Lock()
			s.world.faults = append(s.world.faults, fmt.Sprintf("compensate %s: its effect is there and fact %s is not", s.Name, fact))
			s.world.mu.Unlock()
		}
	}
	return s.perform(ctx, act, None)
}

// Verify implements [saga.Verifier].
func (s *Script) Verify(context.Context, *saga.Attempt) error {
	if e := s.world.Effect(s.Name); e != Whole {
		return fmt.Errorf("%s is %s", s.Name, e)
	}
	return nil
}

// fail is the failure that an act asks for.
func (s *Script) fail(act Act) error {
	if act == FailPermanent {
		return saga.Permanent(ErrScript)
	}
	return ErrScript
}

// perform goes half of the way, does as the act has it, and goes the rest.
func (s *Script) perform(ctx context.Context, act Act, goal Effect) error {
	if !s.move(ctx, Half, goal) {
		return errKilled
	}
	if s.world.Point != nil {
		s.world.Point("half-way in " + s.Name)
	}
	if s.Begun != nil {
		s.Begun <- s.Name
	}
	switch act {
	case FailHalf:
		return ErrScript
	case Hang:
		<-ctx.Done()
		return ctx.Err()
	case Deaf:
		<-s.Release
	case Panic:
		panic(ErrScript)
	}
	if !s.move(ctx, goal, goal) {
		return errKilled
	}
	if act == FailWhole {
		return ErrScript
	}
	return nil
}

// move brings the effect to e on its way to the goal, unless it is there.
func (s *Script) move(ctx context.Context, e, goal Effect) bool {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if !alive(ctx) {
		return false
	}
	if s.world.effects[s.Name] != goal {
		s.world.set(s.Name, e)
	}
	return true
}
