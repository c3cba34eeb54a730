package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecluse/saga"
	"ecluse/saga/sagatest"
)

func TestMain(m *testing.M) {
	saga.ShortenLeavePatience()
	os.Exit(m.Run())
}

// rig is a runner in a world of its own.
type rig struct {
	t       *testing.T
	world   *sagatest.World
	journal *sagatest.Journal
	runner  *saga.Runner
	soft    context.Context
	hard    context.Context
	stop    context.CancelCauseFunc
	leave   context.CancelFunc
	process *sagatest.Process

	mu      sync.Mutex
	notices []saga.Notice
}

// newRig makes a rig of lines such as "web: db api".
func newRig(t *testing.T, lines ...string) *rig {
	t.Helper()
	var plan saga.Plan
	for _, line := range lines {
		name, needs, _ := strings.Cut(line, ":")
		plan.Steps = append(plan.Steps, saga.Spec{Name: name, Kind: "test", Needs: strings.Fields(needs)})
	}
	r := &rig{t: t, world: &sagatest.World{}, journal: sagatest.NewJournal(plan)}
	r.world.Touch = intentFirst(r.journal)
	r.process = &sagatest.Process{}
	r.soft, r.stop = context.WithCancelCause(t.Context())
	r.hard, r.leave = context.WithCancel(r.process.Context(context.WithoutCancel(t.Context())))
	t.Cleanup(r.leave)
	r.runner = &saga.Runner{
		Plan: plan, RunID: "r1", Journal: r.journal, Step: r.world.Step,
		OnStop: func(cause error, d saga.Direction) (saga.Event, bool) {
			if d == saga.Backward {
				return saga.Event{Kind: saga.Halt}, true
			}
			return saga.Event{Kind: saga.Turn, Err: cause.Error(), Code: "asked"}, true
		},
		Sink: saga.SinkFunc(func(n saga.Notice) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.notices = append(r.notices, n)
		}),
	}
	before := runtime.NumGoroutine()
	t.Cleanup(func() { noneLeft(t, before) })
	return r
}

// intentFirst checks I1: who acts has said so before.
func intentFirst(j *sagatest.Journal) func(string, bool) error {
	return func(step string, compensating bool) error {
		want := saga.Started
		if compensating {
			want = saga.Compensating
		}
		if got := j.Phase(step); got != want {
			return errors.New(step + " acts while the journal says " + string(got))
		}
		return nil
	}
}

