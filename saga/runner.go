package saga

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Journal makes events durable. Commit applies them with [Next] to what is on
// disk, in one transaction, and returns the decision once it is synced. It
// refuses, changing nothing, when the run no longer owns what it journals.
type Journal interface {
	Commit(events ...Event) (Decision, error)
}

// Runner carries out what [Next] decides, one run at a time. It decides nothing
// itself: it turns actions into calls of steps and what comes of them into events.
type Runner struct {
	Plan    Plan
	RunID   string
	Journal Journal
	// Step builds the step of a spec.
	Step func(Spec) (Step, error)
	// Prepare surrounds every attempt (locks, logs, environment): it returns
	// the context to work under and what to call afterwards with the
	// attempt's error, before that is reported. May be nil.
	Prepare func(ctx context.Context, spec Spec, a *Attempt) (context.Context, Finish, error)
	// OnStop says which event the first stop is, by its cause: Turn or Halt;
	// false if it is none. Required when the soft context can end.
	OnStop func(cause error, d Direction) (Event, bool)
	// Sink is told of every transition once it is durable. May be nil.
	Sink Sink

	reports  chan report
	ended    chan struct{} // closed when every attempt has ended
	attempts sync.WaitGroup
	sinkMu   sync.Mutex
	// Of the loop alone: how to cancel an attempt, and the last look.
	cancels   map[string]context.CancelCauseFunc
	cancelled map[string]bool // steps whose attempt was ended
	looking   context.CancelFunc
}

// leavePatience is how long a run that was told to leave at once waits for its
// attempts to end. Tests shorten it.
var leavePatience = 3 * time.Second

// leaveWaits are the parts of that. A machine that stands still, and with it the
// attempts, costs one of them.
const leaveWaits = 10

// abandonedKey is the key of what [Abandoned] returns.
type abandonedKey struct{}

// Abandoned is closed when the run that an attempt belongs to is to be left at
// once. The end of the attempt's context alone does not say so: an attempt that is
// cut off may still end in good order, and then hear that there is no time for
// that. Nil, which never closes, outside a run.
func Abandoned(ctx context.Context) <-chan struct{} {
	done, _ := ctx.Value(abandonedKey{}).(<-chan struct{})
	return done
}

// Finish is called with the error of an attempt and returns what is to be
// reported.
type Finish func(error) error

// report is what an attempt tells the loop; ack is set when it waits for the
// event to be durable.
type report struct {
	events []Event
	ack    chan error
}

// errCancelled is the cause in the context of an attempt that is cancelled.
var errCancelled = errors.New("cancelled")

// Run works from decision d, which is durable already, until the run ends.
// The end of soft asks it to stop in good order: what was begun is compensated
// (or, on the way back, left as it stands), as OnStop has it. The end of hard
// makes it leave at once, with [ErrAbandoned]. Values of hard reach the steps.
// The error wraps [ErrJournal] when a transition could not be written.
//
// Run returns when every attempt has ended, with one exception: once hard has
// ended it waits a few seconds for them and not longer. The error then wraps
// [ErrUnended], and the caller must not give the ownership away while the
// process lives.
func (r *Runner) Run(soft, hard context.Context, d Decision) (Decision, error) {
	r.reports, r.ended = make(chan report), make(chan struct{})
	r.cancels, r.cancelled = map[string]context.CancelCauseFunc{}, map[string]bool{}
	ctx, cancel := context.WithCancelCause(context.WithValue(hard, abandonedKey{}, hard.Done()))
	var unended error
	d, err := func() (Decision, error) {
		defer func() {
			cancel(errCancelled)
			unended = r.drain(hard)
		}()
		return r.loop(ctx, soft, d)
	}()
	if unended != nil {
		return d, fmt.Errorf("%w: %w", ErrAbandoned, unended)
	}
	return d, err
}

// loop carries out decisions until one ends the run. ctx ends with hard.
func (r *Runner) loop(ctx, soft context.Context, d Decision) (Decision, error) {
	stop := soft.Done()
	for {
		r.notify(d)
		r.execute(ctx, d)
		if d.Outcome != Running {
			return d, nil
		}
		var batch []report
		select {
		case first := <-r.reports:
			batch = r.collect(first)
		case <-stop:
			stop = nil
			event, ok := r.OnStop(context.Cause(soft), d.Progress.Direction)
			if !ok {
				d.Actions, d.Entries = nil, nil
				continue
			}
			batch = []report{{events: []Event{event}}}
		case <-ctx.Done():
			return d, ErrAbandoned
		}
		if ctx.Err() != nil {
			// What attempts say that were cut off is no verdict on their steps.
			refuse(batch, ErrAbandoned)
			return d, ErrAbandoned
		}
		next, err := r.commit(batch)
		if err != nil {
			return d, err
		}
		d = next
	}
}

