package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
)

// Backend is what the suite tests.
type Backend interface {
	session.Store
	session.Locker
}

// Run tests what open makes in an empty folder.
func Run(t *testing.T, open func(dir string) interface {
	session.Store
	session.Locker
}) {
	for _, test := range []struct {
		name string
		test func(*testing.T, Backend)
	}{
		{"empty", testEmpty},
		{"a session's life", testLife},
		{"what is read is a copy", testCopies},
		{"the cause of a failure is kept", testCause},
		{"list is sorted", testSorted},
		{"an error writes nothing", testRefused},
		{"slots are unique in a repository", testSlots},
		{"ports are unique on the machine", testPorts},
		{"epochs are never used again", testEpochs},
		{"who lost the session writes nothing", testFence},
		{"a stop is left for the owner", testStop},
		{"an owner lock has one holder", testOwn},
		{"an owner lock is waited for", testWait},
		{"an owner lock is given back once", testRelease},
		{"owner locks under load", testOwnLoad},
	} {
		t.Run(test.name, func(t *testing.T) { test.test(t, open(t.TempDir())) })
	}
}

var (
	keyA = session.Key{Repo: "/repo/a/.git", Slug: "feat-a"}
	keyB = session.Key{Repo: "/repo/a/.git", Slug: "feat-b"}
	keyC = session.Key{Repo: "/repo/c/.git", Slug: "feat-a"}
)

// want fails the test unless err wraps the error that is wanted.
func want(t *testing.T, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("error %v, want one that wraps %v", err, wanted)
	}
}

// ok fails the test on an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must is v; an error ends the test with a panic, whose stack says where.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// same fails the test unless the store has these sessions, in that order.
func same(t *testing.T, b Backend, sessions ...session.Session) {
	t.Helper()
	all, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	slots := map[string]map[int]string{keyA.Repo: {}}
	for _, s := range sessions {
		if slots[s.Repo] == nil {
			slots[s.Repo] = map[int]string{}
		}
		slots[s.Repo][s.Slot] = s.Slug
	}
	for repo, want := range slots {
		if diff := cmp.Diff(want, must(b.Slots(repo))); diff != "" {
			t.Fatalf("the slots of %s are (-want +got):\n%s", repo, diff)
		}
	}
	if len(all) == 0 && len(sessions) == 0 {
		return
	}
	if diff := cmp.Diff(sessions, all, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("the store has (-want +got):\n%s", diff)
	}
	for _, s := range sessions {
		if diff := cmp.Diff(s, must(b.Get(s.Key)), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the record of %s is (-want +got):\n%s", s.Slug, diff)
		}
	}
}

func testEmpty(t *testing.T, b Backend) {
	_, err := b.Get(keyA)
	want(t, err, session.ErrNotFound)
	same(t, b)
	if owner := must(b.Holder(keyA)); owner != nil {
		t.Errorf("holder %v", owner)
	}
	s := &Script{Store: b, Key: keyA}
	_, err = s.Claim(session.ClaimDown, 0)
	want(t, err, session.ErrNotFound)
	_, err = s.Tell(saga.Event{Kind: saga.StepDone, Step: "worktree"})
	want(t, err, session.ErrSuperseded)
	same(t, b)
}

func testLife(t *testing.T, b Backend) {
	s := &Script{Store: b, Key: keyA}
	result, err := s.Claim(session.ClaimUp, 3, session.Want{Name: "web", Candidates: []int{8000}})
	ok(t, err)
	if result.Session.State != fsm.PendingUp || len(result.Decision.Actions) == 0 || len(result.History) == 0 {
		t.Fatalf("claim answered %+v", result)
	}
	same(t, b, result.Session)
	for _, e := range []saga.Event{
		{Kind: saga.StepSaved, Step: "worktree", Key: "made", Data: []byte(`true`)},
		{Kind: saga.StepDone, Step: "worktree"},
		{Kind: saga.StepDone, Step: "compose"},
		{Kind: saga.Verified},
	} {
		result, err = s.Tell(e)
		ok(t, err)
		same(t, b, result.Session)
	}
	if got := result.Session; got.State != fsm.Active || got.Slot != 3 || got.Ports["web"] != 8000 {
		t.Fatalf("the session that is up is %+v", got)
	}
	ok(t, err)
	gone, err := s.Down()
	ok(t, err)
	if gone.State != fsm.Absent {
		t.Fatalf("after down it is %s", gone.State)
	}
	same(t, b)
	_, err = b.Get(keyA)
	want(t, err, session.ErrNotFound)
}

