package store

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/store/storetest"
)

// lines is a history in short.
func lines(t *testing.T, s *Store, f Filter) (short []string) {
	t.Helper()
	entries, err := s.History(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text := e.Slug
		if e.To != "" {
			text += fmt.Sprintf(" %s>%s", e.From, e.To)
		}
		if e.Step != "" {
			text += fmt.Sprintf(" %s %s", e.Step, e.Phase)
		}
		short = append(short, text)
	}
	return short
}

func TestHistory(t *testing.T) {
	s := newStore(t)
	one, _ := up(t, s, 1)
	other := &storetest.Script{Store: s, Key: session.Key{Repo: "/another/.git", Slug: key(1).Slug}}
	if _, err := other.Claim(session.ClaimUp, 1); err != nil {
		t.Fatal(err)
	}
	upRun := one.Fence.Run
	if _, err := one.Down(); err != nil {
		t.Fatal(err)
	}
	downRun := one.Fence.Run
	upLines := []string{
		"feat-1 absent>pending-up", "feat-1 worktree started", "feat-1 worktree done",
		"feat-1 compose started", "feat-1 compose done", "feat-1 pending-up>active",
	}
	downLines := []string{
		"feat-1 active>pending-down", "feat-1 compose compensating", "feat-1 compose compensated",
		"feat-1 worktree compensating", "feat-1 worktree compensated", "feat-1 pending-down>absent",
	}
	otherLines := []string{"feat-1 absent>pending-up", "feat-1 worktree started"}
	both := append(append([]string{}, upLines...), downLines...)
	all := append(append(append([]string{}, upLines...), otherLines...), downLines...)
	for name, test := range map[string]struct {
		filter Filter
		want   []string
	}{
		"all":               {Filter{}, all},
		"newest":            {Filter{Limit: 3}, all[len(all)-3:]},
		"more than all":     {Filter{Limit: 300}, all},
		"repository":        {Filter{Repo: key(1).Repo}, both},
		"newest of it":      {Filter{Repo: key(1).Repo, Limit: 7}, both[len(both)-7:]},
		"session":           {Filter{Repo: key(1).Repo, Slug: key(1).Slug}, both},
		"another":           {Filter{Repo: "/another/.git", Slug: key(1).Slug}, otherLines},
		"slug":              {Filter{Slug: key(1).Slug}, all},
		"slug's end":        {Filter{Slug: "1"}, nil},
		"run":               {Filter{Run: upRun}, upLines},
		"newest of a run":   {Filter{Run: downRun, Limit: 2}, downLines[len(downLines)-2:]},
		"run of the wrong":  {Filter{Run: upRun, Slug: "feat-2"}, nil},
		"no such run":       {Filter{Run: "x"}, nil},
		"no such session":   {Filter{Repo: key(1).Repo, Slug: "feat"}, nil},
		"prefix of a repo":  {Filter{Repo: "/repo"}, nil},
		"prefix of another": {Filter{Repo: "/another/.gi"}, nil},
	} {
		if diff := cmp.Diff(test.want, lines(t, s, test.filter)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// shortRuns are summaries in short.
func shortRuns(t *testing.T, s *Store, f Filter) (short []string) {
	t.Helper()
	runs, err := s.Runs(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		text := fmt.Sprintf("%s %s %s>%s %s", r.Slug, r.Verb, r.From, r.State, r.Outcome)
		if r.EndedAt.IsZero() != (r.Outcome == saga.Running) || r.Session == "" || r.StartedAt.IsZero() {
			text += fmt.Sprintf(" %+v", r)
		}
		if r.Failure != nil {
			text += " " + r.Failure.Code + " " + r.Failure.Step
		}
		short = append(short, text)
	}
	return short
}

func TestRuns(t *testing.T) {
	s := newStore(t)
	one, _ := up(t, s, 1)
	if _, err := one.Down(); err != nil {
		t.Fatal(err)
	}
	two := &storetest.Script{Store: s, Key: key(2)}
	claim := func(kind session.EventKind) {
		t.Helper()
		if _, err := two.Claim(kind, 2); err != nil {
			t.Fatal(err)
		}
	}
	claim(session.ClaimUp)
	want := []string{"feat-1 up absent>active completed", "feat-1 down active>absent reverted", "feat-2 up absent>pending-up running"}
	check := func(f Filter, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, shortRuns(t, s, f)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", f, diff)
		}
	}
	check(Filter{}, want...)
	claim(session.ClaimResume)
	check(Filter{}, want...)
	// A step fails for good: the run turns back, and ends.
	if _, err := two.Tell(saga.Event{Kind: saga.StepFailed, Step: "worktree", Err: "no room", Permanent: true}); err != nil {
		t.Fatal(err)
	}
	want[2] = "feat-2 up absent>pending-down running"
	check(Filter{}, want...)
	result, err := two.Tell(saga.Event{Kind: saga.StepCompensated, Step: "worktree"})
	if err != nil || result.Session.State != fsm.Absent {
		t.Fatal(result.Session.State, err)
	}
	want[2] = "feat-2 up absent>absent reverted step-failed worktree"
	check(Filter{}, want...)
	// A run that nobody finishes.
	two.Seen = 0
	claim(session.ClaimUp)
	cutOff := two.Fence.Run
	claim(session.ClaimDown)
	want = append(want, "feat-2 up absent>pending-up superseded", "feat-2 down pending-up>pending-down running")
	check(Filter{}, want...)
	check(Filter{Limit: 1}, want[4])
	check(Filter{Run: cutOff}, want[3])
	check(Filter{Run: cutOff, Slug: "feat-1"})
	check(Filter{Repo: key(1).Repo, Slug: "feat-1"}, want[:2]...)
	check(Filter{Repo: key(1).Repo, Slug: "feat-1", Limit: 1}, want[1])
	check(Filter{Slug: "feat-2", Limit: 2}, want[3:]...)
	check(Filter{Repo: "/repo"})
	check(Filter{Run: "x"})
}