// collect adds what else is ready to be reported, so that one transaction
// carries it all.
func (r *Runner) collect(first report) []report {
	batch := []report{first}
	for {
		select {
		case next := <-r.reports:
			batch = append(batch, next)
		default:
			return batch
		}
	}
}

// commit writes a batch and releases those who wait for it, also when the
// journal panics: they must end before the panic can.
func (r *Runner) commit(batch []report) (d Decision, err error) {
	var events []Event
	for _, b := range batch {
		events = append(events, b.events...)
	}
	acked := ErrJournal
	defer func() { refuse(batch, acked) }()
	d, err = r.Journal.Commit(events...)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrJournal, err)
	}
	acked = err
	return d, err
}

// refuse tells those who wait for a batch what became of it; nil means that it
// is durable.
func refuse(batch []report, err error) {
	for _, b := range batch {
		if b.ack != nil {
			b.ack <- err
		}
	}
}

// drain waits for every attempt to end. Nothing that they report is written any
// more. Once hard has ended its patience is limited.
func (r *Runner) drain(hard context.Context) error {
	done, reports := r.ended, r.reports
	go func() {
		r.attempts.Wait()
		close(done)
	}()
	go func() {
		for {
			select {
			case late := <-reports:
				refuse([]report{late}, ErrJournal)
			case <-done:
				return
			}
		}
	}()
	select {
	case <-done:
		return nil
	case <-hard.Done():
	}
	for range leaveWaits {
		select {
		case <-done:
			return nil
		case <-time.After(leavePatience / leaveWaits):
		}
	}
	return ErrUnended
}

// execute starts the actions of a decision.
func (r *Runner) execute(ctx context.Context, d Decision) {
	if d.Progress.Direction == Backward && r.looking != nil {
		r.looking() // nobody asks any more
	}
	for _, action := range d.Actions {
		switch action.Kind {
		case ActCancel:
			if cancel := r.cancels[action.Step]; cancel != nil {
				cancel(errCancelled)
				r.cancelled[action.Step] = true
			}
		case ActVerify:
			own, cancel := context.WithCancel(ctx)
			r.looking = cancel
			r.start(func() []Event {
				defer cancel()
				return r.verify(own, d.Progress)
			})
		case ActDo, ActCompensate:
			i := r.Plan.Index(action.Step)
			own, cancel := context.WithCancelCause(ctx)
			r.cancels[action.Step] = cancel
			delete(r.cancelled, action.Step)
			state := d.Progress.Steps[i]
			reverting := action.Kind == ActCompensate && d.Progress.Scope != ""
			r.start(func() []Event {
				defer cancel(nil)
				return []Event{r.attempt(own, r.Plan.Steps[i], action, state, reverting)}
			})
		}
	}
}

// start runs fn beside the loop and reports what it returns.
func (r *Runner) start(fn func() []Event) {
	r.attempts.Add(1)
	go func() {
		defer r.attempts.Done()
		r.reports <- report{events: fn()}
	}()
}

// notify tells the sink of the transitions of a decision.
func (r *Runner) notify(d Decision) {
	for _, e := range d.Entries {
		n := Notice{
			Step: e.Step, Title: e.Title, Phase: e.Phase, Attempt: e.Attempt, Err: e.Err,
			Cancelled: e.Phase == Failed && r.cancelled[e.Step],
		}
		if i := r.Plan.Index(e.Step); i >= 0 && !e.Phase.Running() {
			n.Elapsed = d.Progress.Steps[i].EndedAt.Sub(d.Progress.Steps[i].StartedAt)
		}
		r.tell(n)
	}
}

// tell completes a notice and hands it on.
func (r *Runner) tell(n Notice) {
	if r.Sink == nil {
		return
	}
	n.Time, n.Run, n.Index, n.Total = time.Now(), r.RunID, r.Plan.Index(n.Step)+1, len(r.Plan.Steps)
	r.sinkMu.Lock()
	defer r.sinkMu.Unlock()
	r.Sink.Notify(n)
}
