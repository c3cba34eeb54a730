package store

import (
	"maps"
	"testing"

	"ecluse/saga/session"
	"ecluse/store/storetest"
)

func TestLeasesAreWhatSessionsHold(t *testing.T) {
	s := New(t.TempDir())
	script := &storetest.Script{Store: s, Key: session.Key{Repo: "/r/.git", Slug: "feat-x"}}
	up, err := script.Up(1, session.Want{Name: "web", Candidates: []int{3001}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]session.Key{}
	for _, port := range up.Ports {
		want[port] = script.Key
	}
	got, err := s.Leases()
	if err != nil || len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("Leases() = %v, %v; want %v", got, err, want)
	}
	if _, err := script.Down(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Leases(); err != nil || len(got) != 0 {
		t.Errorf("after down: %v, %v", got, err)
	}
}
