package saga

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// attempt makes one attempt of a step and says what came of it.
func (r *Runner) attempt(ctx context.Context, spec Spec, action Action, state StepState, reverting bool) Event {
	a := &Attempt{
		Step: spec.Name, Number: action.Attempt, Resumed: action.Resumed,
		Compensating: action.Kind == ActCompensate, Reverting: reverting,
		facts: state.Facts,
	}
	a.save = func(key string, data json.RawMessage) error {
		return r.save(Event{Kind: StepSaved, Step: spec.Name, Key: key, Data: data})
	}
	begun := time.Now()
	a.report = func(message string, warning bool) {
		n := Notice{Step: spec.Name, Attempt: a.Number, Elapsed: time.Since(begun), Message: message, Warning: warning}
		if a.Compensating {
			n.Title = spec.Reverse
		}
		r.tell(n)
	}
	err := r.carryOut(ctx, spec, action, a)
	done, failed := StepDone, StepFailed
	if a.Compensating {
		done, failed = StepCompensated, StepCompensationFailed
	}
	switch {
	case err == nil:
		return Event{Kind: done, Step: spec.Name}
	case err == ErrKept: //nolint:errorlint // nothing else has failed
		a.Report("%v", ErrKept)
		return Event{Kind: StepKept, Step: spec.Name}
	}
	return Event{Kind: failed, Step: spec.Name, Err: err.Error(), Code: CodeOf(err), Permanent: IsPermanent(err)}
}

// save makes a fact durable. It is refused when the run has ended: somebody has
// outlived their attempt.
func (r *Runner) save(e Event) error {
	ack := make(chan error, 1)
	select {
	case r.reports <- report{events: []Event{e}, ack: ack}:
		return <-ack
	case <-r.ended:
		return ErrJournal
	}
}

// carryOut waits for the pause of a retry, then lets the step act.
func (r *Runner) carryOut(ctx context.Context, spec Spec, action Action, a *Attempt) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
	}()
	if action.Delay > 0 {
		pause := time.NewTimer(action.Delay)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	limit := spec.Policy.Timeout
	if a.Compensating {
		limit = spec.Policy.CompensateTimeout
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %s", limit))
		defer cancel()
	}
	if r.Prepare == nil {
		return r.act(ctx, spec, a)
	}
	prepared, finish, err := r.Prepare(ctx, spec, a)
	if err != nil {
		return err
	}
	err = r.act(prepared, spec, a)
	if err == ErrKept { //nolint:errorlint // no failure, but what finish finds is one
		return cmp.Or(finish(nil), ErrKept)
	}
	return finish(err)
}

// act lets the step act. A step in doubt that turns out to be whole has nothing
// to do.
func (r *Runner) act(ctx context.Context, spec Spec, a *Attempt) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
	}()
	step, err := r.Step(spec)
	if err != nil {
		return Permanent(err)
	}
	if verifier, ok := step.(Verifier); ok && a.Resumed && !a.Compensating {
		if verifier.Verify(ctx, a) == nil {
			a.Report("found whole")
			return nil
		}
	}
	if a.Compensating {
		if err = step.Compensate(ctx, a); errors.Is(err, ErrKept) {
			return ErrKept
		}
	} else {
		err = step.Do(ctx, a)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
