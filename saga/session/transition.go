package session

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ecluse/fsm"
	"ecluse/saga"
)

// maxTakeovers is how many owners may die on a run without progress before the
// session is parked as failed.
const maxTakeovers = 5

// Transition is the session's life as a pure function: the record as it is (its
// state is Absent, or empty, when there is no row), an event, and what the store
// knows of others. Whatever it answers is written by the store in the
// transaction in which it read the record; an error means that nothing may be
// written. It is the function that runs, and the one that the model checker
// explores.
func Transition(s Session, e Event, v View) (Result, error) {
	if s.State == "" {
		s.State = fsm.Absent
	}
	if !s.State.Known() {
		return Result{}, fmt.Errorf("session %s is in state %q, which a newer ecluse wrote; use that one", s.Slug, s.State)
	}
	t := &transition{s: s, before: s.State, e: e, v: v}
	t.s.Ports = maps.Clone(s.Ports)
	if err := t.apply(); err != nil {
		return Result{}, err
	}
	t.s.UpdatedAt = e.At
	return Result{Session: t.s, Decision: t.decision, History: t.history}, nil
}

// transition is the scratch space of one call of Transition.
type transition struct {
	s        Session
	before   fsm.State
	e        Event
	v        View
	decision saga.Decision
	history  []Entry
}

func (t *transition) apply() error {
	switch t.e.Kind {
	case Journal, Lease:
		if !t.before.Pending() || t.e.Fence != (Fence{t.s.Epoch, t.s.Run.ID}) {
			return fmt.Errorf("session %s: %w", t.s.Slug, ErrSuperseded)
		}
		if t.e.Kind == Journal {
			return t.engine(t.e.Saga...)
		}
		return t.lease()
	case AskStop:
		return t.askStop()
	case ClaimUp, ClaimDown, ClaimResume, ClaimRollback:
		return t.claim()
	default:
		return fmt.Errorf("event %q means nothing to a session", t.e.Kind)
	}
}

// lease adds ports.
func (t *transition) lease() error {
	ports, err := Reserve(t.s.Ports, t.e.Wants, t.v.Ports)
	if err != nil {
		return err
	}
	t.s.Ports = ports
	return nil
}

// askStop leaves word for the owner of an up. Only one command asks: the owner
// takes a second signal as an order to leave at once.
func (t *transition) askStop() error {
	if t.before != fsm.PendingUp || t.e.Seen != t.s.Epoch || t.s.Run.Stop != nil {
		return fmt.Errorf("session %s: %w", t.s.Slug, ErrStale)
	}
	t.s.Run.Stop = &StopRequest{By: t.e.Owner, At: t.e.At, Halt: t.e.Options.keepsSome()}
	t.note(fmt.Sprintf("pid %d asks it to stop", t.e.Owner.PID))
	return nil
}

// claim lets the holder of the owner lock take the session over.
func (t *transition) claim() error {
	if t.e.Seen != t.s.Epoch {
		return fmt.Errorf("session %s: %w", t.s.Slug, ErrStale)
	}
	if t.v.NextEpoch <= t.s.Epoch {
		return fmt.Errorf("session %s: epoch %d is to follow %d: %w", t.s.Slug, t.v.NextEpoch, t.s.Epoch, ErrSuperseded)
	}
	t.s.Epoch = t.v.NextEpoch
	switch t.e.Kind {
	case ClaimUp:
		return t.claimUp()
	case ClaimDown:
		return t.claimDown()
	case ClaimResume:
		return t.claimResume()
	default:
		return t.claimRollback()
	}
}

// claimUp makes a session, or goes on with one that is to go forward.
func (t *transition) claimUp() error {
	switch {
	case t.before == fsm.Absent:
		return t.create()
	case t.before == fsm.PendingUp:
		return t.claimResume()
	}
	t.newRun(VerbUp)
	if err := t.fire(fsm.Up); err != nil {
		return err
	}
	scope := ""
	if t.s.Settled {
		scope = t.s.Run.ID
	}
	t.s.Progress.HaltOnFailure = t.e.Options.KeepOnFailure
	return t.engine(saga.Event{Kind: saga.RunForward, Steps: t.e.Missing, Scope: scope})
}

