package session

import (
	"fmt"
	"slices"
	"strings"

	"ecluse/fsm"
	"ecluse/saga"
)

// The model: everything that matters about one slug, several processes that run
// commands on it, and the world that their steps change. The record is moved by
// [Transition], the function that the product runs, and by nothing else; which
// claim a command makes is asked of the functions that the Manager asks. What the
// model adds is the world between two transactions: attempts that have got half
// of their work done, crashes, programs that outlive their owner, signals, users.
//
// A state is a small comparable value. Records are interned: two that differ only
// in what no decision looks at (times, texts, owners, the names of runs) are one.

const (
	maxProcs   = 3
	maxModel   = 3 // steps
	maxOrphans = 4
)

// mstate is one state of the model.
type mstate struct {
	row     uint32 // in model.rows; 0 is no row
	epoch   uint8  // of the record; 1 where only equality matters
	world   [maxModel]uint8
	damaged uint8 // steps whose effect was damaged from outside since it was made
	procs   [maxProcs]mproc
	orphans [maxOrphans]orphan
	// What may still happen.
	crashes, fails, damages, signals uint8
}

// The extents of an effect.
const (
	none uint8 = iota
	half
	whole
)

// mproc is a process. Its place in its command is mode.
type mproc struct {
	mode    mode
	verb    uint8 // in model.verbs
	seen    uint8 // the epoch that it saw; unseen marks one that has passed
	way     uint8 // the claim that it decided on, in claims
	missing uint8 // done steps that it found missing
	haunted uint8 // steps that it has to wait for
	fence   uint8
	flags   uint8
	tries   [maxModel]try
}

type mode uint8

const (
	idle mode = iota
	locked
	looked
	draining
	working
)

// unseen is an epoch that no record has.
const unseen = 255

// The flags of a process.
const (
	softStop uint8 = 1 << iota // asked to stop, and not heeded yet
	stopped                    // heeded
	looking                    // the last look is under way
	again                      // another claim is to follow under the same lock
	owns                       // nobody has claimed since (what the fence should say)
)

// try is an attempt: its kind, its stage, and whether it is cancelled.
type try uint8

const (
	doing      try = 1
	undoing    try = 2
	kindMask   try = 3
	cancelled  try = 4
	stageShift     = 3
)

// The stages of an attempt.
const (
	waiting   = iota // nothing was started
	spawned          // its program runs and has done nothing
	halfway          // its program runs and has done half
	succeeded        // ended, not reported
	failing          // ended, not reported
)

func (t try) stage() int       { return int(t >> stageShift) }
func (t try) at(stage int) try { return t&(kindMask|cancelled) | try(stage)<<stageShift }
func (t try) kind() try        { return t & kindMask }
func (t try) running() bool    { return t != 0 && (t.stage() == spawned || t.stage() == halfway) }
func (t try) goal() uint8 {
	if t.kind() == doing {
		return whole
	}
	return none
}

// orphan is a program whose owner is dead: an attempt and the step it is at. It
// holds the lock of its step and direction, which is how it is found.
type orphan struct {
	step uint8
	try  try
}

// model is what does not change: the plan, the commands, and the variant.
type model struct {
	plan  saga.Plan
	verbs []mverb
	procs int
	variant

	rows  []mrow
	index map[string]uint32
	memo  map[mcall]manswer
}

// mverb is a command with its options.
type mverb struct {
	verb Verb
	opts Options
	mode Mode // of recover
	// abandons: it abandons every step that may be.
	abandons bool
}

// mrow is an interned record with what the invariants ask of it.
type mrow struct {
	s         Session
	haunted   uint8
	remaining uint8
	done      uint8
	kept      uint8
}

