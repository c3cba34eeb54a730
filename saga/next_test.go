package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// graph makes a plan of lines such as "web: db api", a step and what it needs.
func graph(lines ...string) Plan {
	var plan Plan
	for _, line := range lines {
		name, needs, _ := strings.Cut(line, ":")
		plan.Steps = append(plan.Steps, Spec{Name: name, Kind: "test", Needs: strings.Fields(needs)})
	}
	return plan
}

// play is one session's plan and where it stands.
type play struct {
	t    *testing.T
	plan Plan
	p    Progress
	run  string
	last Decision
}

func newPlay(t *testing.T, plan Plan) *play {
	t.Helper()
	if err := plan.Validate(); err != nil {
		t.Fatal(err)
	}
	return &play{t: t, plan: plan, p: NewProgress(plan), run: "r1"}
}

// on folds events and returns what is to be done, as "do a, compensate b".
func (p *play) on(events ...Event) string {
	p.t.Helper()
	d, err := Next(p.plan, p.p, p.run, time.Time{}, events...)
	if err != nil {
		p.t.Fatalf("%v: %v", events, err)
	}
	p.p, p.last = d.Progress, d
	var actions []string
	for _, a := range d.Actions {
		actions = append(actions, strings.TrimSpace(string(a.Kind)+" "+a.Step))
	}
	return strings.Join(actions, ", ")
}

// want folds events and compares what is to be done and where the run stands.
func (p *play) want(actions string, outcome Outcome, events ...Event) {
	p.t.Helper()
	if got := p.on(events...); got != actions || p.last.Outcome != outcome {
		p.t.Fatalf("after %v: %q, %s; want %q, %s", events, got, p.last.Outcome, actions, outcome)
	}
}

// refuse checks that an event contradicts the journal.
func (p *play) refuse(events ...Event) {
	p.t.Helper()
	if d, err := Next(p.plan, p.p, p.run, time.Time{}, events...); !errors.Is(err, ErrGrammar) {
		p.t.Errorf("%v was taken: %+v, %v", events, d, err)
	}
}

func (p *play) phases() string {
	var out []string
	for _, s := range p.p.Steps {
		out = append(out, string(s.Phase))
	}
	return strings.Join(out, " ")
}

// The events, briefly.
var (
	begin    = Event{Kind: RunForward}
	teardown = Event{Kind: RunBackward}
	verified = Event{Kind: Verified}
	turn     = Event{Kind: Turn, Err: "stop", Code: "asked"}
	halt     = Event{Kind: Halt}
)

func done(step string) Event { return Event{Kind: StepDone, Step: step} }
func gone(step string) Event { return Event{Kind: StepCompensated, Step: step} }
func lost(step string) Event { return Event{Kind: StepLost, Step: step, Err: "not whole"} }
func saved(step, key string) Event {
	return Event{Kind: StepSaved, Step: step, Key: key, Data: json.RawMessage(`1`)}
}
func failed(step string) Event { return Event{Kind: StepFailed, Step: step, Err: "no"} }
func failedGone(step string) Event {
	return Event{Kind: StepCompensationFailed, Step: step, Err: "no way back"}
}
func resume(missing ...string) Event { return Event{Kind: Resume, Steps: missing} }

func TestForwardFollowsTheGraph(t *testing.T) {
	p := newPlay(t, graph("a", "b: a", "c: a", "d: b c"))
	p.want("do a", Running, begin)
	p.want("do b, do c", Running, done("a")) // side by side
	p.want("", Running, done("b"))
	p.want("do d", Running, done("c"))
	p.want("verify", Running, done("d"))
	p.want("", Completed, verified)
}

// I5: what is found missing in the last look turns the run.
func TestTheLastLookDecides(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	p.refuse(verified) // before everything is done
	p.on(done("a"))
	p.refuse(verified)
	p.want("verify", Running, done("b"))
	p.want("compensate b", Running, lost("a"))
	p.want("compensate a", Running, gone("b"))
	p.want("", Reverted, gone("a"))
	if c := p.p.Cause; c == nil || c.Step != "a" {
		t.Errorf("cause %+v; want step a", c)
	}
}