func testCopies(t *testing.T, b Backend) {
	s := &Script{Store: b, Key: keyA}
	up, err := s.Up(1, session.Want{Name: "web", Candidates: []int{8000}})
	ok(t, err)
	got := must(b.Get(keyA))
	got.Ports["web"] = 1
	got.Progress.Steps[0].Phase = saga.Failed
	got.Plan.Steps[0].Config[0] = '!'
	same(t, b, up)
}

func testCause(t *testing.T, b Backend) {
	s := &Script{Store: b, Key: keyA}
	_, err := s.Up(1)
	ok(t, err)
	_, err = s.Claim(session.ClaimDown, 0)
	ok(t, err)
	result, err := s.Tell(saga.Event{Kind: saga.StepCompensationFailed, Step: "compose", Err: "no space", Code: "full", Permanent: true})
	ok(t, err)
	same(t, b, result.Session)
	got := must(b.Get(keyA))
	if f := got.Failure; got.State != fsm.Failed || f == nil || f.Cause != "full" || got.Progress.Steps[1].Code != "full" {
		t.Errorf("the session that failed is %+v", got)
	}
}

func testSorted(t *testing.T, b Backend) {
	var all [3]session.Session
	for _, i := range []int{2, 0, 1} {
		s := &Script{Store: b, Key: []session.Key{keyA, keyB, keyC}[i]}
		all[i] = must(s.Up(i + 1))
	}
	same(t, b, all[:]...)
}

func testRefused(t *testing.T, b Backend) {
	s := &Script{Store: b, Key: keyA}
	up, err := s.Up(1, session.Want{Name: "web", Candidates: []int{8000}})
	ok(t, err)

	_, err = s.Tell(saga.Event{Kind: saga.StepDone, Step: "compose"}) // its run has ended
	want(t, err, session.ErrSuperseded)
	_, err = s.Claim(session.ClaimResume, 0)
	want(t, err, session.ErrNotThere)
	stale := &Script{Store: b, Key: keyA, Seen: up.Epoch + 1}
	_, err = stale.Claim(session.ClaimDown, 0)
	want(t, err, session.ErrStale)
	_, err = b.Apply(keyA, session.Event{Kind: "no such event"})
	if err == nil {
		t.Fatal("an unknown event was applied")
	}
	same(t, b, up)

	pending := &Script{Store: b, Key: keyB}
	result, err := pending.Claim(session.ClaimUp, 2)
	ok(t, err)
	_, err = pending.Tell(saga.Event{Kind: saga.StepDone, Step: "worktree"}, saga.Event{Kind: saga.StepCompensated, Step: "compose"})
	want(t, err, saga.ErrGrammar)
	same(t, b, up, result.Session)
}

func testStop(t *testing.T, b Backend) {
	s := &Script{Store: b, Key: keyA}
	_, err := s.Claim(session.ClaimUp, 1)
	ok(t, err)
	e := session.Event{Kind: session.AskStop, At: Start, Seen: s.Seen, Owner: s.Owner(session.VerbDown)}
	asked, err := b.Apply(keyA, e)
	ok(t, err)
	if asked.Session.Run.Stop == nil || asked.Session.Epoch != s.Seen {
		t.Fatalf("after the request the run is %+v", asked.Session.Run)
	}
	same(t, b, asked.Session)
	e.Seen++
	_, err = b.Apply(keyA, e)
	want(t, err, session.ErrStale)
}
