package saga_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ecluse/saga"
)

// sim carries out what Next decides as a runner does, one thing at a time, in an
// order that rapid draws: attempts get on, fail, are cancelled, and the owner dies
// at any moment. There are no goroutines, so that thousands of cases are cheap.
type sim struct {
	*rapid.T
	plan     saga.Plan
	p        saga.Progress
	run      string
	outcome  saga.Outcome
	effects  []int // 0 none, 1 half, 2 whole
	attempts map[string]*attempt
	looking  bool

	crashes, failures int
	// Per run: the deaths of its owners, the attempts of each step, and the turns.
	deaths       int
	does, undoes []int
	turns        int
	scope        bool
	spoilt       []bool // by a user, in this run
}

// attempt is one that is under way.
type attempt struct {
	undo, cancelled bool
	half            bool
}

// drawPlan draws a graph: each step needs some of those before it.
func drawPlan(t *rapid.T) saga.Plan {
	var plan saga.Plan
	for i := range rapid.IntRange(1, 6).Draw(t, "steps") {
		spec := saga.Spec{Name: fmt.Sprint("s", i), Kind: "test"}
		for j := range i {
			if rapid.IntRange(0, 2).Draw(t, "needs") == 0 {
				spec.Needs = append(spec.Needs, fmt.Sprint("s", j))
			}
		}
		spec.Policy = saga.Policy{
			Retries:           rapid.IntRange(0, 2).Draw(t, "retries"),
			CompensateRetries: rapid.IntRange(0, 1).Draw(t, "compensate retries"),
			BestEffort:        rapid.IntRange(0, 5).Draw(t, "best effort") == 0,
		}
		plan.Steps = append(plan.Steps, spec)
	}
	return plan
}

// begin begins a run, or takes it over after a crash.
func (s *sim) begin(run string, events ...saga.Event) {
	if run != s.run {
		s.run, s.turns, s.deaths = run, 0, 0
		s.does, s.undoes = make([]int, len(s.plan.Steps)), make([]int, len(s.plan.Steps))
	}
	s.attempts, s.looking = map[string]*attempt{}, false
	s.tell(events...)
}

// tell commits events and takes what is to be done.
func (s *sim) tell(events ...saga.Event) {
	before := s.p.Direction
	d, err := saga.Next(s.plan, s.p, s.run, time.Time{}, events...)
	if err != nil {
		s.Fatal(err)
	}
	begins := slices.ContainsFunc(events, func(e saga.Event) bool { return e.Kind == saga.RunForward || e.Kind == saga.RunBackward })
	s.p, s.outcome = d.Progress, d.Outcome
	if !begins && before != s.p.Direction {
		if s.turns++; before == saga.Backward || s.turns > 1 {
			s.Fatalf("run %s turned from %s for the %d. time", s.run, before, s.turns)
		}
	}
	for _, a := range d.Actions {
		s.take(a)
	}
	if s.outcome != saga.Running && len(s.attempts) > 0 {
		s.Fatalf("it is %s and attempts go on", s.outcome)
	}
}

// take begins an action.
func (s *sim) take(a saga.Action) {
	i := s.plan.Index(a.Step)
	switch a.Kind {
	case saga.ActVerify:
		s.looking = true
	case saga.ActCancel:
		if s.attempts[a.Step] == nil {
			s.Fatalf("%s is cancelled and does not run", a.Step)
		}
		s.attempts[a.Step].cancelled = true
	case saga.ActDo:
		if s.does[i]++; s.does[i] > s.plan.Steps[i].Policy.Retries+1+s.deaths {
			s.Fatalf("%s is done for the %d. time in one run", a.Step, s.does[i])
		}
		for _, need := range s.plan.Steps[i].Needs {
			j := s.plan.Index(need)
			if s.effects[j] != 2 && !s.plan.Steps[j].Policy.BestEffort {
				s.Fatalf("%s is begun without %s", a.Step, need)
			}
		}
		s.start(a.Step, &attempt{})
	case saga.ActCompensate:
		if s.undoes[i]++; s.undoes[i] > (s.plan.Steps[i].Policy.CompensateRetries+1)*(1+s.deaths) {
			s.Fatalf("%s is compensated for the %d. time in one run", a.Step, s.undoes[i])
		}
		for j, spec := range s.plan.Steps {
			if !s.scope && s.effects[j] != 0 && !slices.Contains(s.p.Kept, spec.Name) && slices.Contains(spec.Needs, a.Step) {
				s.Fatalf("%s is compensated under %s", a.Step, spec.Name)
			}
		}
		s.start(a.Step, &attempt{undo: true})
	}
}

