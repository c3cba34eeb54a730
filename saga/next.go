package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// EventKind is what happened to a run or to one of its steps.
type EventKind string

// What begins and steers a run, and what steps report.
const (
	// RunForward begins a run that makes everything which is not done.
	// Steps in Event.Steps were found missing and are made again. With
	// Event.Scope a failure reverts only what that run began.
	RunForward EventKind = "run-forward"
	// RunBackward begins a run that compensates everything but Event.Steps,
	// or turns one that goes forward (Event.Err says why). Those in Event.Abandon,
	// whose compensation failed, are given up.
	RunBackward EventKind = "run-backward"
	// Resume tells that a new owner goes on: whatever was running is in doubt,
	// and the done steps in Event.Steps were found missing.
	Resume EventKind = "resume"
	// Turn gives up going forward: what this run began is compensated.
	Turn EventKind = "turn"
	// Halt starts nothing new; the run ends when the steps in hand do. Those of a run
	// that goes forward are cancelled if Event.Err says why.
	Halt EventKind = "halt"
	// Park ends a run at which owner after owner dies, where it stands. What was being
	// compensated has failed (Event.Err says why), though a program may still be at it.
	Park EventKind = "park"

	StepDone               EventKind = "step-done"
	StepFailed             EventKind = "step-failed"
	StepSaved              EventKind = "step-saved"
	StepCompensated        EventKind = "step-compensated"
	StepCompensationFailed EventKind = "step-compensation-failed"
	// StepKept reports that Compensate has left the effect as it is: see [ErrKept].
	StepKept EventKind = "step-kept"
	// StepLost reports that a done step was looked at once more, at the end of
	// a run that goes forward, and is not whole.
	StepLost EventKind = "step-lost"
	// Verified reports that every step was looked at and found whole, the
	// last word of a run that goes forward.
	Verified EventKind = "verified"
)

// Event is one thing that happened.
type Event struct {
	Kind EventKind
	// Step it happened to.
	Step string
	// Steps: see RunForward and RunBackward.
	Steps []string
	// Scope: see RunForward.
	Scope string
	// Abandon: see RunBackward.
	Abandon []string
	// Key and Data are what StepSaved saved.
	Key  string
	Data json.RawMessage
	// Err is the failure's text, Code the word of the step, or of the canceller,
	// for it.
	Err  string
	Code string
	// Permanent: not worth a retry.
	Permanent bool
}

// ActionKind is what the owner of a run must do next.
type ActionKind string

// The actions.
const (
	ActDo         ActionKind = "do"
	ActCompensate ActionKind = "compensate"
	// ActCancel: end the attempt of Do that is running; it reports as usual.
	ActCancel ActionKind = "cancel"
	// ActVerify: look at every done step that can be verified, then report
	// Verified, or StepLost for each that is not whole. A run that has
	// turned meanwhile ignores what comes of it.
	ActVerify ActionKind = "verify"
)

// Action is an instruction to the owner of a run. It is given once; what comes
// of it is reported as an event.
type Action struct {
	Kind    ActionKind
	Step    string
	Attempt int
	// Resumed: an earlier attempt was cut off. Verify may show that nothing
	// is left to do.
	Resumed bool
	// Delay before the attempt acts: the pause of a retry.
	Delay time.Duration
}

// Outcome is where a run stands.
type Outcome string

// The outcomes. All but Running end the run.
const (
	Running   Outcome = "running"
	Completed Outcome = "completed" // forward: everything is done and verified
	Reverted  Outcome = "reverted"  // backward: nothing (in scope) is left
	Stuck     Outcome = "stuck"     // backward: a compensation failed for good
	Halted    Outcome = "halted"    // stopped where it stands
)

// Entry is one transition, for the history.
type Entry struct {
	Step string `json:"step,omitempty"`
	// Title is what people call the step then, if that is not its name.
	Title   string `json:"title,omitempty"`
	Phase   Phase  `json:"phase"`
	Attempt int    `json:"attempt,omitempty"`
	Err     string `json:"error,omitempty"`
	// Facts that the step had saved, if it was abandoned: they say what it leaves.
	Facts map[string]json.RawMessage `json:"facts,omitempty"`
}

// Decision is the answer of [Next].
type Decision struct {
	Progress Progress
	Actions  []Action
	Outcome  Outcome
	Entries  []Entry
}

// ErrGrammar is wrapped by the errors of [Next]: the event contradicts what the
// journal says, so the reporter is not who it thinks it is, or has a fault.
var ErrGrammar = errors.New("the event contradicts the journal")