// create reserves slot and ports and begins the first run.
func (t *transition) create() error {
	if t.e.New == nil {
		return fmt.Errorf("session %s: %w", t.s.Slug, ErrNotFound)
	}
	n := *t.e.New
	if err := n.Plan.Validate(); err != nil {
		return err
	}
	if by, taken := t.v.Slots[n.Slot]; taken {
		return fmt.Errorf("slot %d went to session %s: %w", n.Slot, by, ErrStale)
	}
	ports, err := Reserve(n.Ports, t.e.Wants, t.v.Ports)
	if err != nil {
		return err
	}
	n.Version, n.State, n.Epoch, n.Ports, n.CreatedAt = RecordVersion, fsm.Absent, t.s.Epoch, ports, t.e.At
	n.Progress = saga.NewProgress(n.Plan)
	n.Progress.HaltOnFailure = t.e.Options.KeepOnFailure
	t.s = n
	t.newRun(VerbUp)
	if err := t.fire(fsm.Up); err != nil {
		return err
	}
	return t.engine(saga.Event{Kind: saga.RunForward})
}

// claimDown begins a teardown of its own, whatever was going on before.
func (t *transition) claimDown() error {
	if t.before == fsm.Absent {
		return fmt.Errorf("session %s: %w", t.s.Slug, ErrNotFound)
	}
	if err := t.s.abandons(t.e.Options.Abandon); err != nil {
		return err
	}
	deaths := t.s.Run.Takeovers
	again := t.before == fsm.PendingDown && t.s.Run.Verb == VerbDown
	t.newRun(VerbDown)
	if again { // with options of its own, but what ends its owners is the same
		t.s.Run.Takeovers = deaths
		t.takeOver()
	}
	if t.s.Run.Takeovers > maxTakeovers {
		return t.park()
	}
	if err := t.fire(fsm.Down); err != nil {
		return err
	}
	var kept []string
	for _, spec := range t.s.Plan.Steps {
		if t.e.Options.keeps(spec) {
			kept = append(kept, spec.Name)
		}
	}
	return t.engine(saga.Event{Kind: saga.RunBackward, Steps: kept, Abandon: t.e.Options.Abandon})
}

// claimResume goes on with a run that was cut off, in its own direction.
func (t *transition) claimResume() error {
	if !t.before.Pending() {
		return say(ErrNotThere, "session %s is %s, nothing of it was cut off", t.s.Slug, t.before)
	}
	t.takeOver()
	if t.s.Run.Takeovers > maxTakeovers {
		return t.park()
	}
	return t.engine(saga.Event{Kind: saga.Resume, Steps: t.e.Missing})
}

// claimRollback turns a run back that was cut off going forward.
func (t *transition) claimRollback() error {
	if t.before != fsm.PendingUp {
		return say(ErrNotThere, "session %s is %s, no up of it was cut off", t.s.Slug, t.before)
	}
	t.takeOver()
	return t.engine(saga.Event{Kind: saga.Resume},
		saga.Event{Kind: saga.Turn, Err: "rolled back on request", Code: CodeRollback})
}

// newRun begins a run of its own.
func (t *transition) newRun(verb Verb) {
	t.s.Run = Run{ID: t.e.RunID, Verb: verb, From: t.before, StartedAt: t.e.At, Owner: t.e.Owner, Options: t.e.Options}
	t.s.Failure = nil
}

// takeOver gives the run that is under way a new owner.
func (t *transition) takeOver() {
	t.s.Run.Owner, t.s.Run.Stop = t.e.Owner, nil
	t.s.Run.Takeovers++
	t.note(fmt.Sprintf("taken over by %s, pid %d", t.e.Owner.Verb, t.e.Owner.PID))
}

// park ends a run that kills every owner. What it was about on its way back counts as
// failed, so that it can be abandoned.
func (t *transition) park() error {
	doubt := t.s.Progress.InDoubt(t.s.Plan)
	t.s.Failure = &Failure{
		Code:    CodeParked,
		Message: fmt.Sprintf("%d owners died on it without progress", t.s.Run.Takeovers),
	}
	if len(doubt) > 0 {
		t.s.Failure.Step = doubt[0]
	}
	if err := t.fold(saga.Event{Kind: saga.Park, Err: t.s.Failure.Message}); err != nil {
		return err
	}
	return t.fire(fsm.Fail)
}

// engine lets the saga's machine fold events, and moves the session's state
// along with what comes of it.
func (t *transition) engine(events ...saga.Event) error {
	if err := t.fold(events...); err != nil {
		return err
	}
	if t.s.State == fsm.PendingUp && t.s.Progress.Direction == saga.Backward {
		if err := t.fire(fsm.Rollback); err != nil {
			return err
		}
	}
	return t.conclude(t.decision)
}

