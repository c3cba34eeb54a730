package steps

import (
	"context"
	"time"
)

// A machine may stand still for seconds: its host is busy, or its disk. What is waited
// for stands still too, so that time says nothing of it, and does not count.

// lifetime counts how long the machine has run.
type lifetime struct {
	last time.Time
	sum  time.Duration
}

// to is how long the machine has run until now, if it was never idle for longer than most
// between two calls: what is more, it stood still.
func (l *lifetime) to(now time.Time, most time.Duration) time.Duration {
	l.sum += min(now.Sub(l.last), most)
	l.last = now
	return l.sum
}

// patienceStep is the pause between two looks at the clock.
const patienceStep = 50 * time.Millisecond

// patience makes a context that ends, with a cause, when the machine has run for limit.
func patience(ctx context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	lived := lifetime{last: time.Now()}
	go func() {
		for left := limit; left > 0; left = limit - lived.to(time.Now(), 2*patienceStep) {
			select {
			case <-time.After(min(left, patienceStep)):
			case <-ctx.Done():
				return
			}
		}
		cancel(cause)
	}()
	return ctx, func() { cancel(nil) }
}
