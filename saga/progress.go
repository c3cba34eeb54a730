package saga

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Phase is how far a step has come. Its text is what is stored on disk.
type Phase string

// The phases, in the order in which a step can pass through them. A step that is
// Started or Compensating after a crash is in doubt: its effect may be there
// wholly, in part, or not at all.
const (
	Planned            Phase = "planned"
	Started            Phase = "started"
	Done               Phase = "done"
	Failed             Phase = "failed"
	Compensating       Phase = "compensating"
	Compensated        Phase = "compensated"
	CompensationFailed Phase = "compensation-failed"
	// PhaseAbandoned: its compensation failed, and somebody has decided to go on
	// without it. What it leaves is theirs from then on; its facts stay.
	PhaseAbandoned Phase = "abandoned"
)

// Known reports whether p is a phase of this version.
func (p Phase) Known() bool {
	switch p {
	case Planned, Started, Done, Failed, Compensating, Compensated, CompensationFailed, PhaseAbandoned:
		return true
	}
	return false
}

// Running reports whether somebody is, or was when they were cut off, at work
// on a step of that phase.
func (p Phase) Running() bool { return p == Started || p == Compensating }

// Back reports whether a step of that phase is, or was last, being compensated.
func (p Phase) Back() bool {
	return p == Compensating || p == Compensated || p == CompensationFailed || p == PhaseAbandoned
}

// Direction is which way a run goes.
type Direction string

// The directions. A run turns from Forward to Backward at most once.
const (
	Forward  Direction = "forward"
	Backward Direction = "backward"
)

// StepState is the durable state of one step.
type StepState struct {
	Phase Phase `json:"phase"`
	// Attempt counts the attempts of Do in the current run, Compensation
	// those of Compensate; both are raised when the attempt starts, so one
	// that was cut off counts.
	Attempt      int `json:"attempt,omitempty"`
	Compensation int `json:"compensation,omitempty"`
	// Run is the run that last started the step.
	Run string `json:"run,omitempty"`
	// Prior is set on a step that is to be made (again) while something of
	// an earlier attempt may still be there: it was done and found missing,
	// or cut off. A full teardown compensates it even if nobody begins it
	// again; reverting only a later run leaves it.
	Prior bool `json:"prior,omitempty"`
	// Resumed is set while the attempt follows one that was cut off.
	Resumed bool `json:"resumed,omitempty"`
	// Permanent is set when the last failure is not worth a retry.
	Permanent bool `json:"permanent,omitempty"`
	// Facts are what the step saved, by key.
	Facts map[string]json.RawMessage `json:"facts,omitempty"`
	// Err is the last failure of Do or Compensate, Code the word for it, if the
	// step has one; see [Coded].
	Err       string    `json:"error,omitempty"`
	Code      string    `json:"code,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// Cause says why a run turned back or halted.
type Cause struct {
	// Step that failed; empty when the run was cancelled.
	Step string `json:"step,omitempty"`
	// Err in full, as the step or whoever cancelled reported it.
	Err string `json:"error"`
	// Code is the own word for it of the step, see [Coded], or of the canceller
	// ("interrupted"), handed through.
	Code string `json:"code,omitempty"`
}

// Progress is the durable state of a plan: where each step stands, and which
// way the run goes. It is a value: [Next] returns a new one.
type Progress struct {
	Direction Direction `json:"direction"`
	// Scope, when set, limits compensation to the steps which that run began.
	Scope string `json:"scope,omitempty"`
	// Kept names steps that a run which goes back leaves as they are.
	Kept []string `json:"kept,omitempty"`
	// HaltOnFailure makes a failing step halt the run where it stands
	// instead of turning it back.
	HaltOnFailure bool `json:"halt_on_failure,omitempty"`
	// Halted: start nothing new; the run ends when the steps in hand do.
	Halted bool        `json:"halted,omitempty"`
	Cause  *Cause      `json:"cause,omitempty"`
	Steps  []StepState `json:"steps"` // as in the plan
}

// NewProgress is the progress of a plan of which nothing has been done.
func NewProgress(p Plan) Progress {
	steps := make([]StepState, len(p.Steps))
	for i := range steps {
		steps[i].Phase = Planned
	}
	return Progress{Direction: Forward, Steps: steps}
}

// clone copies what [Next] may change.
func (p Progress) clone() Progress {
	p.Steps = slices.Clone(p.Steps)
	for i := range p.Steps {
		p.Steps[i].Facts = maps.Clone(p.Steps[i].Facts)
	}
	return p
}

// InDoubt lists the steps that somebody is, or was when they were cut off, at
// work on.
func (p Progress) InDoubt(plan Plan) []string {
	var names []string
	for i, s := range p.Steps {
		if s.Phase.Running() {
			names = append(names, plan.Steps[i].Name)
		}
	}
	return names
}

// Haunted lists the steps at which a program of an owner that died may still be
// at work: those in doubt, and those that were in doubt when they were taken over, or
// parked, and have not been attempted since. The next owner waits for it before it acts.
func (p Progress) Haunted(plan Plan) []string {
	var names []string
	for i, s := range p.Steps {
		waits := s.Phase == Planned || s.Phase == Failed || s.Phase == CompensationFailed || s.Phase == PhaseAbandoned
		if s.Phase.Running() || waits && s.Resumed {
			names = append(names, plan.Steps[i].Name)
		}
	}
	return names
}

// Remaining lists the steps whose effect, or a part of it, may be there.
func (p Progress) Remaining(plan Plan) []string {
	p.Scope = ""
	return p.Outstanding(plan)
}

// Outstanding lists the steps that a run which goes back has yet to compensate:
// what is Remaining within its scope.
func (p Progress) Outstanding(plan Plan) []string {
	var names []string
	for i := range p.Steps {
		if p.begun(plan, i) {
			names = append(names, plan.Steps[i].Name)
		}
	}
	return names
}

// Uncompensated lists the steps whose compensation failed when it was last tried, those
// included at which a run was parked. They,
// and no others, can be abandoned.
func (p Progress) Uncompensated(plan Plan) []string {
	var names []string
	for i, s := range p.Steps {
		if s.Phase == CompensationFailed {
			names = append(names, plan.Steps[i].Name)
		}
	}
	return names
}

// begun reports whether compensation must (still) deal with step i.
func (p Progress) begun(plan Plan, i int) bool {
	s := p.Steps[i]
	if slices.Contains(p.Kept, plan.Steps[i].Name) {
		return false
	}
	switch s.Phase {
	case Planned: // perhaps cut off, and not begun again since
		return s.Prior && (p.Scope == "" || s.Run == p.Scope)
	case PhaseAbandoned:
		return false
	case Compensated:
		return s.Prior && p.Scope == ""
	default:
		return p.Scope == "" || s.Run == p.Scope
	}
}

// satisfied reports whether what needs step i may start.
func (p Progress) satisfied(plan Plan, i int) bool {
	s := p.Steps[i]
	return s.Phase == Done || s.Phase == Failed && plan.Steps[i].Policy.BestEffort && !p.retries(plan, i)
}

// retries reports whether the failed step i has attempts of Do left.
func (p Progress) retries(plan Plan, i int) bool {
	s := p.Steps[i]
	return s.Phase == Failed && !s.Permanent && s.Attempt <= plan.Steps[i].Policy.Retries
}
