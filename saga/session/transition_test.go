package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/fsm"
	"ecluse/saga"
)

// testPlan has a step that a teardown can keep, and two side by side on top of it.
var testPlan = saga.Plan{Steps: []saga.Spec{
	{Name: "tree", Kind: "test", Keep: true},
	{Name: "web", Kind: "test", Needs: []string{"tree"}},
	{Name: "db", Kind: "test", Needs: []string{"tree"}},
}}

var testKey = Key{Repo: "/r/.git", Slug: "feat-x"}

// life is one slug's record and what happens to it.
type life struct {
	t    *testing.T
	s    Session
	view View
	runs int
	last Result
}

func newLife(t *testing.T) *life {
	return &life{t: t, s: Session{Key: testKey, State: fsm.Absent}}
}

// try hands an event to Transition without taking the answer.
func (l *life) try(e Event) (Result, error) {
	v := l.view
	v.NextEpoch = l.view.NextEpoch + 1
	return Transition(l.s, e, v)
}

// on takes the answer to an event.
func (l *life) on(e Event) *life {
	l.t.Helper()
	before := fmt.Sprintf("%+v", l.s)
	result, err := l.try(e)
	if err != nil {
		l.t.Fatalf("%s while %s: %v", e.Kind, l.s.State, err)
	}
	if after := fmt.Sprintf("%+v", l.s); after != before {
		l.t.Fatalf("%s changed the record that it was given", e.Kind)
	}
	l.last, l.s = result, result.Session
	l.view.NextEpoch = max(l.view.NextEpoch, l.s.Epoch)
	if l.s.State == fsm.Absent {
		l.s = Session{Key: testKey, State: fsm.Absent} // the row is gone
	}
	return l
}

// claimEvent makes a claim of a process that saw the record as it is.
func (l *life) claimEvent(kind EventKind, missing ...string) Event {
	l.runs++
	e := Event{Kind: kind, At: time.Unix(1, 0), Seen: l.s.Epoch, RunID: fmt.Sprint("run", l.runs), Owner: Owner{PID: l.runs, Verb: VerbUp}, Missing: missing}
	if kind == ClaimUp && l.s.State == fsm.Absent {
		e.New = &Session{Key: testKey, ID: "id", Slot: 3, Plan: testPlan, Branch: "feat/x"}
		e.Wants = []Want{{Name: "web", Candidates: []int{4000, 4001}}}
	}
	return e
}

func (l *life) claim(kind EventKind, missing ...string) *life {
	l.t.Helper()
	return l.on(l.claimEvent(kind, missing...))
}

// tell is what the owner's engine reports.
func (l *life) tell(events ...saga.Event) *life {
	l.t.Helper()
	return l.on(Event{Kind: Journal, Fence: Fence{l.s.Epoch, l.s.Run.ID}, Saga: events})
}

func did(steps ...string) (events []saga.Event) {
	for _, step := range steps {
		events = append(events, saga.Event{Kind: saga.StepDone, Step: step})
	}
	return events
}

func undone(steps ...string) (events []saga.Event) {
	for _, step := range steps {
		events = append(events, saga.Event{Kind: saga.StepCompensated, Step: step})
	}
	return events
}

func broke(step string) saga.Event {
	return saga.Event{Kind: saga.StepFailed, Step: step, Err: step + " broke"}
}

// want compares the state.
func (l *life) want(state fsm.State) *life {
	l.t.Helper()
	if got := l.last.Session.State; got != state {
		l.t.Fatalf("the session is %s; want %s (%+v)", got, state, l.last.Session.Failure)
	}
	return l
}

// actions lists what the last decision asks for.
func (l *life) actions() string {
	var out []string
	for _, a := range l.last.Decision.Actions {
		out = append(out, strings.TrimSpace(string(a.Kind)+" "+a.Step))
	}
	return strings.Join(out, ", ")
}

func (l *life) wantActions(want string) *life {
	l.t.Helper()
	if got := l.actions(); got != want {
		l.t.Fatalf("to do: %q; want %q", got, want)
	}
	return l
}

// up brings a session up.
func (l *life) up() *life {
	l.t.Helper()
	l.claim(ClaimUp).tell(did("tree")...).tell(did("web", "db")...)
	return l.tell(saga.Event{Kind: saga.Verified}).want(fsm.Active)
}

