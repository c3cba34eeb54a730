package docker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// doubtful is how long a first question may take before the engine is asked whether
// it is there at all.
const doubtful = 3 * time.Second

// At is the engine at a place, before it was asked for anything. Its first answer shows
// that it is there, which spares a question for just that. Where the first question
// fails, or gets no answer for a while, the engine is asked as [OpenAt] asks, and the
// error is the same: a first question takes no longer than it takes an engine that is
// there, and it wraps [ErrMissing] or [ErrUnreachable] where docker or the engine is not.
func At(place Place) *Engine {
	e := &Engine{place: place}
	e.unmet.Store(true)
	return e
}

// meet asks the first question.
func (e *Engine) meet(ctx context.Context, args []string) ([]byte, error) {
	asking, cancel := context.WithCancelCause(ctx)
	answered, settled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(settled)
		select {
		case <-answered:
		case <-time.After(doubtful):
			if err := e.answers(asking); err != nil {
				cancel(err)
			}
		}
	}()
	out, err := e.ask(asking, args)
	absent := context.Cause(asking)
	cancel(nil)
	close(answered)
	<-settled
	switch {
	case err == nil:
	case errors.Is(err, ErrMissing), context.Cause(ctx) != nil:
		return nil, err
	case absent != nil:
		return nil, absent
	default:
		// Whether the engine is there decides what the error means.
		if absent = e.answers(ctx); absent != nil {
			return nil, absent
		}
	}
	e.unmet.Store(false)
	return out, err
}

// answers asks the engine whether it is there, in the way that costs it least.
func (e *Engine) answers(ctx context.Context) error {
	asked, cancel := context.WithTimeoutCause(ctx, openPatience, fmt.Errorf("no answer within %s", openPatience))
	defer cancel()
	_, err := e.ask(asked, []string{"version", "--format", "{{.Server.Version}}"})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrMissing), context.Cause(ctx) != nil:
		return err
	case e.place.Context != "" && noContext(said(err)):
		err = ErrNoContext
	case !errors.Is(err, ErrUnreachable):
		err = fmt.Errorf("%w: %w", ErrUnreachable, bare(err))
	}
	if e.place != (Place{}) {
		err = fmt.Errorf("%s: %w", e.place, err)
	}
	return err
}