// variant breaks the model on purpose. The zero value is the product.
type variant struct {
	// transition stands in for Transition, where set.
	transition func(Session, Event, View) (Result, error)
	// noLock: a command takes a session over without its owner lock.
	noLock bool
	// noDrain: nobody waits for orphans.
	noDrain bool
	// drainInDoubt: only what the record says is running is waited for.
	drainInDoubt bool
	// noFence: whatever an owner that was superseded writes is taken.
	noFence bool
	// reuseEpochs: a new session of the slug begins at epoch 1 again, and runs
	// are not told apart by an id.
	reuseEpochs bool
	// noOrphans: whatever a killed process has started dies with it. Not a fault,
	// but a smaller world.
	noOrphans bool
	// unchecked names classes of violations that are not looked for.
	unchecked []string
}

// newModel makes a model with the product's own rules.
func newModel(plan saga.Plan, procs int, v variant, verbs ...mverb) *model {
	if v.transition == nil {
		v.transition = Transition
	}
	m := &model{plan: plan, procs: procs, variant: v, verbs: verbs, index: map[string]uint32{}, memo: map[mcall]manswer{}}
	m.intern(Session{Key: testKey, State: fsm.Absent})
	return m
}

// initial is the state before anything was ever done.
func initial(crashes, fails, damages, signals uint8) mstate {
	return mstate{crashes: crashes, fails: fails, damages: damages, signals: signals}
}

// claims are the ways in which a process can take a session over.
var claims = []EventKind{ClaimUp, ClaimDown, ClaimResume, ClaimRollback}

// mcall is a question to Transition and manswer its answer, remembered because
// many states of the model share a record.
type mcall struct {
	row       uint32
	kind      EventKind
	fresh     bool // seen or fence is the record's
	missing   uint8
	verb      uint8
	event     saga.EventKind
	step      int8
	permanent bool
	lost      uint8
}

type manswer struct {
	row     uint32
	actions []saga.Action
	outcome saga.Outcome
	fault   string
	err     error
}

// The epochs as Transition sees them: those of the record, of somebody who was
// superseded, and the next.
const (
	oldEpoch  = 9
	rowEpoch  = 10
	nextEpoch = 11
)

// ask asks Transition, or remembers what it said.
func (m *model) ask(c mcall) manswer {
	if a, ok := m.memo[c]; ok {
		return a
	}
	before := m.rows[c.row].s
	result, err := m.transition(before, m.event(c), View{NextEpoch: nextEpoch})
	a := manswer{err: err}
	if err == nil {
		a.fault = m.judge(before, result, c)
		a.actions, a.outcome = result.Decision.Actions, result.Decision.Outcome
		a.row = 0
		if result.Session.State != fsm.Absent {
			a.row = m.intern(m.rename(result.Session))
		}
	}
	m.memo[c] = a
	return a
}

// event is the event that a call stands for.
func (m *model) event(c mcall) Event {
	e := Event{Kind: c.kind, Fence: Fence{rowEpoch, "r"}, Seen: m.rows[c.row].s.Epoch, RunID: "new", Options: m.verbs[c.verb].opts}
	if !c.fresh {
		e.Fence, e.Seen = Fence{oldEpoch, "r"}, oldEpoch
	}
	if slices.Contains([]EventKind{ClaimResume, ClaimDown}, c.kind) && m.verbs[c.verb].verb != VerbDown {
		e.Options = m.rows[c.row].s.Run.Options // as the Manager does
	}
	if m.verbs[c.verb].abandons && c.kind == ClaimDown {
		e.Options.Abandon = m.rows[c.row].s.Progress.Uncompensated(m.plan)
	}
	for i, spec := range m.plan.Steps {
		if c.missing&(1<<i) != 0 {
			e.Missing = append(e.Missing, spec.Name)
		}
		if c.lost&(1<<i) != 0 {
			e.Saga = append(e.Saga, saga.Event{Kind: saga.StepLost, Step: spec.Name, Err: "lost"})
		}
	}
	if c.kind == ClaimUp && c.row == 0 {
		e.New = &Session{Key: testKey, ID: "id", Slot: 1, Plan: m.plan}
		e.Wants = []Want{{Name: "p", Candidates: []int{1}}}
	}
	if c.kind == Journal && c.event != "" {
		tell := saga.Event{Kind: c.event, Err: "x", Permanent: c.permanent}
		if c.step >= 0 {
			tell.Step = m.plan.Steps[c.step].Name
		}
		e.Saga = append(e.Saga, tell)
	}
	return e
}