// inState brings a fresh slug into a state.
func inState(t *testing.T, state fsm.State) *life {
	t.Helper()
	l := newLife(t)
	switch state {
	case fsm.PendingUp:
		l.claim(ClaimUp)
	case fsm.Active:
		l.up()
	case fsm.PendingDown:
		l.up().claim(ClaimDown)
	case fsm.Stopped:
		l.up()
		e := l.claimEvent(ClaimDown)
		e.Options.KeepWorktree = true
		l.on(e).tell(undone("web", "db")...)
	case fsm.Failed:
		e := l.claimEvent(ClaimUp)
		e.Options.KeepOnFailure = true
		l.on(e).tell(broke("tree"))
	}
	if l.s.State != state {
		t.Fatalf("%s; want %s", l.s.State, state)
	}
	return l
}

// Every event in every state: where it leads, or that it is refused.
func TestEveryEventInEveryState(t *testing.T) {
	const no = fsm.State("no")
	table := map[fsm.State]map[EventKind]fsm.State{
		fsm.Absent: {ClaimUp: fsm.PendingUp, ClaimDown: no, ClaimResume: no, ClaimRollback: no, Journal: no, Lease: no, AskStop: no},
		fsm.PendingUp: {
			ClaimUp: fsm.PendingUp, ClaimDown: fsm.PendingDown, ClaimResume: fsm.PendingUp, ClaimRollback: fsm.PendingDown,
			Journal: fsm.PendingUp, Lease: fsm.PendingUp, AskStop: fsm.PendingUp,
		},
		fsm.Active: {ClaimUp: fsm.PendingUp, ClaimDown: fsm.PendingDown, ClaimResume: no, ClaimRollback: no, Journal: no, Lease: no, AskStop: no},
		fsm.PendingDown: {
			ClaimUp: no, ClaimDown: fsm.PendingDown, ClaimResume: fsm.PendingDown, ClaimRollback: no,
			Journal: fsm.PendingDown, Lease: fsm.PendingDown, AskStop: no,
		},
		fsm.Stopped: {ClaimUp: fsm.PendingUp, ClaimDown: fsm.PendingDown, ClaimResume: no, ClaimRollback: no, Journal: no, Lease: no, AskStop: no},
		fsm.Failed:  {ClaimUp: fsm.PendingUp, ClaimDown: fsm.PendingDown, ClaimResume: no, ClaimRollback: no, Journal: no, Lease: no, AskStop: no},
	}
	for _, state := range fsm.States() {
		for kind, want := range table[state] {
			l := inState(t, state)
			e := l.claimEvent(kind)
			e.Fence = Fence{l.s.Epoch, l.s.Run.ID}
			result, err := l.try(e)
			switch {
			case want == no && err == nil:
				t.Errorf("%s while %s led to %s; want a refusal", kind, state, result.Session.State)
			case want != no && (err != nil || result.Session.State != want):
				t.Errorf("%s while %s: %s, %v; want %s", kind, state, result.Session.State, err, want)
			}
		}
		if len(table[state]) != 7 {
			t.Errorf("%s: %d events", state, len(table[state]))
		}
	}
}

func TestARecordOfANewerVersionIsRefused(t *testing.T) {
	l := inState(t, fsm.Active)
	l.s.State = "hibernating"
	if _, err := l.try(l.claimEvent(ClaimDown)); err == nil {
		t.Error("taken")
	}
	l = inState(t, fsm.PendingUp)
	if _, err := l.try(Event{Kind: "hibernate"}); err == nil {
		t.Error("taken")
	}
}

func TestANewSessionHoldsItsSlotAndPorts(t *testing.T) {
	l := newLife(t)
	l.view.Slots, l.view.Ports = map[int]string{4: "other"}, map[int]string{4000: "other"}
	e := l.claimEvent(ClaimUp)
	e.Wants = append(e.Wants, Want{Name: "db", Candidates: []int{4001, 4002}})
	l.on(e).want(fsm.PendingUp).wantActions("do tree")
	if want := map[string]int{"web": 4001, "db": 4002}; !maps.Equal(l.s.Ports, want) || l.s.Slot != 3 || l.s.Epoch != 1 {
		t.Errorf("%+v", l.s)
	}
	// A step finds that it needs another one; what it holds already stays.
	l.on(Event{Kind: Lease, Fence: Fence{1, "run1"}, Wants: []Want{{Name: "web", Candidates: []int{9}}, {Name: "x", Candidates: []int{4002, 9}}}})
	if want := map[string]int{"web": 4001, "db": 4002, "x": 9}; !maps.Equal(l.s.Ports, want) {
		t.Errorf("%v", l.s.Ports)
	}

	l = newLife(t)
	l.view.Slots = map[int]string{3: "other"}
	if _, err := l.try(l.claimEvent(ClaimUp)); !errors.Is(err, ErrStale) {
		t.Errorf("a taken slot: %v", err)
	}
	l.view.Slots, l.view.Ports = nil, map[int]string{4000: "other", 4001: "another"}
	if _, err := l.try(l.claimEvent(ClaimUp)); !errors.Is(err, ErrExhausted) {
		t.Errorf("no port: %v", err)
	}
	e = l.claimEvent(ClaimUp)
	e.New.Plan.Steps = testPlan.Steps[1:]
	if _, err := l.try(e); err == nil {
		t.Error("a plan that cannot be carried out was taken")
	}
	e.New = nil
	if _, err := l.try(e); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing to make: %v", err)
	}
}

