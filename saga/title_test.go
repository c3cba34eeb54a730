package saga_test

import (
	"testing"

	"ecluse/saga"
)

// A step that has a name of its own on the way back is called by that then, also in the
// history; the journal has only one.
func TestTitlesOnTheWayBack(t *testing.T) {
	r := newRig(t, "a", "b: a")
	r.runner.Plan.Steps[1].Reverse = "unb"
	r.want(saga.Completed, "a=whole b=whole", up)
	for _, n := range r.notices {
		if n.Title != "" {
			t.Errorf("going forward, %+v", n)
		}
	}
	r.notices = nil
	r.want(saga.Reverted, "", down)
	titles := 0
	for _, n := range r.notices {
		want := ""
		if n.Step == "b" {
			want, titles = "unb", titles+1
		}
		if n.Title != want {
			t.Errorf("going back, %+v", n)
		}
	}
	if titles != 2 {
		t.Errorf("%d notices have a title", titles)
	}
}
