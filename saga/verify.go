package saga

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// errFilled is what is wrong with a step whose effect was in data that is lost.
var errFilled = errors.New("the data that it may have filled is gone")

// verify looks at every done step that can tell how it is.
func (r *Runner) verify(ctx context.Context, p Progress) []Event {
	lost := Verify(ctx, r.Plan, p, r.Step)
	if len(lost) == 0 {
		return []Event{{Kind: Verified}}
	}
	var events []Event
	for _, spec := range r.Plan.Steps {
		if err := lost[spec.Name]; err != nil {
			text := "it was done, but is not whole any more: " + err.Error()
			events = append(events, Event{Kind: StepLost, Step: spec.Name, Err: text, Code: CodeOf(err)})
		}
	}
	return events
}

// Verify asks every done step of the plan that can tell whether its effect is
// there, side by side, and returns what those that are not whole say. Lost data takes
// the effect of what has filled it along: see [Spec.Fills]. It changes nothing.
func Verify(ctx context.Context, plan Plan, p Progress, build func(Spec) (Step, error)) map[string]error {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		lost = map[string]error{}
	)
	for i, spec := range plan.Steps {
		if p.Steps[i].Phase != Done {
			continue
		}
		wg.Go(func() {
			if err := verifyOne(ctx, spec, p.Steps[i], build); err != nil {
				mu.Lock()
				defer mu.Unlock()
				lost[spec.Name] = err
			}
		})
	}
	wg.Wait()
	empty := map[string]bool{} // steps that are, or stand on, data which is lost
	for i, spec := range plan.Steps {
		empty[spec.Name] = spec.Data && lost[spec.Name] != nil || slices.ContainsFunc(spec.Needs, func(need string) bool { return empty[need] })
		if spec.Fills && empty[spec.Name] && p.Steps[i].Phase == Done && lost[spec.Name] == nil {
			lost[spec.Name] = errFilled
		}
	}
	return lost
}

// verifyOne verifies one step; a step that cannot tell is taken as it is.
func verifyOne(ctx context.Context, spec Spec, state StepState, build func(Spec) (Step, error)) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
	}()
	step, err := build(spec)
	if err != nil {
		return err
	}
	verifier, ok := step.(Verifier)
	if !ok {
		return nil
	}
	return verifier.Verify(ctx, NewAttempt(spec.Name, state.Facts, nil))
}