// A stop may come while the last look is under way; what comes of the look then
// concerns nobody.
func TestALookThatIsOvertakenByAStopIsIgnored(t *testing.T) {
	for _, late := range []Event{verified, lost("a"), lost("b")} {
		p := newPlay(t, graph("a", "b: a"))
		p.on(begin)
		p.on(done("a"))
		p.want("verify", Running, done("b"))
		p.want("compensate b", Running, turn)
		p.want("", Running, late)
		p.want("compensate a", Running, gone("b"))
		p.want("", Running, late)
		p.want("", Reverted, gone("a"))
		if p.p.Cause.Code != "asked" {
			t.Errorf("cause %+v; want that of the stop", p.p.Cause)
		}
	}
}

// I2 and I3: the step in hand is cancelled and waited for, then everything begun
// is compensated against the graph.
func TestAFailureTurnsTheRun(t *testing.T) {
	p := newPlay(t, graph("a", "b: a", "c: a", "d: b c"))
	p.on(begin)
	p.on(done("a"))
	p.want("cancel c, compensate b", Running, failed("b"))
	p.want("", Running, gone("b"))
	p.want("compensate c", Running, failed("c"))
	p.want("compensate a", Running, gone("c"))
	p.want("", Reverted, gone("a"))
	if p.p.Cause.Step != "b" {
		t.Errorf("cause %+v; want the first failure", p.p.Cause)
	}
	if got := p.p.Remaining(p.plan); got != nil {
		t.Errorf("remaining %v", got)
	}
}

// A cancelled attempt that did its work all the same is compensated too.
func TestACancelledStepThatIsDoneIsCompensated(t *testing.T) {
	p := newPlay(t, graph("a", "b", "c: b"))
	p.on(begin)
	p.want("cancel b, compensate a", Running, failed("a"))
	p.want("compensate b", Running, done("b"))
	p.on(gone("a"))
	p.want("", Reverted, gone("b"))
}

func TestRetries(t *testing.T) {
	plan := graph("a", "b: a")
	plan.Steps[1].Policy = Policy{Retries: 2, Backoff: time.Second}
	p := newPlay(t, plan)
	p.on(begin)
	p.on(done("a"))
	for i, pause := range []time.Duration{time.Second, 2 * time.Second} {
		p.want("do b", Running, failed("b"))
		if a := p.last.Actions[0]; a.Attempt != i+2 || a.Delay != pause {
			t.Errorf("retry %d: attempt %d after %s", i+1, a.Attempt, a.Delay)
		}
	}
	p.want("compensate b", Running, failed("b"))

	p = newPlay(t, plan)
	p.on(begin)
	p.on(done("a"))
	fatal := failed("b")
	fatal.Permanent = true
	p.want("compensate b", Running, fatal) // not worth a retry
}

func TestBackoffDoublesUpToAMinute(t *testing.T) {
	p := Policy{Backoff: 500 * time.Millisecond}
	for n, want := range map[int]time.Duration{1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 9: time.Minute, 1000: time.Minute} {
		if got := p.backoff(n); got != want {
			t.Errorf("backoff(%d) = %s; want %s", n, got, want)
		}
	}
	if got := (Policy{}).backoff(7); got != 0 {
		t.Errorf("without a pause: %s", got)
	}
}

func TestBestEffort(t *testing.T) {
	plan := graph("a", "b: a", "c: b")
	plan.Steps[1].Policy = Policy{BestEffort: true, Retries: 1}
	p := newPlay(t, plan)
	p.on(begin)
	p.on(done("a"))
	p.want("do b", Running, failed("b"))
	p.want("do c", Running, failed("b")) // its retries are used up; the run goes on
	p.want("verify", Running, done("c"))
	p.want("", Completed, verified)
	// What it may have left is compensated like everything else.
	p.want("compensate c", Running, teardown)
	p.want("compensate b", Running, gone("c"))
}