// Slot and leases stay with the session until nothing of it is left.
func TestSlotAndPortsAreHeldToTheEnd(t *testing.T) {
	l := newLife(t).up().claim(ClaimDown)
	for _, step := range []string{"web", "db"} {
		if l.tell(undone(step)...); l.s.Slot != 3 || len(l.s.Ports) != 1 {
			t.Fatalf("after %s: %+v", step, l.s)
		}
	}
	l.tell(saga.Event{Kind: saga.StepCompensationFailed, Step: "tree"}).want(fsm.Failed)
	if l.s.Slot != 3 || len(l.s.Ports) != 1 || l.s.Failure.Code != CodeCompensationFailed || l.s.Failure.Step != "tree" {
		t.Errorf("%+v", l.s)
	}
}

func TestFencing(t *testing.T) {
	l := newLife(t).claim(ClaimUp)
	old := Fence{l.s.Epoch, l.s.Run.ID}
	l.claim(ClaimUp) // another process takes it over
	if l.s.Run.ID != old.Run || l.s.Epoch <= old.Epoch {
		t.Fatalf("%+v", l.s)
	}
	for _, e := range []Event{
		{Kind: Journal, Fence: old, Saga: did("tree")},
		{Kind: Journal, Fence: Fence{l.s.Epoch, "another run"}, Saga: did("tree")},
		{Kind: Lease, Fence: old},
		{Kind: Lease, Fence: Fence{l.s.Epoch + 1, old.Run}},
	} {
		if _, err := l.try(e); !errors.Is(err, ErrSuperseded) {
			t.Errorf("%s by %v: %v", e.Kind, e.Fence, err)
		}
	}
	for _, kind := range []EventKind{ClaimUp, ClaimDown, ClaimResume, ClaimRollback, AskStop} {
		e := l.claimEvent(kind)
		e.Seen = old.Epoch
		if _, err := l.try(e); !errors.Is(err, ErrStale) {
			t.Errorf("%s by one who saw epoch %d: %v", kind, e.Seen, err)
		}
	}
}

// The owner of a run that has ended writes nothing more, though nobody has taken
// the session over.
func TestAnEndedRunIsFencedToo(t *testing.T) {
	for _, state := range []fsm.State{fsm.Active, fsm.Stopped, fsm.Failed} {
		l := inState(t, state)
		for _, e := range []saga.Event{{Kind: saga.Turn, Err: "late"}, {Kind: saga.Verified}, {Kind: saga.Halt}} {
			if r, err := l.try(Event{Kind: Journal, Fence: Fence{l.s.Epoch, l.s.Run.ID}, Saga: []saga.Event{e}}); !errors.Is(err, ErrSuperseded) {
				t.Errorf("%s while %s: %+v, %v", e.Kind, state, r.Decision, err)
			}
		}
	}
}

// Each claim gives a number above all that were given, and one that is not is
// refused.
func TestEpochsRise(t *testing.T) {
	l := newLife(t)
	var seen []uint64
	claim := func(kind EventKind) { l.claim(kind); seen = append(seen, l.last.Session.Epoch) }
	claim(ClaimUp)
	claim(ClaimResume)
	claim(ClaimRollback)
	claim(ClaimResume)
	l.tell(undone("tree")...).want(fsm.Absent)
	claim(ClaimUp) // the same slug, a new session
	claim(ClaimDown)
	if !slices.IsSorted(seen) || len(slices.Compact(seen)) != 6 {
		t.Error(seen)
	}
	l.view.NextEpoch = l.s.Epoch - 1
	if _, err := l.try(l.claimEvent(ClaimDown)); err == nil {
		t.Error("an epoch was given twice")
	}
}

