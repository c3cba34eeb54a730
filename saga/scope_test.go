package saga

import (
	"slices"
	"testing"
)

// A repair that fails compensates what it did and nothing else.
func TestScope(t *testing.T) {
	p := newPlay(t, graph("a", "b: a", "c: a"))
	p.on(begin)
	p.on(done("a"))
	p.on(saved("b", "k"), done("b"), done("c"))
	p.on(verified)
	p.run = "r2"
	p.want("do b, do c", Running, Event{Kind: RunForward, Steps: []string{"b", "c"}, Scope: "r2"})
	if a := p.last.Actions[0]; !a.Resumed {
		t.Error("what was done once may be there in part")
	}
	p.want("cancel c, compensate b", Running, failed("b"))
	p.want("compensate c", Running, done("c"))
	p.on(gone("b"))
	p.want("", Reverted, gone("c"))
	if got := p.phases(); got != "done compensated compensated" {
		t.Error(got)
	}
	if p.p.Steps[1].Facts["k"] == nil {
		t.Error("the facts of the earlier attempt are gone, and its compensation needs them")
	}
	p.run = "r3"
	p.want("compensate b, compensate c", Running, teardown) // they were made once
	p.want("", Running, gone("b"))
	p.want("compensate a", Running, gone("c"))
	if p.p.Steps[1].Facts != nil {
		t.Error("facts outlive the effect")
	}
}

// What a repair began and what was then cut off is its own doing, though the
// journal says planned again when its successor turns at once.
func TestScopeCoversWhatWasCutOff(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	p.on(done("a"))
	p.on(done("b"))
	p.on(verified)
	p.run = "r2"
	p.want("do a", Running, Event{Kind: RunForward, Steps: []string{"a"}, Scope: "r2"})
	p.want("compensate a", Running, resume(), turn)
	p.want("", Reverted, gone("a"))
	if got := p.phases(); got != "compensated done" {
		t.Error(got)
	}
}

// A repair that never came to a step leaves it to a full teardown.
func TestScopeLeavesWhatWasNotBegun(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	p.on(done("a"))
	p.on(done("b"))
	p.on(verified)
	p.run = "r2"
	p.want("do a", Running, Event{Kind: RunForward, Steps: []string{"a", "b"}, Scope: "r2"})
	p.want("compensate a", Running, failed("a"))
	p.want("", Reverted, gone("a"))
	if got := p.p.Remaining(p.plan); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("remaining %v", got)
	}
	p.run = "r3"
	p.want("compensate b", Running, teardown)
}

// A step that the session never had before leaves nothing behind when its first
// run is reverted, facts included.
func TestARevertedFirstAttemptLeavesNoFacts(t *testing.T) {
	p := newPlay(t, graph("a", "b: a"))
	p.on(begin)
	p.on(done("a"))
	p.on(failed("b"))
	p.run = "r2"
	p.on(Event{Kind: RunBackward, Steps: []string{"a"}})
	p.on(gone("b"))
	p.run = "r3"
	p.on(Event{Kind: RunForward, Scope: "r3"})
	p.on(saved("b", "k"))
	p.on(failed("b"))
	p.want("", Reverted, gone("b"))
	if s := p.p.Steps[1]; s.Facts != nil || s.Prior {
		t.Errorf("%+v", s)
	}
}

// What an earlier run had made, a step keeps on the way back of a repair: it is done, as
// it was before, and the next run looks at it. What it stands on is left, too.
func TestAStepKeepsWhatARepairFound(t *testing.T) {
	p := newPlay(t, graph("a", "b: a", "c: b"))
	p.on(begin)
	p.on(done("a"))
	p.on(saved("b", "k"), done("b"))
	p.on(done("c"))
	p.on(verified)
	p.run = "r2"
	p.want("do b", Running, Event{Kind: RunForward, Steps: []string{"b"}, Scope: "r2"})
	p.refuse(kept("b"))
	p.want("compensate b", Running, failed("b"))
	p.refuse(kept("a"))
	p.want("", Reverted, kept("b"))
	if s := p.p.Steps[1]; p.phases() != "done done done" || s.Facts["k"] == nil || s.Err != "" || s.Resumed {
		t.Errorf("%s, %+v", p.phases(), s)
	}
	if e := p.last.Entries; len(e) != 1 || e[0].Step != "b" || e[0].Phase != Done {
		t.Errorf("%+v", e)
	}
	if got := p.p.Remaining(p.plan); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("remaining, besides what is kept: %v", got)
	}
	p.run = "r3"
	p.want("compensate c", Running, teardown)
	p.want("compensate b", Running, gone("c"))
	p.want("compensate a", Running, gone("b"))
}

// A teardown that is to keep a step, at which an earlier one failed or was cut off, asks
// the step; and its successor does not ask again.
func TestAStepThatIsNotDoneMayKeepItself(t *testing.T) {
	for name, before := range map[string]Event{"failed": failedGone("b"), "cut off": resume()} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t, graph("a", "b: a", "c: b"))
			p.on(begin)
			p.on(done("a"))
			p.on(done("b"))
			p.on(done("c"))
			p.run = "r2"
			p.on(teardown)
			p.on(gone("c"))
			p.on(before)
			p.run = "r3"
			p.want("compensate b", Running, Event{Kind: RunBackward, Steps: []string{"a", "b"}})
			p.want("", Reverted, kept("b"))
			if p.phases() != "done done compensated" || !slices.Equal(p.p.Kept, []string{"a", "b"}) {
				t.Errorf("%s, kept %v", p.phases(), p.p.Kept)
			}
			p.want("", Reverted, resume())
			p.run = "r4"
			p.want("compensate b", Running, teardown)
		})
	}
}

func kept(step string) Event { return Event{Kind: StepKept, Step: step} }