func TestALostBestEffortStepDoesNotTurnTheRun(t *testing.T) {
	plan := graph("a", "b")
	plan.Steps[1].Policy.BestEffort = true
	p := newPlay(t, plan)
	p.on(begin)
	p.want("verify", Running, done("a"), done("b"))
	p.want("verify", Running, lost("b")) // the rest is looked at again
	p.want("", Completed, verified)
}

func TestHaltOnFailureLeavesEverythingAsItStands(t *testing.T) {
	plan := graph("a", "b", "c: a")
	p := newPlay(t, plan)
	p.p.HaltOnFailure = true
	p.on(begin)
	p.want("", Running, failed("b")) // a goes on to its end
	p.want("", Halted, failed("a"))
	if p.p.Cause.Step != "b" || p.p.Direction != Forward {
		t.Errorf("cause %+v, %s; want the first failure, forward", p.p.Cause, p.p.Direction)
	}
	if got := p.phases(); got != "failed failed planned" {
		t.Error(got)
	}
	p.run = "r2"
	p.want("do a, do b", Running, begin) // a retry of what is missing
	p.want("do c", Running, done("a"))
	// Somebody wants it to stop after all, while it is about to halt.
	p.want("", Running, failed("b"))
	p.want("cancel c, compensate b", Running, turn)
}

func TestHaltOnTheWayBack(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	p.on(done("a"))
	p.on(done("b"))
	p.want("compensate b", Running, turn)
	p.want("", Running, halt)
	p.want("", Halted, gone("b"))
	if p.p.Direction != Backward {
		t.Error(p.p.Direction)
	}
	p.want("compensate a", Running, resume())
	p.want("", Running, halt)
	p.want("", Reverted, gone("a")) // it was the last one: nothing is left to halt
}

func TestAFailedCompensationLeavesWhatItStandsOn(t *testing.T) {
	plan := graph("a", "b: a", "c: a", "d: b")
	plan.Steps[3].Policy.CompensateRetries = 1
	plan.Steps[3].Policy.Backoff = time.Second
	p := newPlay(t, plan)
	p.on(begin)
	p.on(done("a"))
	p.on(done("b"), done("c"))
	p.want("compensate c, compensate d", Running, failed("d"))
	p.want("compensate d", Running, failedGone("d"))
	if a := p.last.Actions[0]; a.Attempt != 2 || a.Delay != time.Second {
		t.Errorf("retry: %+v", a)
	}
	p.want("", Running, failedGone("d"))
	p.want("", Stuck, gone("c")) // the rest went on; a and b carry d
	if got := p.phases(); got != "done done compensated compensation-failed" {
		t.Error(got)
	}
	// A later run begins with exactly what is left, and at once.
	p.run = "r2"
	p.want("compensate d", Running, teardown)
	if a := p.last.Actions[0]; a.Delay != 0 || a.Attempt != 1 {
		t.Errorf("a new run: %+v", a)
	}
	p.want("compensate b", Running, gone("d"))
	p.on(gone("b"))
	p.want("", Reverted, gone("a"))
}

func TestAPermanentFailureOfACompensationIsNotRetried(t *testing.T) {
	plan := graph("a")
	plan.Steps[0].Policy.CompensateRetries = 5
	p := newPlay(t, plan)
	p.on(begin)
	p.on(turn)
	p.on(failed("a"))
	e := failedGone("a")
	e.Permanent = true
	p.want("", Stuck, e)
}

