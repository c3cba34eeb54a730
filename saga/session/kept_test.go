package session

import (
	"testing"

	"ecluse/fsm"
	"ecluse/saga"
)

// What a step keeps on the way back of a repair is no reason to call the session stopped;
// one that was stopped stays so.
func TestARepairThatKeepsWhatItFound(t *testing.T) {
	kept := saga.Event{Kind: saga.StepKept, Step: "tree"}
	l := newLife(t).up().claim(ClaimUp, "tree").wantActions("do tree")
	l.tell(broke("tree")).wantActions("compensate tree").tell(kept).want(fsm.Failed)
	if f := l.s.Failure; f.Step != "tree" || f.Code != CodeStepFailed {
		t.Errorf("%+v", f)
	}
	e := l.claimEvent(ClaimDown)
	e.Options.KeepWorktree = true
	l.on(e).wantActions("compensate web, compensate db").tell(undone("web", "db")...).want(fsm.Stopped)
	l.claim(ClaimUp, "tree").tell(broke("tree")).tell(kept).want(fsm.Stopped)
	if l.s.Failure == nil || l.s.Progress.Steps[0].Phase != saga.Done {
		t.Errorf("%+v", l.s)
	}
	l.claim(ClaimDown).wantActions("compensate tree").tell(undone("tree")...).want(fsm.Absent)
}