func TestAFreshUpThatFailsIsGone(t *testing.T) {
	l := newLife(t).claim(ClaimUp).tell(did("tree")...).tell(broke("web")).want(fsm.PendingDown).wantActions("cancel db, compensate web")
	l.tell(broke("db")).wantActions("compensate db")
	l.tell(undone("web", "db")...).tell(undone("tree")...).want(fsm.Absent)
	if f := l.last.Session.Failure; f == nil || f.Step != "web" || f.Code != CodeStepFailed || f.Message != "web broke" {
		t.Errorf("%+v", f)
	}
	// The first transition of a run that never got anywhere.
	newLife(t).claim(ClaimUp).claim(ClaimRollback).want(fsm.PendingDown).tell(undone("tree")...).want(fsm.Absent)
}

// A rollback that a later process finishes reports the original error.
func TestTheOriginalErrorSurvivesItsOwner(t *testing.T) {
	l := newLife(t).claim(ClaimUp).tell(did("tree")...).tell(did("db")...).tell(broke("web")).want(fsm.PendingDown)
	l.claim(ClaimResume).claim(ClaimResume)
	l.tell(undone("web", "db")...).tell(undone("tree")...).want(fsm.Absent)
	if f := l.last.Session.Failure; f == nil || f.Step != "web" || f.Message != "web broke" {
		t.Errorf("%+v", f)
	}
	// A down of its own is not the failure's business any more.
	l = newLife(t).claim(ClaimUp).tell(did("tree")...).tell(broke("web")).claim(ClaimDown)
	l.tell(undone("web", "db")...).tell(undone("tree")...).want(fsm.Absent)
	if f := l.last.Session.Failure; f != nil {
		t.Errorf("%+v", f)
	}
}

// Both ends of what makes a rollback necessary are told when it gets stuck.
func TestAStuckRollbackNamesBothFailures(t *testing.T) {
	l := newLife(t).claim(ClaimUp).tell(broke("tree")).tell(saga.Event{Kind: saga.StepCompensationFailed, Step: "tree", Err: "busy"}).want(fsm.Failed)
	if f := l.s.Failure; f.Step != "tree" || f.Code != CodeCompensationFailed || !strings.Contains(f.Message, "busy") || !strings.Contains(f.Message, "tree broke") {
		t.Errorf("%+v", f)
	}
	l.claim(ClaimDown).wantActions("compensate tree").tell(undone("tree")...).want(fsm.Absent)
}

// The word that a step has for its failure outlives the step, and is nobody else's.
func TestAFailureHasTheCauseOfItsStep(t *testing.T) {
	full := broke("web")
	full.Code = "full"
	gone := undone("web")[0]
	busy := saga.Event{Kind: saga.StepCompensationFailed, Step: "web", Err: "busy", Code: "busy"}
	still := saga.Event{Kind: saga.StepCompensationFailed, Step: "web", Err: "still there"}
	for name, test := range map[string]struct {
		begun, end  saga.Event
		code, cause string
	}{
		"of a step":                         {full, gone, CodeStepFailed, "full"},
		"of none":                           {broke("web"), gone, CodeStepFailed, ""},
		"of a compensation":                 {full, busy, CodeCompensationFailed, "busy"},
		"of what made a compensation begin": {full, still, CodeCompensationFailed, "full"},
		"of a canceller":                    {saga.Event{Kind: saga.Turn, Err: "asked", Code: CodeStopped}, gone, CodeStopped, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t).claim(ClaimUp).tell(did("tree")...).tell(did("db")...).tell(test.begun)
			l.claim(ClaimResume) // the journal alone has it
			l.tell(undone("db")...).tell(test.end)
			if l.s.State.Pending() {
				l.tell(undone("tree")...)
			}
			if f := l.last.Session.Failure; f == nil || f.Code != test.code || f.Cause != test.cause {
				t.Errorf("%+v; want code %q, cause %q", f, test.code, test.cause)
			}
		})
	}
}

func TestKeepOnFailure(t *testing.T) {
	l := newLife(t)
	e := l.claimEvent(ClaimUp)
	e.Options.KeepOnFailure = true
	l.on(e).tell(did("tree")...).tell(append(did("db"), broke("web"))...).want(fsm.Failed)
	if f := l.s.Failure; f == nil || f.Step != "web" || len(l.s.Progress.Remaining(testPlan)) != 3 {
		t.Errorf("%+v", l.s)
	}
	l.claim(ClaimUp).wantActions("do web") // a retry, without the option
	l.tell(broke("web")).want(fsm.PendingDown)
}