func TestKeptStepsStay(t *testing.T) {
	p := newPlay(t, graph("a", "b: a", "c: b"))
	p.on(begin)
	p.on(done("a"))
	p.on(done("b"))
	p.on(failed("c"))
	p.run = "r2"
	// c is not done: half a step cannot be kept.
	p.want("compensate c", Running, Event{Kind: RunBackward, Steps: []string{"b", "c"}})
	p.want("compensate a", Running, gone("c"))
	p.want("", Reverted, gone("a"))
	if got := p.phases(); got != "compensated done compensated" || !slices.Equal(p.p.Kept, []string{"b"}) {
		t.Errorf("%s, kept %v", got, p.p.Kept)
	}
	p.run = "r3"
	// b is there, but not what it stands on; c waits for that.
	p.want("do a", Running, begin)
	p.want("do c", Running, done("a"))
	if p.p.Kept != nil {
		t.Error("a run that goes forward keeps nothing back")
	}
}

func TestResumeForward(t *testing.T) {
	p := newPlay(t, graph("a", "b: a", "c: a", "d: b c"))
	p.on(begin)
	p.on(done("a"))
	p.on(saved("b", "k"), done("c"))
	p.want("do b", Running, resume())
	if a := p.last.Actions[0]; a.Attempt != 2 || !a.Resumed || string(p.p.Steps[1].Facts["k"]) != "1" {
		t.Errorf("%+v, %+v", a, p.p.Steps[1])
	}
	p.want("do d", Running, done("b"))
	if p.p.Steps[1].Resumed {
		t.Error("a done step is not in doubt")
	}
	p.want("verify", Running, done("d"))
	p.want("verify", Running, resume()) // killed between the last done and the last look
	p.want("do c", Running, resume("c"))
	p.want("verify", Running, done("c"))
}

// A step that is to be made again waits for what it needs, also when it has
// attempts left.
func TestResumeKeepsTheOrderOfTheGraph(t *testing.T) {
	plan := graph("a", "b: a", "c: b")
	plan.Steps[1].Policy.Retries = 3
	p := newPlay(t, plan)
	p.on(begin)
	p.on(done("a"))
	p.on(halt)
	p.want("", Halted, failed("b")) // it halted; a retry would be next
	p.want("do a", Running, resume("a"))
	p.want("do b", Running, done("a"))
}

func TestResumeBackward(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	p.on(done("a"))
	p.want("compensate b", Running, failed("b"))
	p.want("compensate b", Running, resume("a")) // nothing is missed on the way back
	if a := p.last.Actions[0]; !a.Resumed || a.Attempt != 2 {
		t.Errorf("%+v", a)
	}
	p.want("compensate a", Running, gone("b"))
	p.want("compensate a", Running, resume())
	p.want("", Reverted, gone("a"))
	if p.p.Cause.Step != "b" {
		t.Errorf("cause %+v; want the original failure", p.p.Cause)
	}
}

// I2, whatever the cut-off attempt had come to.
func TestResumeAndTurnCompensatesWhatWasCutOff(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	p.on(done("a"))
	p.want("compensate b", Running, resume(), turn)
	p.on(gone("b"))
	p.want("", Reverted, gone("a"))
}

func TestTeardownAtAnyMoment(t *testing.T) {
	p := newPlay(t, graph("a", "b: a", "c: b"))
	p.on(begin)
	p.on(done("a")) // b is started, and its owner dies
	p.run = "r2"
	p.want("compensate b", Running, teardown)
	p.want("compensate b", Running, teardown) // once more, the next one dies too
	p.want("compensate a", Running, gone("b"))
	p.want("", Reverted, gone("a"))

	p = newPlay(t, graph("a"))
	p.want("", Reverted, teardown) // of nothing
}

// A program of an owner that died is waited for, also if the journal has long
// said nothing of it: b waits here for c, and two owners die meanwhile.
func TestHauntedStepsAreRememberedUntilTheyAreAttemptedAgain(t *testing.T) {
	p := newPlay(t, graph("a", "b: a", "c: b"))
	p.on(begin)
	p.on(done("a"))
	p.on(done("b"))
	p.on(done("c"))
	p.on(verified)
	p.run = "r2"
	p.on(Event{Kind: RunForward, Steps: []string{"b"}, Scope: "r2"}) // its owner is killed; git goes on
	p.run = "r3"
	p.want("compensate c", Running, teardown)
	if got := p.p.Haunted(p.plan); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("haunted %v; want b, which nobody has waited for, and c", got)
	}
	p.want("compensate b", Running, gone("c"))
	p.want("compensate a", Running, gone("b"))
	if got := p.p.Haunted(p.plan); !slices.Equal(got, []string{"a"}) {
		t.Errorf("haunted %v", got)
	}
}