// judge checks what one transition may never do.
func (m *model) judge(before Session, result Result, c mcall) string {
	after := result.Session
	switch {
	case c.kind != Journal && c.kind != AskStop && after.Epoch <= before.Epoch:
		return "epoch: a claim does not raise it"
	case c.kind == Journal && after.Epoch != before.Epoch:
		return "epoch: the journal moves it"
	case !c.fresh && !m.noFence:
		return "superseded: a process that was superseded wrote"
	case after.Run.ID == before.Run.ID && before.Progress.Direction == saga.Backward && after.Progress.Direction == saga.Forward:
		return "direction: a run turned back forward"
	case before.State == fsm.PendingDown && after.State == fsm.PendingUp && c.kind == ClaimResume:
		return "direction: a teardown was taken up forward"
	case before.Settled && after.State == fsm.Absent && before.Run.Verb != VerbDown && c.kind == Journal:
		return "gone: a session that somebody relied on is gone, and nobody asked for it"
	}
	return ""
}

// rename gives the current run the name r, and all others the name old.
func (m *model) rename(s Session) Session {
	rename := func(run string) string {
		switch run {
		case "":
			return ""
		case s.Run.ID:
			return "r"
		default:
			return "old"
		}
	}
	s.Progress.Steps = slices.Clone(s.Progress.Steps)
	for i := range s.Progress.Steps {
		step := &s.Progress.Steps[i]
		step.Run = rename(step.Run)
		policy := m.plan.Steps[i].Policy
		// Beyond the last retry the number of attempts decides nothing.
		step.Attempt = min(step.Attempt, policy.Retries+1)
		step.Compensation = min(step.Compensation, policy.CompensateRetries+1)
	}
	s.Progress.Scope = rename(s.Progress.Scope)
	s.Run.ID, s.Epoch = "r", rowEpoch
	return s
}

// intern gives a record its number.
func (m *model) intern(s Session) uint32 {
	key := essence(s)
	if id, ok := m.index[key]; ok {
		return id
	}
	row := mrow{s: s}
	for i, spec := range m.plan.Steps {
		if s.State == fsm.Absent {
			break
		}
		bit := uint8(1) << i
		if slices.Contains(s.Progress.Kept, spec.Name) {
			row.kept |= bit
		}
		if s.Progress.Steps[i].Phase == saga.Done {
			row.done |= bit
		}
		if slices.Contains(s.Progress.Remaining(m.plan), spec.Name) {
			row.remaining |= bit
		}
		haunted := s.Progress.Haunted(m.plan)
		if m.drainInDoubt {
			haunted = s.Progress.InDoubt(m.plan)
		}
		if slices.Contains(haunted, spec.Name) {
			row.haunted |= bit
		}
	}
	id := uint32(len(m.rows))
	m.rows, m.index[key] = append(m.rows, row), id
	return id
}

// essence is what decisions look at of a record. Two records of one essence have
// the same future.
func essence(s Session) string {
	if s.State == fsm.Absent {
		return string(fsm.Absent)
	}
	var b strings.Builder
	p, r := s.Progress, s.Run
	fmt.Fprint(&b, s.State, s.Settled, s.Slot != 0, len(s.Ports) != 0, " ", r.Verb, r.From, r.Takeovers, r.Options, r.Stop != nil, r.Stop != nil && r.Stop.Halt,
		" ", p.Direction, p.Scope == r.ID, p.Scope == "", p.Kept, p.HaltOnFailure, p.Halted)
	if p.Cause != nil {
		fmt.Fprint(&b, " cause ", p.Cause.Step, p.Cause.Code)
	}
	if s.Failure != nil {
		fmt.Fprint(&b, " failure ", s.Failure.Step, s.Failure.Code)
	}
	for _, step := range p.Steps {
		fmt.Fprint(&b, " | ", step.Phase, step.Attempt, step.Compensation, step.Run == r.ID, step.Prior, step.Resumed, step.Permanent)
	}
	return b.String()
}