// A repair that fails leaves what worked, and a full teardown finds everything.
func TestARevertedRepairKeepsWhatWorked(t *testing.T) {
	l := newLife(t).up().claim(ClaimUp, "web").want(fsm.PendingUp).wantActions("do web")
	l.tell(broke("web")).want(fsm.PendingDown).wantActions("compensate web")
	l.tell(undone("web")...).want(fsm.Failed)
	if f := l.s.Failure; f.Step != "web" || f.Code != CodeStepFailed || !l.s.Settled {
		t.Errorf("%+v", l.s)
	}
	again := *l
	again.claim(ClaimUp).wantActions("do web").tell(did("web")...).tell(saga.Event{Kind: saga.Verified}).want(fsm.Active)
	l.claim(ClaimDown).wantActions("compensate web, compensate db")
}

// What a repair was cut off at is reverted like the rest of it.
func TestARepairThatWasCutOffIsReverted(t *testing.T) {
	l := newLife(t).up().claim(ClaimUp, "web").claim(ClaimRollback).want(fsm.PendingDown).wantActions("compensate web")
	l.tell(undone("web")...).want(fsm.Failed)
	if f := l.s.Failure; f.Code != CodeRollback {
		t.Errorf("%+v", f)
	}
}

func TestDownKeepingTheWorktree(t *testing.T) {
	l := inState(t, fsm.Stopped)
	if got := l.s.Progress.Remaining(testPlan); got != nil || l.s.Progress.Steps[0].Phase != saga.Done || l.s.Slot != 3 {
		t.Errorf("%v, %+v", got, l.s)
	}
	l.claim(ClaimUp).wantActions("do web, do db")
	l.tell(append(did("db"), broke("web"))...).tell(undone("web", "db")...).want(fsm.Stopped)
	if l.s.Failure == nil || l.s.Progress.Steps[0].Phase != saga.Done {
		t.Errorf("%+v", l.s)
	}
	l.claim(ClaimDown).wantActions("compensate tree").tell(undone("tree")...).want(fsm.Absent)

	// What is not done cannot be kept, and nothing is left then, unless its step says so.
	for _, kept := range []bool{false, true} {
		l = newLife(t).claim(ClaimUp)
		e := l.claimEvent(ClaimDown)
		e.Options.KeepWorktree = true
		l.on(e).wantActions("compensate tree")
		if kept {
			l.tell(saga.Event{Kind: saga.StepKept, Step: "tree"}).want(fsm.Stopped)
		} else {
			l.tell(undone("tree")...).want(fsm.Absent)
		}
	}
}

// A session that was stopped before it ever was active keeps its worktree when
// the next up fails: somebody had asked to keep it.
func TestAStoppedSessionKeepsItsWorktreeThoughItNeverWasActive(t *testing.T) {
	l := newLife(t).claim(ClaimUp).tell(did("tree")...)
	e := l.claimEvent(ClaimDown)
	e.Options.KeepWorktree = true
	l.on(e).tell(undone("web", "db")...).want(fsm.Stopped)
	l.claim(ClaimUp).tell(append(did("db"), broke("web"))...).tell(undone("web", "db")...).want(fsm.Stopped)
	if l.s.Progress.Steps[0].Phase != saga.Done {
		t.Errorf("%+v", l.s.Progress)
	}
}

// Whoever resumes a run does what was asked of it then.
func TestOptionsAreRecorded(t *testing.T) {
	l := newLife(t).up()
	e := l.claimEvent(ClaimDown)
	e.Options = Options{KeepWorktree: true, KeepVolumes: true}
	l.on(e)
	other := l.claimEvent(ClaimResume)
	other.Options, other.Owner = Options{DeleteWorktree: true}, Owner{PID: 99, Verb: VerbRecover}
	l.on(other)
	if r := l.s.Run; !cmp.Equal(r.Options, Options{KeepWorktree: true, KeepVolumes: true}) || r.Verb != VerbDown || r.Owner.PID != 99 || r.Takeovers != 1 {
		t.Errorf("%+v", r)
	}
	l.tell(undone("web", "db")...).want(fsm.Stopped)
	l = newLife(t)
	e = l.claimEvent(ClaimUp)
	e.Options.KeepOnFailure = true
	l.on(e).claim(ClaimUp) // by hand, without the option
	l.tell(broke("tree")).want(fsm.Failed)
}

