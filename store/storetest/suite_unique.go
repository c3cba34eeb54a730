package storetest

import (
	"testing"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
)

func testSlots(t *testing.T, b Backend) {
	a, c := &Script{Store: b, Key: keyA}, &Script{Store: b, Key: keyC}
	upA := must(a.Up(1))
	s := &Script{Store: b, Key: keyB}
	_, err := s.Up(1)
	want(t, err, session.ErrStale)
	same(t, b, upA)
	upB := must(s.Up(2))
	upC := must(c.Up(1)) // another repository
	same(t, b, upA, upB, upC)
	_, err = a.Down()
	ok(t, err)
	again := must((&Script{Store: b, Key: session.Key{Repo: keyA.Repo, Slug: "zz"}}).Up(1))
	same(t, b, upB, again, upC)
}

func testPorts(t *testing.T, b Backend) {
	a, c := &Script{Store: b, Key: keyA}, &Script{Store: b, Key: keyC}
	wants := []session.Want{{Name: "web", Candidates: []int{8000, 8001}}, {Name: "api", Candidates: []int{8000, 8002}}}
	upA := must(a.Up(1, wants...))
	if upA.Ports["web"] != 8000 || upA.Ports["api"] != 8002 {
		t.Fatalf("the first session has %v", upA.Ports)
	}
	_, err := c.Up(1, session.Want{Name: "web", Candidates: []int{8000, 8002}})
	want(t, err, session.ErrExhausted)
	same(t, b, upA)
	claimed, err := c.Claim(session.ClaimUp, 1, wants[0])
	ok(t, err)
	if claimed.Session.Ports["web"] != 8001 {
		t.Fatalf("the second session has %v", claimed.Session.Ports)
	}
	lease := func(s *Script, port int) (session.Result, error) {
		return b.Apply(s.Key, session.Event{Kind: session.Lease, At: Start, Fence: s.Fence,
			Wants: []session.Want{{Name: "more", Candidates: []int{port}}}})
	}
	_, err = lease(c, 8000)
	want(t, err, session.ErrExhausted)
	same(t, b, upA, claimed.Session)
	more, err := lease(c, 8003)
	ok(t, err)
	if more.Session.Ports["more"] != 8003 {
		t.Fatalf("the lease answered %v", more.Session.Ports)
	}
	same(t, b, upA, more.Session)
	_, err = a.Down()
	ok(t, err)
	more, err = b.Apply(keyC, session.Event{Kind: session.Lease, At: Start, Fence: c.Fence,
		Wants: []session.Want{{Name: "last", Candidates: []int{8000}}}})
	ok(t, err)
	same(t, b, more.Session)
}

func testEpochs(t *testing.T, b Backend) {
	seen := map[uint64]bool{}
	for round := range 3 {
		for _, key := range []session.Key{keyA, keyB, keyC} {
			s := &Script{Store: b, Key: key}
			up := must(s.Up(round + 1))
			epochs := []uint64{up.Epoch}
			gone := must(s.Down())
			for _, epoch := range append(epochs, gone.Epoch) {
				if seen[epoch] {
					t.Fatalf("epoch %d was given twice", epoch)
				}
				seen[epoch] = true
			}
		}
	}
}

func testFence(t *testing.T, b Backend) {
	done := saga.Event{Kind: saga.StepDone, Step: "worktree"}
	first := &Script{Store: b, Key: keyA}
	_, err := first.Claim(session.ClaimUp, 1)
	ok(t, err)
	second := &Script{Store: b, Key: keyA, Seen: first.Seen}
	result, err := second.Claim(session.ClaimResume, 0)
	ok(t, err)
	for _, fence := range []session.Fence{
		first.Fence,
		{Epoch: second.Fence.Epoch, Run: "another"},
		{Epoch: second.Fence.Epoch + 1, Run: second.Fence.Run},
		{},
	} {
		old := &Script{Store: b, Key: keyA, Fence: fence}
		_, err = old.Tell(done)
		want(t, err, session.ErrSuperseded)
		_, err = b.Apply(keyA, session.Event{Kind: session.Lease, Fence: fence, Wants: []session.Want{{Name: "web", Candidates: []int{8000}}}})
		want(t, err, session.ErrSuperseded)
	}
	_, err = first.Claim(session.ClaimDown, 0)
	want(t, err, session.ErrStale)
	same(t, b, result.Session)

	// Not even a later session of the same name is written to.
	_, err = second.Claim(session.ClaimDown, 0)
	ok(t, err)
	gone, err := second.Tell(saga.Event{Kind: saga.StepCompensated, Step: "worktree"})
	ok(t, err)
	if gone.Session.State != fsm.Absent {
		t.Fatalf("after down it is %s", gone.Session.State)
	}
	_, err = second.Tell(done)
	want(t, err, session.ErrSuperseded)
	same(t, b)
	third := &Script{Store: b, Key: keyA}
	result, err = third.Claim(session.ClaimUp, 1)
	ok(t, err)
	for _, old := range []*Script{first, second} {
		_, err = old.Tell(done)
		want(t, err, session.ErrSuperseded)
	}
	same(t, b, result.Session)
}
