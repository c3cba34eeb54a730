package saga

import "testing"

// abandoning begins a run back that gives steps up.
func abandoning(steps ...string) Event { return Event{Kind: RunBackward, Abandon: steps} }

// stuckPlay is a plan of which b cannot be compensated: a stands under it, c is gone.
func stuckPlay(t *testing.T) *play {
	t.Helper()
	p := newPlay(t, graph("a", "b: a", "c: b"))
	p.on(begin)
	p.on(done("a"))
	p.on(saved("b", "where"), done("b"))
	p.on(done("c"))
	p.run = "r2"
	p.want("compensate c", Running, teardown)
	p.want("compensate b", Running, gone("c"))
	p.want("", Stuck, failedGone("b"))
	p.run = "r3"
	return p
}

func TestAnAbandonedStepKeepsNothingUp(t *testing.T) {
	p := stuckPlay(t)
	p.want("compensate a", Running, abandoning("b"))
	entry := p.last.Entries[0]
	if entry.Step != "b" || entry.Phase != PhaseAbandoned || entry.Err != "no way back" || string(entry.Facts["where"]) != "1" {
		t.Errorf("the history says %+v", entry)
	}
	// A crash, or a run back that is stuck elsewhere, changes nothing about it.
	p.want("compensate a", Running, resume())
	p.want("", Stuck, failedGone("a"))
	p.want("compensate a", Running, abandoning("b"))
	p.want("compensate a", Running, teardown)
	p.want("", Reverted, gone("a"))
	if got := p.phases(); got != "compensated abandoned compensated" {
		t.Error(got)
	}
}

// Only what a compensation has failed at can be given up.
func TestWhatMayBeAbandoned(t *testing.T) {
	p := stuckPlay(t)
	for _, step := range []string{"a", "c", "nothing"} {
		p.refuse(abandoning(step))
		p.refuse(abandoning("b", step))
	}
	p.want("compensate b", Running, teardown)
	p.refuse(abandoning("b")) // somebody is at it, or was when they were cut off
}

// What was abandoned is made anew as something of which a part may be there, with the
// facts of it, and a later run back tries it again.
func TestAnAbandonedStepIsMadeAnew(t *testing.T) {
	p := stuckPlay(t)
	p.want("", Reverted, Event{Kind: RunBackward, Steps: []string{"a"}, Abandon: []string{"b"}})
	p.run = "r4"
	p.want("do b", Running, begin)
	if a := p.last.Actions[0]; !a.Resumed || string(p.p.Steps[1].Facts["where"]) != "1" {
		t.Errorf("%+v of %+v", a, p.p.Steps[1])
	}
	p.want("compensate b", Running, failed("b"))
	p.want("compensate a", Running, gone("b"))

	// Also if nobody comes to begin it.
	p = stuckPlay(t)
	p.want("compensate a", Running, abandoning("b"))
	p.want("", Reverted, gone("a"))
	p.run = "r4"
	p.want("do a", Running, begin)
	p.want("cancel a, compensate b", Running, turn)
	p.want("", Running, failed("a"))
	p.want("compensate a", Running, gone("b"))
}