func TestGrammar(t *testing.T) {
	all := []Event{done("a"), failed("a"), saved("a", "k"), gone("a"), failedGone("a"), lost("a")}
	legal := map[Phase][]EventKind{
		Planned:            {},
		Started:            {StepDone, StepFailed, StepSaved},
		Done:               {StepLost},
		Failed:             {},
		Compensating:       {StepSaved, StepCompensated, StepCompensationFailed},
		Compensated:        {},
		CompensationFailed: {},
	}
	plan := graph("a", "b")
	for phase, kinds := range legal {
		for _, direction := range []Direction{Forward, Backward} {
			for _, e := range all {
				p := newPlay(t, plan)
				p.p.Direction, p.p.Halted = direction, true
				p.p.Steps[0].Phase = phase
				before := fmt.Sprintf("%+v", p.p)
				_, err := Next(plan, p.p, "r1", time.Time{}, e)
				ok := slices.Contains(kinds, e.Kind) || e.Kind == StepLost && direction == Backward
				if ok != (err == nil) || err != nil && !errors.Is(err, ErrGrammar) {
					t.Errorf("%s of a step that is %s, %s: %v", e.Kind, phase, direction, err)
				}
				if after := fmt.Sprintf("%+v", p.p); after != before {
					t.Errorf("%s of a step that is %s changed its argument", e.Kind, phase)
				}
			}
		}
	}
	p := newPlay(t, plan)
	p.refuse(done("zz"))
	p.refuse(Event{Kind: "nonsense", Step: "a"})
	p.refuse(Event{Kind: "nonsense"})
	p.refuse(Event{Kind: RunForward, Steps: []string{"zz"}})
	p.p.Steps = p.p.Steps[:1]
	p.refuse(begin)
}

// One bad event of a batch refuses all of it.
func TestABatchIsTakenWholeOrNotAtAll(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	before := p.p
	p.refuse(done("a"), done("b"))
	if d := cmp.Diff(before, p.p); d != "" {
		t.Error(d)
	}
	p.want("do b", Running, saved("a", "k"), done("a")) // fused: one transaction
	if len(p.last.Entries) != 2 || p.last.Entries[0].Phase != Done || p.last.Entries[1].Phase != Started {
		t.Errorf("entries %+v", p.last.Entries)
	}
}

// The value that Next was given is not changed by what it returns.
func TestNextIsPure(t *testing.T) {
	plan := graph("a", "b: a")
	p := newPlay(t, plan)
	p.on(begin)
	p.on(saved("a", "k"))
	before, err := json.Marshal(p.p)
	if err != nil {
		t.Fatal(err)
	}
	old := p.p
	p.on(saved("a", "k2"), done("a"))
	after, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(before), string(after)); d != "" {
		t.Error(d)
	}
}

func TestAnEmptyPlanCompletes(t *testing.T) {
	p := newPlay(t, Plan{})
	p.want("verify", Running, begin)
	p.want("", Completed, verified)
	p.want("", Reverted, teardown)
}

// I4: nothing but a new run turns a run forward again.
func TestARunNeverTurnsBackForward(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	p.on(turn)
	for _, e := range []Event{turn, halt, resume(), verified, resume("a")} {
		p.on(e)
		if p.p.Direction != Backward {
			t.Fatalf("%s turned the run", e.Kind)
		}
	}
	if p.p.Cause.Code != "asked" {
		t.Errorf("cause %+v", p.p.Cause)
	}
}
