package postgres

import (
	"errors"
	"slices"
	"testing"
	"time"

	"ecluse/steps/postgres/postgrestest"
)

// TestDiscard: what was seen to be nobody's may be somebody's by the time it is dropped.
func TestDiscard(t *testing.T) {
	s := postgrestest.Start(t)
	c, other := open(t, s), open(t, s)
	const template = "shop_aaaaaaaaaaaa"
	const name = template + "_making_abcdef"
	must(t, c.Create(t.Context(), name, "", 0, nil))
	seen, there, err := c.Look(t.Context(), name)
	if err != nil || !there {
		t.Fatalf("there is %v, %v", there, err)
	}
	stays := func(when string) {
		t.Helper()
		if err := c.Discard(t.Context(), seen, name, template); !errors.Is(err, ErrInUse) {
			t.Errorf("%s: got %v", when, err)
		}
		if have := s.Databases(); !slices.Equal(have, []string{name}) {
			t.Fatalf("%s: there is %v", when, have)
		}
	}
	for _, locked := range []string{name, template} {
		must(t, other.Lock(t.Context(), locked, nil))
		stays("somebody works on " + locked)
		must(t, other.Unlock(t.Context(), locked))
	}
	client := s.Client(name)
	stays("somebody is connected")
	must(t, client.Close(t.Context()))
	for deadline := time.Now().Add(time.Minute); ; {
		users, err := c.Users(t.Context(), name)
		must(t, err)
		if len(users) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v are still connected", users)
		}
	}
	must(t, other.Comment(t.Context(), name, "used"))
	stays("somebody has used it")
	must(t, other.Comment(t.Context(), name, seen.Comment))
	must(t, c.Discard(t.Context(), seen, name, template))
	if have := s.Databases(); len(have) > 0 {
		t.Errorf("there is %v", have)
	}
	// Nothing is locked any more, and what is gone is gone.
	for _, free := range []string{name, template} {
		if ok, err := other.Free(t.Context(), free); err != nil || !ok {
			t.Errorf("%s is free: %v, %v", free, ok, err)
		}
	}
	must(t, c.Discard(t.Context(), seen, name, template))
}