// Next is the engine: a pure function from where a plan stands and what happened
// to where it stands now and what to do next. Its answer is made durable before
// any of its actions is carried out, which is what makes the journal
// write-ahead; and because the answer to "step 3 is done" already holds "step 4
// is started", the two share one transaction.
func Next(plan Plan, p Progress, run string, at time.Time, events ...Event) (Decision, error) {
	if len(p.Steps) != len(plan.Steps) {
		return Decision{}, fmt.Errorf("progress of %d steps for a plan of %d: %w", len(p.Steps), len(plan.Steps), ErrGrammar)
	}
	m := &machine{plan: plan, p: p.clone(), run: run, at: at}
	verified, outcome := false, Halted
	for _, e := range events {
		if err := m.apply(e); err != nil {
			return Decision{}, err
		}
		verified = verified || e.Kind == Verified
	}
	if !slices.ContainsFunc(events, func(e Event) bool { return e.Kind == Park }) {
		outcome = m.advance(verified)
	}
	return Decision{Progress: m.p, Actions: m.actions, Outcome: outcome, Entries: m.entries}, nil
}

// machine is the scratch space of one call of Next.
type machine struct {
	plan    Plan
	p       Progress
	run     string
	at      time.Time
	actions []Action
	entries []Entry
}

// apply folds one event into the progress.
func (m *machine) apply(e Event) error {
	switch e.Kind {
	case RunForward:
		return m.runForward(e)
	case RunBackward:
		return m.runBackward(e)
	case Resume:
		m.resume(e.Steps)
	case Turn:
		m.turn(&Cause{Step: e.Step, Err: e.Err, Code: e.Code})
	case Halt:
		m.p.Halted = true
		if m.p.Direction == Forward && m.p.Cause == nil && e.Err != "" {
			m.p.Cause = &Cause{Err: e.Err, Code: e.Code}
			m.cancelRunning()
		}
	case Park:
		m.park(e.Err)
	case Verified:
		if m.p.Direction == Forward && !m.allSatisfied() {
			return fmt.Errorf("verified before everything was done: %w", ErrGrammar)
		}
	default:
		return m.applyStep(e)
	}
	return nil
}

// applyStep folds the report of one step.
func (m *machine) applyStep(e Event) error {
	i := m.plan.Index(e.Step)
	if i < 0 {
		return fmt.Errorf("%s of step %q, which the plan does not have: %w", e.Kind, e.Step, ErrGrammar)
	}
	s := &m.p.Steps[i]
	if e.Kind == StepLost && m.p.Direction == Backward {
		return nil // it turned while somebody looked
	}
	if !reports(e.Kind, s.Phase) {
		return fmt.Errorf("%s of step %s, which is %s: %w", e.Kind, e.Step, s.Phase, ErrGrammar)
	}
	switch e.Kind {
	case StepSaved:
		if s.Facts == nil {
			s.Facts = map[string]json.RawMessage{}
		}
		s.Facts[e.Key] = e.Data
	case StepDone:
		s.Err, s.Code, s.Permanent, s.Resumed = "", "", false, false
		m.set(i, Done, "")
	case StepFailed, StepLost:
		s.Permanent, s.Code = e.Permanent || e.Kind == StepLost, e.Code
		m.set(i, Failed, e.Err)
	case StepCompensated:
		// Reverting one run leaves what an earlier one may have left, and
		// the facts that its compensation needs.
		if m.p.Scope == "" || !s.Prior {
			s.Prior, s.Facts = false, nil
		}
		s.Err, s.Code, s.Permanent = "", "", false
		m.set(i, Compensated, "")
	case StepKept:
		s.Err, s.Code, s.Permanent, s.Resumed = "", "", false, false
		m.p.Kept = append(slices.Clone(m.p.Kept), e.Step)
		m.set(i, Done, "")
	default:
		s.Permanent, s.Resumed, s.Code = e.Permanent, false, e.Code
		m.set(i, CompensationFailed, e.Err)
	}
	return nil
}

// reports is the grammar: whether that can be reported of a step in that phase.
func reports(kind EventKind, phase Phase) bool {
	switch kind {
	case StepSaved:
		return phase.Running()
	case StepDone, StepFailed:
		return phase == Started
	case StepLost:
		return phase == Done
	case StepCompensated, StepCompensationFailed, StepKept:
		return phase == Compensating
	default:
		return false
	}
}

// set moves step i to a phase and notes it for the history.
func (m *machine) set(i int, phase Phase, err string) {
	s := &m.p.Steps[i]
	s.Phase = phase
	attempt := s.Attempt
	switch phase {
	case Started, Compensating:
		s.StartedAt, s.EndedAt = m.at, time.Time{}
	default:
		s.EndedAt = m.at
	}
	if phase.Back() {
		attempt = s.Compensation
	}
	if err != "" {
		s.Err = err
	}
	entry := Entry{Step: m.plan.Steps[i].Name, Phase: phase, Attempt: attempt, Err: err}
	if title := m.plan.Steps[i].Title(phase); title != entry.Step {
		entry.Title = title
	}
	m.entries = append(m.entries, entry)
}