func (s *sim) start(step string, a *attempt) {
	if s.attempts[step] != nil {
		s.Fatalf("two attempts at %s", step)
	}
	s.attempts[step] = a
}

// play goes on until the run ends or its owner dies; it reports whether it ended.
func (s *sim) play() bool {
	for s.outcome == saga.Running {
		if s.crashes > 0 && rapid.IntRange(0, 9).Draw(s.T, "crash") == 0 {
			s.crashes--
			s.deaths++
			return false
		}
		if s.looking && (len(s.attempts) == 0 || rapid.Bool().Draw(s.T, "look")) {
			s.look()
			continue
		}
		if len(s.attempts) == 0 {
			s.Fatalf("nothing runs and the run goes on: %+v", s.p)
		}
		var names []string
		for _, spec := range s.plan.Steps {
			if s.attempts[spec.Name] != nil {
				names = append(names, spec.Name)
			}
		}
		s.getOn(rapid.SampledFrom(names).Draw(s.T, "step"))
		if rapid.IntRange(0, 40).Draw(s.T, "stop") == 0 && s.outcome == saga.Running {
			s.tell(saga.Event{Kind: saga.Turn, Err: "stop"})
		}
	}
	return true
}

// damage is what a user does to a step that is done, now and then.
func (s *sim) damage() {
	if rapid.IntRange(0, 9).Draw(s.T, "damage") > 0 {
		return
	}
	i := rapid.IntRange(0, len(s.effects)-1).Draw(s.T, "damaged step")
	if s.p.Steps[i].Phase == saga.Done {
		s.effects[i] = rapid.IntRange(0, 1).Draw(s.T, "damaged to")
		s.spoilt[i] = true
	}
}

// look is the last look.
func (s *sim) look() {
	s.looking = false
	s.damage()
	var lost []saga.Event
	for i, spec := range s.plan.Steps {
		if s.p.Steps[i].Phase == saga.Done && s.effects[i] != 2 {
			lost = append(lost, saga.Event{Kind: saga.StepLost, Step: spec.Name, Err: "lost"})
		}
	}
	if lost == nil {
		lost = []saga.Event{{Kind: saga.Verified}}
	}
	s.tell(lost...)
}

// getOn lets an attempt do half of its work, or report.
func (s *sim) getOn(step string) {
	i, a := s.plan.Index(step), s.attempts[step]
	if phase := s.p.Steps[i].Phase; !phase.Running() {
		s.Fatalf("%s acts while the journal says %s", step, phase)
	}
	fails := a.cancelled || s.failures > 0 && rapid.IntRange(0, 3).Draw(s.T, "fails") == 0
	if fails {
		if !a.cancelled {
			s.failures--
		}
		delete(s.attempts, step)
		kind := saga.StepFailed
		if a.undo {
			kind = saga.StepCompensationFailed
		}
		s.tell(saga.Event{Kind: kind, Step: step, Err: "no", Permanent: rapid.IntRange(0, 3).Draw(s.T, "permanent") == 0})
		return
	}
	goal, kind := 2, saga.StepDone
	if a.undo {
		goal, kind = 0, saga.StepCompensated
	}
	if !a.half {
		a.half = true
		if s.effects[i] != goal {
			s.effects[i] = 1
		}
		return
	}
	s.effects[i] = goal
	delete(s.attempts, step)
	s.tell(saga.Event{Kind: kind, Step: step})
}

// toTheEnd takes a run over until it has ended.
func (s *sim) toTheEnd() {
	for !s.play() {
		s.begin(s.run, saga.Event{Kind: saga.Resume, Steps: s.missing()})
	}
	s.honest()
}

// missing lists the done steps that are not whole.
func (s *sim) missing() []string {
	var names []string
	for i, spec := range s.plan.Steps {
		if s.p.Steps[i].Phase == saga.Done && s.effects[i] != 2 {
			names = append(names, spec.Name)
		}
	}
	return names
}

