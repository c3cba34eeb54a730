package saga_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ecluse/saga"
	"ecluse/saga/sagatest"
)

// keeper leaves what it is to compensate.
type keeper struct{ saga.Step }

func (keeper) Compensate(context.Context, *saga.Attempt) error {
	return fmt.Errorf("look: %w", saga.ErrKept)
}

// What a step keeps is there afterwards, and done; what ends the attempt may still fail.
func TestKept(t *testing.T) {
	for _, unended := range []bool{false, true} {
		r := newRig(t, "a", "b: a", "c: b")
		r.want(saga.Completed, "a=whole b=whole c=whole", up)
		r.world.Add(&sagatest.Script{Name: "b", OnDo: []sagatest.Act{sagatest.FailPermanent}})
		r.runner.Step = func(spec saga.Spec) (saga.Step, error) {
			step, err := r.world.Step(spec)
			if spec.Name == "b" {
				return keeper{step}, err
			}
			return step, err
		}
		if unended {
			r.runner.Prepare = func(ctx context.Context, _ saga.Spec, a *saga.Attempt) (context.Context, saga.Finish, error) {
				return ctx, func(err error) error {
					if a.Compensating {
						return errors.Join(err, errors.New("something runs"))
					}
					return err
				}, nil
			}
		}
		r.runner.RunID = "r2"
		repair := saga.Event{Kind: saga.RunForward, Steps: []string{"b"}, Scope: "r2"}
		if unended {
			d := r.want(saga.Stuck, "a=whole b=whole c=whole", repair)
			if s := d.Progress.Steps[1]; s.Phase != saga.CompensationFailed || !strings.Contains(s.Err, "something runs") {
				t.Errorf("%+v", s)
			}
			continue
		}
		d := r.want(saga.Reverted, "a=whole b=whole c=whole", repair)
		if s := d.Progress.Steps[1]; s.Phase != saga.Done || d.Progress.Cause.Step != "b" {
			t.Errorf("%+v, %+v", s, d.Progress.Cause)
		}
	}
}
