package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// minPause and maxPause bound the pauses between two looks.
	minPause = 5 * time.Millisecond
	maxPause = 100 * time.Millisecond
	// killPatience is how long Stop goes on with KILL. Whoever is there after
	// that cannot be ended: it hangs in the kernel, or is not ours.
	killPatience = 10 * time.Second
	// maxNamed bounds how many survivors an error names.
	maxNamed = 5
)

// AliveError says who was still running when the wait for their end was over.
type AliveError struct {
	// IDs are the survivors, Names what they were described as.
	IDs   []ID
	Names []string
	// Err is why the wait ended, or why they could not be ended; nil if only
	// the time was up.
	Err error
}

// Error names them.
func (e *AliveError) Error() string {
	names := e.Names
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
		names = names[:maxNamed]
	}
	text := "still running: " + strings.Join(names, ", ") + more
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *AliveError) Unwrap() error { return e.Err }

// survivors makes the error about ids.
func survivors(ids []ID, err error) error {
	e := &AliveError{IDs: ids, Err: err}
	for _, id := range ids {
		e.Names = append(e.Names, Describe(id))
	}
	return e
}

// Await returns nil once find finds nobody. After patience, or when ctx ends
// before, the error is an *AliveError that names who is there, and wraps the cause
// of ctx.
func Await(ctx context.Context, patience time.Duration, find func() ([]ID, error)) error {
	deadline := time.Now().Add(patience)
	return watch(ctx, find, func(ids []ID) (time.Duration, error) {
		left := time.Until(deadline)
		if left <= 0 {
			return 0, survivors(ids, nil)
		}
		return left, nil
	})
}

// Stop ends everybody that find finds, until it finds nobody. Each gets TERM once
// (and CONT, for a stopped process acts on nothing else), also those that turn up
// later; who is there after grace gets KILL. What find finds must be proven to be
// what is meant: see [Family], [Carrying], [Holding].
//
// Under a context that [Hurry] made, the grace of all is over when it says so.
//
// The error is an *AliveError that names who is left: because ctx ended (it wraps
// the cause; nobody is killed before their grace is over), or because they could
// not be ended.
func Stop(ctx context.Context, grace time.Duration, find func() ([]ID, error)) error {
	s := stopper{grace: time.Now().Add(grace), patience: killPatience, told: map[ID]bool{}}
	s.hurry, _ = ctx.Value(hurryKey{}).(<-chan struct{})
	return watch(ctx, find, s.round)
}

// hurryKey is the key of the channel that [Hurry] adds.
type hurryKey struct{}

// Hurry makes a context under which [Stop] grants no more grace once now is closed.
func Hurry(ctx context.Context, now <-chan struct{}) context.Context {
	return context.WithValue(ctx, hurryKey{}, now)
}

// stopper is the state of one Stop.
type stopper struct {
	grace    time.Time
	patience time.Duration   // with KILL
	limit    time.Time       // of it, once somebody got one
	hurry    <-chan struct{} // nil never closes
	told     map[ID]bool
}

// round signals those who were found, and says how long their end may be waited
// for.
func (s *stopper) round(ids []ID) (time.Duration, error) {
	now := time.Now()
	select {
	case <-s.hurry:
		s.grace, s.hurry = now, nil
	default:
	}
	signal := s.terminate
	until := s.grace
	if !now.Before(s.grace) {
		if s.limit.IsZero() { // however late that is, on a machine that slept
			s.limit = now.Add(s.patience)
		}
		signal, until = kill, s.limit
	}
	var refused error
	for _, id := range ids {
		// Who is gone by now is what we want.
		if err := signal(id); err != nil && !errors.Is(err, os.ErrProcessDone) {
			refused = err
		}
	}
	if !s.limit.IsZero() && !now.Before(s.limit) {
		return 0, survivors(ids, refused)
	}
	return until.Sub(now), nil // at most maxPause passes: nobody needs to wait for hurry
}

// terminate asks a process to end, once, and sees to it that it can hear that.
func (s *stopper) terminate(id ID) error {
	if !s.told[id] {
		s.told[id] = true
		if err := id.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return id.Signal(syscall.SIGCONT)
	}
	if id.Suspended() {
		return id.Signal(syscall.SIGCONT)
	}
	return nil
}

// kill ends a process.
func kill(id ID) error { return id.Signal(syscall.SIGKILL) }

// watch looks, and hands whom it finds to round, until nobody is found. Round says
// how long at most to wait before the next look.
func watch(ctx context.Context, find func() ([]ID, error), round func([]ID) (time.Duration, error)) error {
	nobody := 0
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		ids, err := found(find)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			// A process can slip through one look: /proc is read in the order
			// of pids, and it may have a child with a lower one.
			if nobody++; nobody == 2 {
				return nil
			}
			continue
		}
		nobody = 0
		if ctx.Err() != nil {
			return survivors(ids, context.Cause(ctx))
		}
		limit, err := round(ids)
		if err != nil {
			return err
		}
		settle(ctx, ids, min(pause, limit))
	}
}

// found is what find finds without us: nobody waits for their own end.
func found(find func() ([]ID, error)) ([]ID, error) {
	ids, err := find()
	if err != nil {
		return nil, err
	}
	others := make([]ID, 0, len(ids))
	for _, id := range ids {
		if id.PID != os.Getpid() {
			others = append(others, id)
		}
	}
	return others, nil
}

// settle waits until all of ids have ended, at most for pause. It takes a moment
// in any case, so that no finder, however wrong, makes us spin.
func settle(ctx context.Context, ids []ID, pause time.Duration) {
	moment := time.After(minPause / 5)
	defer func() { <-moment }()
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	for _, id := range ids {
		if id.AwaitEnd(ctx) != nil {
			<-ctx.Done()
			return
		}
	}
}