// noneLeft polls until no goroutine is left that was not there before.
func noneLeft(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// policy sets the policy of a step.
func (r *rig) policy(step string, p saga.Policy) {
	r.runner.Plan.Steps[r.runner.Plan.Index(step)].Policy = p
}

// run begins with events and runs to the end.
func (r *rig) run(events ...saga.Event) (saga.Decision, error) {
	r.t.Helper()
	d, err := r.journal.Begin(r.runner.RunID, events...)
	if err != nil {
		r.t.Fatal(err)
	}
	d, err = r.runner.Run(r.soft, r.hard, d)
	for _, fault := range r.world.Faults() {
		r.t.Error(fault)
	}
	return d, err
}

// want runs to the end and compares how it ends and what is there then.
func (r *rig) want(outcome saga.Outcome, world string, events ...saga.Event) saga.Decision {
	r.t.Helper()
	d, err := r.run(events...)
	if err != nil || d.Outcome != outcome || r.world.String() != world {
		r.t.Fatalf("%s, %q, %v; want %s, %q", d.Outcome, r.world, err, outcome, world)
	}
	return d
}

var (
	up   = saga.Event{Kind: saga.RunForward}
	down = saga.Event{Kind: saga.RunBackward}
)

func TestRunForwardAndBack(t *testing.T) {
	r := newRig(t, "a", "b: a", "c: a", "d: b c")
	r.want(saga.Completed, "a=whole b=whole c=whole d=whole", up)
	r.want(saga.Reverted, "", down)
	log := r.world.Log()
	if log[0] != "do a" || log[3] != "do d" || log[4] != "compensate d" || log[7] != "compensate a" {
		t.Error(log)
	}
	// 1 + a, b, c, d, verified; the first commit of the teardown + d, b, c, a. b and
	// c may share one.
	if n := r.journal.Commits(); n < 9 || n > 11 {
		t.Errorf("%d commits", n)
	}
	for i, n := range r.notices {
		if n.Run != "r1" || n.Total != 4 || n.Time.IsZero() || n.Step != "" && n.Index == 0 {
			t.Errorf("notice %d: %+v", i, n)
		}
	}
}

// Steps that do not need each other run side by side: each waits for the other.
func TestIndependentStepsRunSideBySide(t *testing.T) {
	r := newRig(t, "a", "b", "c", "d")
	release := make(chan struct{})
	begun := make(chan string)
	for _, name := range []string{"a", "b", "c", "d"} {
		r.world.Add(&sagatest.Script{Name: name, OnDo: []sagatest.Act{sagatest.Deaf}, Begun: begun, Release: release})
	}
	go func() {
		for range 4 {
			<-begun
		}
		close(release)
		for range 4 { // and on the way back
			<-begun
		}
	}()
	r.want(saga.Completed, "a=whole b=whole c=whole d=whole", up)
	if n := r.world.Most(); n != 4 {
		t.Errorf("at most %d at a time", n)
	}
	r.want(saga.Reverted, "", down)
}

func TestAFailingStepIsRolledBack(t *testing.T) {
	for _, act := range []sagatest.Act{sagatest.Fail, sagatest.FailHalf, sagatest.FailWhole, sagatest.FailPermanent, sagatest.Panic} {
		r := newRig(t, "a", "b: a", "c: a")
		r.world.Add(&sagatest.Script{Name: "b", OnDo: []sagatest.Act{act}, Facts: []string{"x", "y"}})
		d := r.want(saga.Reverted, "", up)
		if c := d.Progress.Cause; c == nil || c.Step != "b" || c.Err == "" {
			t.Errorf("%s: cause %+v", act, c)
		}
	}
}

func TestRetriesWithBackoff(t *testing.T) {
	r := newRig(t, "a")
	r.policy("a", saga.Policy{Retries: 2, CompensateRetries: 1, Backoff: 5 * time.Millisecond})
	s := r.world.Add(&sagatest.Script{
		Name: "a", OnDo: []sagatest.Act{sagatest.FailHalf, sagatest.Fail}, OnCompensate: []sagatest.Act{sagatest.FailHalf},
	})
	begun := time.Now()
	r.want(saga.Completed, "a=whole", up)
	if took := time.Since(begun); took < 15*time.Millisecond {
		t.Errorf("two retries after %s; want pauses of 5 and 10 ms", took)
	}
	r.want(saga.Reverted, "", down)
	want := []sagatest.Try{{Number: 1}, {Number: 2}, {Number: 3}, {Number: 1, Compensating: true}, {Number: 2, Compensating: true}}
	if got := s.Attempts(); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestAStopEndsThePauseOfARetry(t *testing.T) {
	r := newRig(t, "a", "b")
	r.policy("a", saga.Policy{Retries: 1, Backoff: time.Hour})
	r.world.Add(&sagatest.Script{Name: "a", OnDo: []sagatest.Act{sagatest.Fail}})
	begun := make(chan string)
	r.world.Add(&sagatest.Script{Name: "b", OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
	go func() {
		<-begun
		for r.journal.Progress().Steps[0].Attempt < 2 {
			time.Sleep(time.Millisecond)
		}
		r.stop(errors.New("enough"))
		<-begun
	}()
	r.want(saga.Reverted, "", up)
}

func TestTimeouts(t *testing.T) {
	r := newRig(t, "a", "b: a")
	r.policy("b", saga.Policy{Timeout: time.Millisecond, CompensateTimeout: 2 * time.Millisecond, CompensateRetries: 1})
	r.world.Add(&sagatest.Script{Name: "b", OnDo: []sagatest.Act{sagatest.Hang}, OnCompensate: []sagatest.Act{sagatest.Hang}})
	d := r.want(saga.Reverted, "", up)
	if c := d.Progress.Cause; !strings.Contains(c.Err, "timed out after 1ms") {
		t.Errorf("cause %+v", c)
	}
	for _, e := range r.journal.Entries() {
		if e.Phase == saga.CompensationFailed && !strings.Contains(e.Err, "timed out after 2ms") {
			t.Errorf("%+v", e)
		}
	}
}

// A soft stop cancels what runs, and compensates under a context that lives.
func TestASoftStopCompensatesWithAFreshContext(t *testing.T) {
	r := newRig(t, "a", "b: a", "c: a")
	begun := make(chan string)
	r.world.Add(&sagatest.Script{Name: "b", OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
	var mu sync.Mutex
	var dead []string
	r.runner.Prepare = func(ctx context.Context, spec saga.Spec, a *saga.Attempt) (context.Context, saga.Finish, error) {
		mu.Lock()
		defer mu.Unlock()
		if a.Compensating && ctx.Err() != nil {
			dead = append(dead, spec.Name)
		}
		return ctx, func(err error) error { return err }, nil
	}
	go func() { <-begun; r.stop(errors.New("terminated")); <-begun }()
	d := r.want(saga.Reverted, "", up)
	if dead != nil {
		t.Errorf("began under a dead context: %v", dead)
	}
	if c := d.Progress.Cause; c.Code != "asked" || c.Err != "terminated" || c.Step != "" {
		t.Errorf("cause %+v", c)
	}
}

func TestASoftStopOnTheWayBackFinishesTheStepInHand(t *testing.T) {
	r := newRig(t, "a", "b: a")
	r.want(saga.Completed, "a=whole b=whole", up)
	begun, release := make(chan string), make(chan struct{})
	r.world.Add(&sagatest.Script{Name: "b", OnCompensate: []sagatest.Act{sagatest.Deaf}, Begun: begun, Release: release})
	go func() {
		<-begun
		r.stop(errors.New("terminated"))
		for !r.journal.Progress().Halted {
			time.Sleep(time.Millisecond)
		}
		close(release)
	}()
	r.want(saga.Halted, "a=whole", down)
}

// A stop that OnStop does not take is no stop; the run goes on.
func TestAStopThatIsNone(t *testing.T) {
	r := newRig(t, "a", "b: a")
	r.runner.OnStop = func(error, saga.Direction) (saga.Event, bool) { return saga.Event{}, false }
	r.stop(errors.New("what?"))
	r.want(saga.Completed, "a=whole b=whole", up)
}

// A stop while the last look is under way ends the look, and what comes of it is
// no fault. Here the compensation goes on only when the look has ended.
func TestASoftStopDuringTheLastLook(t *testing.T) {
	for range 50 {
		r := newRig(t, "a", "b: a")
		looking, looked := make(chan struct{}, 1), make(chan struct{})
		r.world.Add(&sagatest.Script{Name: "b", OnCompensate: []sagatest.Act{sagatest.Deaf}, Release: looked})
		r.runner.Step = func(spec saga.Spec) (saga.Step, error) {
			step, err := r.world.Step(spec)
			return &slowLook{step, spec.Name == "b", looking, looked}, err
		}
		go func() { <-looking; r.stop(errors.New("terminated")) }()
		r.want(saga.Reverted, "", up)
	}
}

// slowLook is a step whose Verify says that it has begun and waits for its end.
type slowLook struct {
	saga.Step
	slow            bool
	looking, looked chan struct{}
}

func (s *slowLook) Verify(ctx context.Context, _ *saga.Attempt) error {
	if s.slow {
		s.looking <- struct{}{}
		<-ctx.Done()
		close(s.looked)
		return ctx.Err()
	}
	return nil
}

// A hard stop leaves at once. The journal says in doubt, not failed: what an
// attempt says that was cut off is no verdict on its step.
func TestAHardStopLeavesAtOnce(t *testing.T) {
	for range 20 {
		r := newRig(t, "a", "b: a", "c: a")
		begun := make(chan string)
		for _, name := range []string{"b", "c"} {
			r.world.Add(&sagatest.Script{Name: name, OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
		}
		go func() { <-begun; <-begun; r.leave() }()
		_, err := r.run(up)
		if !errors.Is(err, saga.ErrAbandoned) || errors.Is(err, saga.ErrUnended) {
			t.Fatal(err)
		}
		p := r.journal.Progress()
		if p.Direction != saga.Forward || p.Steps[1].Phase != saga.Started || p.Steps[2].Phase != saga.Started {
			t.Fatalf("%+v", p)
		}
		// A later process goes on from there.
		r.hard = t.Context()
		r.world.Add(&sagatest.Script{Name: "b"})
		r.world.Add(&sagatest.Script{Name: "c"})
		r.want(saga.Completed, "a=whole b=whole c=whole", saga.Event{Kind: saga.Resume})
	}
}

// What comes in while the hard stop does is not written either.
func TestNoVerdictAfterAHardStop(t *testing.T) {
	for range 50 {
		r := newRig(t, "a", "b")
		r.world.Touch = nil // it looks at the journal, which is held below
		begun := make(chan string, 1)
		r.world.Add(&sagatest.Script{Name: "a", Facts: []string{"x"}})
		r.world.Add(&sagatest.Script{Name: "b", OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
		r.journal.Before = func(n int) error {
			if n == 2 { // the fact; meanwhile b is cut off and has something to say
				<-begun
				r.leave()
				for range 100 {
					runtime.Gosched()
				}
			}
			return nil
		}
		if _, err := r.run(up); !errors.Is(err, saga.ErrAbandoned) {
			t.Fatal(err)
		}
		if p := r.journal.Progress(); p.Direction != saga.Forward || p.Steps[1].Phase != saga.Started {
			t.Fatalf("%+v", p)
		}
	}
}

// A step that does not listen cannot hold a hard stop for long; the error says
// that it is still there.
func TestAHardStopDoesNotWaitForADeafStep(t *testing.T) {
	r := newRig(t, "a")
	begun, release := make(chan string), make(chan struct{})
	r.world.Add(&sagatest.Script{Name: "a", OnDo: []sagatest.Act{sagatest.Deaf}, Begun: begun, Release: release})
	go func() { <-begun; r.leave() }()
	_, err := r.run(up)
	close(release)
	if !errors.Is(err, saga.ErrAbandoned) || !errors.Is(err, saga.ErrUnended) {
		t.Fatal(err)
	}
}

// A failing journal starts nothing new, lets nobody wait, and ends what runs.
func TestJournalFailures(t *testing.T) {
	for k := 2; ; k++ {
		r := newRig(t, "a", "b: a", "c: a")
		r.world.Add(&sagatest.Script{Name: "a", Facts: []string{"x", "y"}})
		r.world.Add(&sagatest.Script{Name: "b", Facts: []string{"z"}})
		r.journal.Before = func(n int) error {
			if n == k {
				return sagatest.ErrDisk
			}
			return nil
		}
		d, err := r.run(up)
		if err == nil {
			if d.Outcome != saga.Completed || k < 7 {
				t.Errorf("%d commits, then %s", k-1, d.Outcome)
			}
			return
		}
		if !errors.Is(err, saga.ErrJournal) || !errors.Is(err, sagatest.ErrDisk) {
			t.Fatal(err)
		}
		// The disk is repaired; what was left is compensated.
		r.journal.Before = nil
		r.want(saga.Reverted, "", saga.Event{Kind: saga.Resume}, saga.Event{Kind: saga.Turn})
	}
}

// An effect that follows a fact does not happen when the fact could not be saved.
func TestAFactIsOnDiskBeforeItsEffect(t *testing.T) {
	r := newRig(t, "a")
	r.world.Add(&sagatest.Script{Name: "a", Facts: []string{"x"}})
	r.journal.Before = func(n int) error {
		if n == 2 {
			return sagatest.ErrDisk
		}
		return nil
	}
	if _, err := r.run(up); !errors.Is(err, saga.ErrJournal) {
		t.Fatal(err)
	}
	if r.world.String() != "" {
		t.Errorf("the effect is there: %s", r.world)
	}
}

// A journal that panics takes the process down; it must not hang for those who
// wait to hear that their fact is saved.
func TestAPanicOfTheJournalIsNotAHang(t *testing.T) {
	r := newRig(t, "a")
	r.world.Add(&sagatest.Script{Name: "a", Facts: []string{"x"}})
	r.journal.Before = func(n int) error {
		if n == 2 {
			r.process.Crash()
		}
		return nil
	}
	done := make(chan bool)
	go func() {
		done <- sagatest.Survive(func() { _, _ = r.run(up) })
	}()
	select {
	case crashed := <-done:
		if !crashed {
			t.Error("it did not crash")
		}
	case <-time.After(time.Minute):
		t.Fatal("it hangs")
	}
}

func TestAStepInDoubtIsVerifiedFirst(t *testing.T) {
	for _, c := range []struct {
		effect sagatest.Effect
		blind  bool
		tries  int
	}{{sagatest.Whole, false, 0}, {sagatest.Half, false, 1}, {sagatest.None, false, 1}, {sagatest.Whole, true, 1}} {
		r := newRig(t, "a")
		s := r.world.Add(&sagatest.Script{Name: "a", Blind: c.blind})
		if _, err := r.journal.Begin("r1", up); err != nil {
			t.Fatal(err)
		}
		r.world.Set("a", c.effect)
		r.want(saga.Completed, "a=whole", saga.Event{Kind: saga.Resume})
		got := s.Attempts()
		if len(got) != c.tries || c.tries > 0 && (!got[0].Resumed || got[0].Number != 2) {
			t.Errorf("%s: %+v", c.effect, got)
		}
	}
}

// What surrounds an attempt hears how it ended, panics included, and has the
// last word.
func TestWhatSurroundsAnAttempt(t *testing.T) {
	type key struct{}
	own := errors.New("what it left could not be ended")
	r := newRig(t, "a", "b: a", "c: b", "d: c")
	r.world.Add(&sagatest.Script{Name: "b", OnDo: []sagatest.Act{sagatest.FailHalf}})
	r.world.Add(&sagatest.Script{Name: "c", OnDo: []sagatest.Act{sagatest.Panic}})
	for _, step := range []string{"b", "c"} {
		r.policy(step, saga.Policy{BestEffort: true})
	}
	heard := map[string]error{}
	r.runner.Prepare = func(ctx context.Context, spec saga.Spec, a *saga.Attempt) (context.Context, saga.Finish, error) {
		return context.WithValue(ctx, key{}, spec.Name), func(err error) error {
			if a.Compensating {
				return err
			}
			heard[spec.Name] = err
			if spec.Name == "d" {
				return own
			}
			return err
		}, nil
	}
	d := r.want(saga.Reverted, "", up)
	if heard["a"] != nil || !errors.Is(heard["b"], sagatest.ErrScript) || !saga.IsPermanent(heard["c"]) || heard["d"] != nil {
		t.Errorf("%v", heard)
	}
	if c := d.Progress.Cause; c.Step != "d" || c.Err != own.Error() {
		t.Errorf("cause %+v", c)
	}
}

func TestAStepThatCannotBePreparedOrBuiltFails(t *testing.T) {
	no := errors.New("no")
	r := newRig(t, "a", "b: a")
	r.runner.Prepare = func(ctx context.Context, spec saga.Spec, a *saga.Attempt) (context.Context, saga.Finish, error) {
		if spec.Name == "b" && !a.Compensating {
			return nil, nil, no
		}
		return ctx, func(err error) error { return err }, nil
	}
	if d := r.want(saga.Reverted, "", up); d.Progress.Cause.Err != no.Error() {
		t.Errorf("cause %+v", d.Progress.Cause)
	}
	r.runner.Prepare = nil
	r.runner.Step = func(spec saga.Spec) (saga.Step, error) {
		if spec.Name == "b" {
			return nil, no
		}
		return r.world.Step(spec)
	}
	r.want(saga.Stuck, "a=whole", up) // neither done nor compensated, so a stays
	if s := r.journal.Progress().Steps[1]; !s.Permanent {
		t.Errorf("%+v", s)
	}
}

// Nothing is told before it is on disk.
func TestNoticesFollowTheDisk(t *testing.T) {
	r := newRig(t, "a", "b: a")
	r.runner.Sink = saga.SinkFunc(func(n saga.Notice) {
		if n.Phase == "" {
			return
		}
		if !slices.ContainsFunc(r.journal.Entries(), func(e saga.Entry) bool { return e.Step == n.Step && e.Phase == n.Phase }) {
			t.Errorf("%s of %s was told before it was written", n.Phase, n.Step)
		}
	})
	r.want(saga.Completed, "a=whole b=whole", up)
}

func TestAttemptFacts(t *testing.T) {
	a := saga.NewAttempt("a", map[string]json.RawMessage{"n": json.RawMessage(`7`), "bad": json.RawMessage(`{`)}, nil)
	var n int
	if ok, err := a.Load("n", &n); !ok || err != nil || n != 7 {
		t.Errorf("%v %v %d", ok, err, n)
	}
	if ok, err := a.Load("none", &n); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if _, err := a.Load("bad", &n); err == nil {
		t.Error("a damaged fact was read")
	}
	if a.Save("n", 8) == nil {
		t.Error("saved although only looking is allowed")
	}
	a.Report("nobody listens %d", 1)
	a.Warn("nobody listens %d", 1)
	a = saga.NewAttempt("a", nil, func(string, json.RawMessage) error { return sagatest.ErrDisk })
	if err := a.Save("k", 1); !errors.Is(err, sagatest.ErrDisk) {
		t.Error(err)
	}
	if ok, _ := a.Load("k", &n); ok {
		t.Error("a fact that is not on disk was read")
	}
	if a.Save("k", func() {}) == nil {
		t.Error("a function was encoded")
	}
}

func TestPermanent(t *testing.T) {
	if saga.Permanent(nil) != nil || saga.IsPermanent(nil) || saga.IsPermanent(sagatest.ErrDisk) {
		t.Error("nothing is permanent")
	}
	err := &saga.StepError{Step: "a", Err: saga.Permanent(sagatest.ErrDisk)}
	if !saga.IsPermanent(err) || !errors.Is(err, sagatest.ErrDisk) || !strings.HasPrefix(err.Error(), "a: ") {
		t.Error(err)
	}
}