// fold has the saga's machine fold events, and tells the history.
func (t *transition) fold(events ...saga.Event) error {
	d, err := saga.Next(t.s.Plan, t.s.Progress, t.s.Run.ID, t.e.At, events...)
	if err != nil {
		return err
	}
	t.decision, t.s.Progress = d, d.Progress
	t.notePlaces(events)
	for _, entry := range d.Entries {
		if entry.Phase == saga.Done || entry.Phase == saga.Compensated {
			t.s.Run.Takeovers = 0
		}
		t.history = append(t.history, t.line(Entry{Entry: entry}))
	}
	return nil
}

// notePlaces writes into the history where steps are about to make something.
func (t *transition) notePlaces(events []saga.Event) {
	for _, e := range events {
		if e.Kind == saga.StepSaved && e.Key == PlaceFact {
			t.history = append(t.history, t.line(Entry{Note: fmt.Sprintf("%s settled where it is: %s", e.Step, e.Data), Place: e.Data}))
		}
	}
}

// conclude ends the run where the engine says so.
func (t *transition) conclude(d saga.Decision) error {
	switch d.Outcome {
	case saga.Completed:
		t.s.Settled, t.s.Failure = true, nil
		return t.fire(fsm.Done)
	case saga.Reverted:
		t.s.Failure = failureOf(d.Progress)
		event := t.revertedTo()
		t.s.Settled = t.s.Settled || event == fsm.Keep
		return t.fire(event)
	case saga.Stuck:
		t.s.Failure = stuckOn(t.s.Plan, d.Progress)
		return t.fire(fsm.Fail)
	case saga.Halted:
		if d.Progress.Direction == saga.Forward {
			t.s.Failure = failureOf(d.Progress)
			return t.fire(fsm.Fail)
		}
	case saga.Running:
	}
	return nil
}

// revertedTo is the event that ends a way back: the session is gone, stopped
// because its worktree was to be kept or because it was stopped before, or (a
// repair was reverted) not what it should be.
func (t *transition) revertedTo() fsm.Event {
	switch {
	case t.s.Progress.Scope != "" && t.s.Run.From == fsm.Stopped:
		return fsm.Keep
	case t.s.Progress.Scope != "":
		return fsm.Fail
	case len(t.s.Progress.Kept) > 0:
		return fsm.Keep
	default:
		return fsm.Done
	}
}

// failureOf is why a run turned back or halted; nil when it was to go back.
func failureOf(p saga.Progress) *Failure {
	if p.Cause == nil {
		return nil
	}
	f := &Failure{Code: p.Cause.Code, Message: p.Cause.Err, Step: p.Cause.Step}
	if f.Step != "" || f.Code == "" { // else the word is the canceller's
		f.Code, f.Cause = CodeStepFailed, p.Cause.Code
	}
	return f
}

// stuckOn names the first compensation that failed, and what had made it
// necessary.
func stuckOn(plan saga.Plan, p saga.Progress) *Failure {
	i := slices.IndexFunc(p.Steps, func(s saga.StepState) bool { return s.Phase == saga.CompensationFailed })
	if i < 0 {
		return failureOf(p)
	}
	f := &Failure{Code: CodeCompensationFailed, Step: plan.Steps[i].Name, Message: "compensate: " + p.Steps[i].Err, Cause: p.Steps[i].Code}
	if began := failureOf(p); began != nil {
		f.Message += " (compensated because of: " + began.Step + " " + began.Message + ")"
		f.Cause = cmp.Or(f.Cause, began.Cause)
	}
	return f
}

// fire moves the lifecycle. It is the only place where that happens.
func (t *transition) fire(event fsm.Event) error {
	from := t.s.State
	to, err := fsm.Next(from, event)
	if err != nil {
		return fmt.Errorf("session %s: %w", t.s.Slug, err)
	}
	t.s.State = to
	if from != to {
		t.history = append(t.history, t.line(Entry{From: from, To: to}))
	}
	return nil
}

// note adds a line of text to the history.
func (t *transition) note(text string) {
	t.history = append(t.history, t.line(Entry{Note: text}))
}

// line completes a line of the history.
func (t *transition) line(e Entry) Entry {
	e.Time, e.Key, e.ID, e.Root = t.e.At, t.s.Key, t.s.ID, t.s.Root
	e.Run, e.Verb, e.Epoch = t.s.Run.ID, t.s.Run.Verb, t.s.Epoch
	return e
}