// runForward begins a run over what earlier runs left.
func (m *machine) runForward(e Event) error {
	for _, name := range e.Steps {
		if m.plan.Index(name) < 0 {
			return fmt.Errorf("missing step %q is not in the plan: %w", name, ErrGrammar)
		}
	}
	m.p.Direction, m.p.Scope, m.p.Kept, m.p.Cause, m.p.Halted = Forward, e.Scope, nil, nil, false
	for i := range m.p.Steps {
		s := &m.p.Steps[i]
		lost := s.Phase == Done && slices.Contains(e.Steps, m.plan.Steps[i].Name)
		if s.Phase == Done && !lost {
			continue
		}
		half := s.Phase.Running() || s.Phase == Failed || s.Phase == CompensationFailed || s.Phase == PhaseAbandoned
		s.Prior, s.Resumed = s.Prior || lost || half, lost || half
		s.Phase, s.Attempt, s.Compensation, s.Permanent, s.Err, s.Code = Planned, 0, 0, false, "", ""
	}
	return nil
}

// runBackward begins a teardown, whatever was going on before. What is done is kept if
// that is asked for; of the rest only its step knows whether it can be, see StepKept.
func (m *machine) runBackward(e Event) error {
	m.p.Direction, m.p.Scope, m.p.Kept, m.p.Cause = Backward, "", nil, nil
	for i, spec := range m.plan.Steps {
		if m.p.Steps[i].Phase == Done && slices.Contains(e.Steps, spec.Name) {
			m.p.Kept = append(m.p.Kept, spec.Name)
		}
	}
	m.resume(nil)
	if e.Err != "" {
		m.p.Cause = &Cause{Step: e.Step, Err: e.Err, Code: e.Code}
	}
	for i := range m.p.Steps {
		s := &m.p.Steps[i]
		s.Compensation, s.Permanent = 0, false
	}
	return m.abandon(e.Abandon)
}

// abandon gives steps up. What was abandoned before stays so: the run that did it may
// have been cut off, or have failed at another step.
func (m *machine) abandon(names []string) error {
	for _, name := range names {
		i := m.plan.Index(name)
		if i < 0 {
			return fmt.Errorf("step %q is to be abandoned, and is not in the plan: %w", name, ErrGrammar)
		}
		s := &m.p.Steps[i]
		switch s.Phase {
		case PhaseAbandoned:
			continue
		case CompensationFailed:
			m.set(i, PhaseAbandoned, s.Err)
			m.entries[len(m.entries)-1].Facts = maps.Clone(s.Facts)
		default:
			return fmt.Errorf("step %s is to be abandoned, and is %s: %w", name, s.Phase, ErrGrammar)
		}
	}
	return nil
}

// resume puts what was running back to where the new owner starts it again.
func (m *machine) resume(missing []string) {
	m.p.Halted = false
	for i := range m.p.Steps {
		s := &m.p.Steps[i]
		lost := s.Phase == Done && slices.Contains(missing, m.plan.Steps[i].Name)
		switch {
		case (s.Phase == Started || lost) && m.p.Direction == Forward:
			s.Phase, s.Prior, s.Resumed = Planned, true, true
		case s.Phase == Started, s.Phase == Compensating:
			s.Phase, s.Resumed = Failed, true
		case s.Phase == CompensationFailed:
			s.Compensation, s.Permanent = 0, false
		}
	}
}

// park counts what was being compensated as failed. Nobody has seen those attempts end:
// the next owner waits for them.
func (m *machine) park(err string) {
	for i := range m.p.Steps {
		if s := &m.p.Steps[i]; s.Phase == Compensating {
			s.Permanent, s.Resumed, s.Code = true, true, ""
			m.set(i, CompensationFailed, err)
		}
	}
}

// turn gives up going forward. The attempts that are running are cancelled;
// they report before anything that they need is compensated.
func (m *machine) turn(cause *Cause) {
	if m.p.Direction == Backward {
		return
	}
	m.p.Direction, m.p.Cause, m.p.Halted = Backward, cause, false
	m.cancelRunning()
}

// cancelRunning cancels the attempts of a run that goes forward no more.
func (m *machine) cancelRunning() {
	for i := range m.p.Steps {
		if m.p.Steps[i].Phase == Started {
			m.actions = append(m.actions, Action{Kind: ActCancel, Step: m.plan.Steps[i].Name})
		}
	}
}
