package saga

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	if err := graph("a", "b: a", "c: a b").Validate(); err != nil {
		t.Error(err)
	}
	for name, plan := range map[string]Plan{
		"without a name":      graph(""),
		"without a kind":      {Steps: []Spec{{Name: "a"}}},
		"twice the same name": graph("a", "a"),
		"an unknown need":     graph("a: z"),
		"needs itself":        graph("a: a"),
		"a cycle":             graph("a: b", "b: a"),
		"out of order":        graph("b: a", "a"),
	} {
		if plan.Validate() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestIndex(t *testing.T) {
	plan := graph("a", "b")
	if plan.Index("b") != 1 || plan.Index("z") != -1 || plan.Index("") != -1 {
		t.Errorf("%d %d", plan.Index("b"), plan.Index("z"))
	}
}

func TestPlanAsText(t *testing.T) {
	plan := graph("a", "b: a")
	plan.Steps[1].Cause = "service b"
	if got := plan.String(); got != "1 a\n2 b needs a (service b)\n" {
		t.Errorf("%q", got)
	}
}

// A plan and its progress are read back as they were written: what they lose on
// the way a later process could not compensate.
func TestPlanAndProgressSurviveTheDisk(t *testing.T) {
	plan := graph("a", "b: a")
	plan.Steps[0] = Spec{
		Name: "a", Kind: "k", Cause: "c", Does: "d", Reverts: "r", Keep: true, Config: json.RawMessage(`{"x":1}`),
		Policy: Policy{Timeout: 1, CompensateTimeout: 2, Retries: 3, CompensateRetries: 4, Backoff: time.Minute, BestEffort: true},
	}
	p := newPlay(t, plan)
	p.p.HaltOnFailure = true
	p.on(Event{Kind: RunForward, Scope: "s"})
	p.on(saved("a", "k"))
	p.on(halt)
	p.on(Event{Kind: RunBackward, Err: "e", Code: "c", Step: "a"}, halt)
	for _, pair := range []struct{ in, out any }{{&plan, &Plan{}}, {&p.p, &Progress{}}} {
		data, err := json.Marshal(pair.in)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, pair.out); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(pair.in, pair.out); d != "" {
			t.Errorf("%s\n%s", d, data)
		}
	}
}

func TestPhasesAreKnown(t *testing.T) {
	for _, phase := range []Phase{Planned, Started, Done, Failed, Compensating, Compensated, CompensationFailed} {
		if !phase.Known() {
			t.Error(phase)
		}
		if phase.Running() != (phase == Started || phase == Compensating) {
			t.Error(phase)
		}
	}
	if Phase("").Known() || Phase("z").Known() {
		t.Error("an unknown phase is known")
	}
}

func TestInDoubtAndRemaining(t *testing.T) {
	p := newPlay(t, graph("a", "b", "c: a b"))
	p.on(begin)
	p.on(done("a"))
	if got := strings.Join(p.p.InDoubt(p.plan), " "); got != "b" {
		t.Errorf("in doubt: %s", got)
	}
	if got := strings.Join(p.p.Remaining(p.plan), " "); got != "a b" {
		t.Errorf("remaining: %s", got)
	}
	p.p.Kept = []string{"a"}
	if got := strings.Join(p.p.Remaining(p.plan), " "); got != "b" {
		t.Errorf("remaining but for what is kept: %s", got)
	}
}
