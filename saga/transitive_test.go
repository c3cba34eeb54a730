package saga_test

import (
	"testing"
	"time"

	"ecluse/saga"
)

// A step whose need is done must still wait for what that need stands on.
func TestAStepWaitsForWhatItNeedsThroughOthers(t *testing.T) {
	plan := saga.Plan{Steps: []saga.Spec{
		{Name: "ground", Kind: "k"},
		{Name: "house", Kind: "k", Needs: []string{"ground"}},
		{Name: "roof", Kind: "k", Needs: []string{"house"}},
	}}
	p := saga.NewProgress(plan)
	for i := range p.Steps {
		p.Steps[i].Phase, p.Steps[i].Run = saga.Done, "run-1"
	}
	d, err := saga.Next(plan, p, "run-2", time.Now(), saga.Event{Kind: saga.RunForward, Steps: []string{"ground", "roof"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Actions) != 1 || d.Actions[0].Step != "ground" {
		t.Fatalf("actions %v, want only ground", d.Actions)
	}
	d, err = saga.Next(plan, d.Progress, "run-2", time.Now(), saga.Event{Kind: saga.StepDone, Step: "ground"})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Actions) != 1 || d.Actions[0].Step != "roof" {
		t.Fatalf("actions %v, want roof", d.Actions)
	}
}
