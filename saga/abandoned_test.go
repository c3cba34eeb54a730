package saga_test

import (
	"context"
	"errors"
	"testing"

	"ecluse/saga"
	"ecluse/saga/sagatest"
)

// An attempt that was cut off, and ends in good order, hears that there is no time
// for that.
func TestAnAttemptThatEndsHearsOfTheHardStop(t *testing.T) {
	r := newRig(t, "a")
	begun := make(chan string)
	r.world.Add(&sagatest.Script{Name: "a", OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
	early := false
	r.runner.Prepare = func(ctx context.Context, _ saga.Spec, _ *saga.Attempt) (context.Context, saga.Finish, error) {
		return ctx, func(err error) error {
			select {
			case <-saga.Abandoned(ctx):
				early = true
			default:
			}
			r.leave()
			<-saga.Abandoned(ctx)
			return err
		}, nil
	}
	go func() { <-begun; r.stop(errors.New("asked")) }()
	if _, err := r.run(up); !errors.Is(err, saga.ErrAbandoned) || errors.Is(err, saga.ErrUnended) {
		t.Error(err)
	}
	if early {
		t.Error("the soft stop sounded like the hard one")
	}
	if saga.Abandoned(t.Context()) != nil {
		t.Error("there is no run to be left")
	}
}