// honest checks that the journal knows of everything that is there.
func (s *sim) honest() {
	known := append(s.p.Remaining(s.plan), s.p.Kept...)
	for i, spec := range s.plan.Steps {
		if s.effects[i] != 0 && !slices.Contains(known, spec.Name) {
			s.Fatalf("%s is there and the journal says %+v", spec.Name, s.p.Steps[i])
		}
	}
	switch s.outcome {
	case saga.Completed:
		for i, spec := range s.plan.Steps {
			if s.effects[i] != 2 && !spec.Policy.BestEffort {
				s.Fatalf("completed without %s", spec.Name)
			}
		}
	case saga.Reverted:
		for i, spec := range s.plan.Steps {
			if s.effects[i] != 0 && !s.scope && !slices.Contains(s.p.Kept, spec.Name) {
				s.Fatalf("reverted, and %s is there", spec.Name)
			}
		}
	case saga.Stuck:
		if !slices.ContainsFunc(s.p.Steps, func(step saga.StepState) bool { return step.Phase == saga.CompensationFailed }) {
			s.Fatal("stuck, and no compensation has failed")
		}
	}
}

// Whatever graph, whatever fails, whoever dies: repeated runs end all or nothing,
// the order of the graph is kept both ways, attempts are bounded, a run turns at
// most once, and the journal knows of everything that is there.
func TestRandomSagas(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue && !testing.Short() {
		if err := f.Value.Set("20000"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Value.Set(f.DefValue) }()
	}
	ends := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t)
		s := &sim{T: t, plan: plan, p: saga.NewProgress(plan), effects: make([]int, len(plan.Steps)), spoilt: make([]bool, len(plan.Steps))}
		settled, story := false, []string{}
		for n := range rapid.IntRange(1, 4).Draw(t, "runs") {
			s.crashes, s.failures = rapid.IntRange(0, 4).Draw(t, "crashes"), rapid.IntRange(0, 4).Draw(t, "failures")
			if run := fmt.Sprint("r", n); rapid.Bool().Draw(t, "backward") {
				settled = s.backward(run)
			} else {
				s.forward(run, settled)
			}
			settled = settled || s.outcome == saga.Completed
			story = append(story, string(s.outcome))
		}
		// In any case two more runs, undisturbed, end everything.
		s.crashes, s.failures, s.scope = 0, 0, false
		for n := 0; s.outcome != saga.Reverted || n == 0; n++ {
			if n == 2 {
				t.Fatalf("%s after two undisturbed teardowns", s.outcome)
			}
			s.begin(fmt.Sprint("end", n), saga.Event{Kind: saga.RunBackward})
			s.toTheEnd()
		}
		ends[strings.Join(story, " ")]++
	})
	t.Logf("%d kinds of stories", len(ends))
}

// backward is a teardown, which may keep a step; it reports whether it does.
func (s *sim) backward(run string) bool {
	var kept []string
	if rapid.IntRange(0, 3).Draw(s.T, "keep") == 0 {
		kept = []string{"s0"}
	}
	s.scope = false
	var abandoned []string
	for _, name := range s.p.Uncompensated(s.plan) {
		if rapid.IntRange(0, 2).Draw(s.T, "abandon") == 0 {
			abandoned = append(abandoned, name)
			s.effects[s.plan.Index(name)] = 0 // it is the user's from now on
		}
	}
	s.begin(run, saga.Event{Kind: saga.RunBackward, Steps: kept, Abandon: abandoned})
	s.toTheEnd()
	return kept != nil
}

// forward is an up, or a repair of what is settled. A repair that was reverted
// leaves what was whole before it and was not its business.
func (s *sim) forward(run string, settled bool) {
	if settled {
		s.damage()
	}
	before := slices.Clone(s.effects)
	clear(s.spoilt)
	e := saga.Event{Kind: saga.RunForward, Steps: s.missing()}
	if s.scope = settled; s.scope {
		e.Scope = run
	}
	s.p.HaltOnFailure = rapid.IntRange(0, 4).Draw(s.T, "halt") == 0
	s.begin(run, e)
	s.toTheEnd()
	if !s.scope || s.outcome != saga.Reverted {
		return
	}
	for i, spec := range s.plan.Steps {
		if before[i] == 2 && s.effects[i] != 2 && !s.spoilt[i] && s.p.Steps[i].Run != run {
			s.Fatalf("%s was whole before the repair that failed", spec.Name)
		}
	}
}