func TestParking(t *testing.T) {
	for _, again := range []EventKind{ClaimUp, ClaimResume, ClaimDown} {
		back := again != ClaimUp
		l := newLife(t).claim(ClaimUp).tell(did("tree")...)
		if back {
			l.claim(ClaimDown)
		}
		for range maxTakeovers {
			l.claim(again)
		}
		if !l.s.State.Pending() {
			t.Fatalf("parked after %d", l.s.Run.Takeovers)
		}
		step := "web"
		fresh := *l
		l.claim(again).want(fsm.Failed).wantActions("")
		if f := l.s.Failure; f.Code != CodeParked || f.Step != step || l.last.Decision.Outcome != saga.Halted {
			t.Errorf("%+v, %s", f, l.last.Decision.Outcome)
		}
		// What was in doubt is still to be waited for, and to be compensated.
		if got := l.s.Progress.Haunted(testPlan); !slices.Equal(got, []string{"web", "db"}) {
			t.Errorf("haunted: %v", got)
		}
		if back {
			without := *l
			e := without.claimEvent(ClaimDown)
			e.Options.Abandon = []string{"web", "db"}
			without.on(e).wantActions("compensate tree")
			if got := without.s.Progress.Haunted(testPlan); !slices.Equal(got, []string{"tree", "web", "db"}) {
				t.Errorf("haunted when abandoned: %v", got)
			}
		}
		l.claim(ClaimDown).want(fsm.PendingDown).wantActions("compensate web, compensate db")
		if l.s.Run.Takeovers != 0 {
			t.Errorf("the next down begins with %d take-overs", l.s.Run.Takeovers)
		}

		// Progress gives the run five more.
		l = &fresh
		if back {
			l.tell(undone("web")...)
		} else {
			l.tell(did("web")...)
		}
		for range maxTakeovers {
			l.claim(again)
		}
		if !l.s.State.Pending() {
			t.Error("parked in spite of progress")
		}
	}
}

func TestAskStop(t *testing.T) {
	l := newLife(t).claim(ClaimUp)
	e := Event{Kind: AskStop, Seen: l.s.Epoch, Owner: Owner{PID: 7, Verb: VerbDown}, At: time.Unix(2, 0)}
	before := l.s
	l.on(e)
	if s := l.s.Run.Stop; s == nil || s.By.PID != 7 || !s.At.Equal(e.At) {
		t.Errorf("%+v", s)
	}
	if len(l.last.Decision.Actions) != 0 || l.s.Epoch != before.Epoch || cmp.Diff(before.Progress, l.s.Progress) != "" {
		t.Error("asking does more than to ask")
	}
	if _, err := l.try(e); !errors.Is(err, ErrStale) {
		t.Errorf("asked twice: %v", err)
	}
	l.tell(saga.Event{Kind: saga.Turn, Err: "asked", Code: CodeStopped}).want(fsm.PendingDown)
	l.claim(ClaimResume)
	if l.s.Run.Stop != nil {
		t.Error("the wish outlives the owner that it was meant for")
	}
}

// The state and the history tell the same story.
func TestHistoryFollowsTheState(t *testing.T) {
	l := newLife(t)
	state := fsm.Absent
	var steps int
	check := func() {
		for _, e := range l.last.History {
			if e.Key != testKey || e.ID != "id" || e.Run == "" || e.Epoch == 0 {
				t.Errorf("%+v", e)
			}
			if e.From != e.To {
				if e.From != state {
					t.Errorf("%s -> %s while %s", e.From, e.To, state)
				}
				state = e.To
			}
			if e.Phase != "" {
				steps++
			}
		}
		if state != l.last.Session.State {
			t.Errorf("the history says %s, the record %s", state, l.last.Session.State)
		}
	}
	for _, f := range []func(){
		func() { l.claim(ClaimUp) }, func() { l.tell(did("tree")...) }, func() { l.claim(ClaimResume) },
		func() { l.tell(did("db")...) }, func() { l.tell(broke("web")) }, func() { l.tell(undone("web")...) },
		func() { l.tell(undone("db")...) }, func() { l.tell(undone("tree")...) },
	} {
		f()
		check()
	}
	if state != fsm.Absent || steps != 14 {
		t.Errorf("%s, %d transitions of steps", state, steps)
	}
}
