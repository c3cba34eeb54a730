package session

import (
	"slices"
	"testing"

	"ecluse/fsm"
	"ecluse/saga"
)

// heldLife is a session that is up and has a step that holds data.
func heldLife(t *testing.T) *life {
	l := newLife(t)
	e := l.claimEvent(ClaimUp)
	plan := testPlan
	plan.Steps = slices.Clone(plan.Steps)
	plan.Steps[2].Data = true
	e.New.Plan = plan
	return l.on(e).tell(did("tree")...).tell(did("web", "db")...).tell(saga.Event{Kind: saga.Verified}).want(fsm.Active)
}

// down begins a teardown.
func (l *life) down(o Options) *life {
	l.t.Helper()
	e := l.claimEvent(ClaimDown)
	e.Options = o
	return l.on(e)
}

// Data is left only together with the worktree, and only when both were asked for.
func TestWhoKeepsTheData(t *testing.T) {
	l := heldLife(t).down(Options{KeepWorktree: true}).tell(undone("web", "db")...).want(fsm.Stopped)
	l.down(Options{}).wantActions("compensate tree")

	// Without a session nobody would know of it: the step itself leaves it then.
	heldLife(t).down(Options{KeepVolumes: true}).tell(undone("web", "db")...).tell(undone("tree")...).want(fsm.Absent)
}

// A session that was stopped with its data still has it, and knows it.
func TestDataOfAStoppedSession(t *testing.T) {
	both := Options{KeepWorktree: true, KeepVolumes: true}
	l := heldLife(t).down(both).tell(undone("web")...).want(fsm.Stopped)
	if db := l.s.Progress.Steps[2]; db.Phase != saga.Done {
		t.Fatalf("db is %s", db.Phase)
	}
	if !l.s.stopped(both) || l.s.stopped(Options{KeepWorktree: true}) || l.s.stopped(Options{}) {
		t.Error("what would be left for a teardown to do was misjudged")
	}
	stopped := l.s

	l.down(Options{}).wantActions("compensate db").tell(undone("db")...).tell(undone("tree")...).want(fsm.Absent)

	l.s = stopped // or: only the data is to go
	l.down(Options{KeepWorktree: true}).wantActions("compensate db").tell(undone("db")...).want(fsm.Stopped)

	l.s = stopped // or: it goes on, and fails
	l.claim(ClaimUp).wantActions("do web").tell(broke("web")).tell(undone("web")...).want(fsm.Stopped)
	if db := l.s.Progress.Steps[2]; db.Phase != saga.Done {
		t.Errorf("after an up that failed db is %s", db.Phase)
	}
}
