package saga_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"ecluse/saga"
	"ecluse/saga/sagatest"
)

func TestCoded(t *testing.T) {
	if saga.Coded("full", nil) != nil || saga.CodeOf(nil) != "" || saga.CodeOf(sagatest.ErrDisk) != "" {
		t.Error("there is a code that nobody has given")
	}
	err := fmt.Errorf("a: %w", saga.Permanent(saga.Coded("full", sagatest.ErrDisk)))
	if saga.CodeOf(err) != "full" || !saga.IsPermanent(err) || !errors.Is(err, sagatest.ErrDisk) || err.Error() != "a: "+sagatest.ErrDisk.Error() {
		t.Errorf("%v has code %q", err, saga.CodeOf(err))
	}
}

// The code of a step's error is in the journal beside its text: of the step, and of what
// made the run turn.
func TestTheCodeOfAFailureIsJournaled(t *testing.T) {
	r := newRig(t, "a", "b: a")
	r.world.Add(&sagatest.Script{Name: "b", OnDo: []sagatest.Act{sagatest.FailHalf}, OnCompensate: []sagatest.Act{sagatest.FailPermanent}})
	r.runner.Prepare = func(ctx context.Context, spec saga.Spec, a *saga.Attempt) (context.Context, saga.Finish, error) {
		code := "do"
		if a.Compensating {
			code = "compensate"
		}
		return ctx, func(err error) error { return saga.Coded(code, err) }, nil
	}
	d := r.want(saga.Stuck, "a=whole b=half", up)
	if c := d.Progress.Cause; c.Step != "b" || c.Code != "do" {
		t.Errorf("it turned for %+v", c)
	}
	if a, b := d.Progress.Steps[0], d.Progress.Steps[1]; a.Code != "" || b.Code != "compensate" || b.Err == "" {
		t.Errorf("a is %+v, b is %+v", a, b)
	}
}

// lostStep was made, and says with a code that it is not there.
type lostStep struct{ saga.Step }

func (lostStep) Verify(context.Context, *saga.Attempt) error {
	return saga.Coded("gone", errors.New("it is gone"))
}

func TestTheCodeOfALostStepIsJournaled(t *testing.T) {
	r := newRig(t, "a")
	r.runner.Step = func(spec saga.Spec) (saga.Step, error) {
		step, err := r.world.Step(spec)
		return lostStep{step}, err
	}
	d := r.want(saga.Reverted, "", up)
	if c := d.Progress.Cause; c.Step != "a" || c.Code != "gone" {
		t.Errorf("it turned for %+v", c)
	}
}

// A code goes with the text that it stands beside.
func TestACodeGoesWithItsText(t *testing.T) {
	plan := saga.Plan{Steps: []saga.Spec{{Name: "a", Kind: "test", Policy: saga.Policy{Retries: 1}}}}
	back := saga.Event{Kind: saga.Turn, Err: "stop", Code: "asked"}
	did := saga.Event{Kind: saga.StepDone, Step: "a"}
	bad := saga.Event{Kind: saga.StepFailed, Step: "a", Err: "no", Code: "full"}
	worse := saga.Event{Kind: saga.StepCompensationFailed, Step: "a", Err: "no way back", Code: "busy"}
	plain := saga.Event{Kind: saga.StepFailed, Step: "a", Err: "otherwise"}
	for name, test := range map[string]struct {
		events []saga.Event
		code   string
	}{
		"failed":           {[]saga.Event{bad}, "full"},
		"failed otherwise": {[]saga.Event{bad, plain}, ""},
		"done":             {[]saga.Event{bad, did}, ""},
		"not compensated":  {[]saga.Event{did, back, worse}, "busy"},
		"begun again":      {[]saga.Event{did, back, worse, up}, ""},
		"compensated":      {[]saga.Event{did, back, worse, {Kind: saga.RunBackward}, {Kind: saga.StepCompensated, Step: "a"}}, ""},
		"parked":           {[]saga.Event{did, back, worse, {Kind: saga.RunBackward}, {Kind: saga.Park, Err: "died"}}, ""},
		"abandoned":        {[]saga.Event{did, back, worse, {Kind: saga.RunBackward, Abandon: []string{"a"}}}, "busy"},
	} {
		t.Run(name, func(t *testing.T) {
			p := saga.NewProgress(plan)
			for _, e := range append([]saga.Event{up}, test.events...) {
				d, err := saga.Next(plan, p, "r1", time.Time{}, e)
				if err != nil {
					t.Fatalf("%+v: %v", e, err)
				}
				p = d.Progress
			}
			if got := p.Steps[0]; got.Code != test.code {
				t.Errorf("%+v; want code %q", got, test.code)
			}
		})
	}
}
