package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga/session"
)

// owner number n.
func owner(n int) session.Owner {
	return session.Owner{PID: n, Start: 7, Boot: "boot", Namespace: "ns", Host: "host", Verb: session.VerbUp, Since: Start}
}

// held fails the test unless err says that the owner holds the session.
func held(t *testing.T, err error, key session.Key, by session.Owner) {
	t.Helper()
	var busy *session.BusyError
	if !errors.As(err, &busy) {
		t.Fatalf("error %v, want a BusyError", err)
	}
	if diff := cmp.Diff(&session.BusyError{Key: key, Owner: by}, busy); diff != "" {
		t.Fatalf("the holder is (-want +got):\n%s", diff)
	}
}

func testOwn(t *testing.T, b Backend) {
	lock := must(b.Own(t.Context(), keyA, owner(1), false))
	_, err := b.Own(t.Context(), keyA, owner(2), false)
	held(t, err, keyA, owner(1))
	if diff := cmp.Diff(owner(1), *must(b.Holder(keyA))); diff != "" {
		t.Fatalf("the holder is (-want +got):\n%s", diff)
	}
	for _, other := range []session.Key{keyB, keyC} {
		another := must(b.Own(t.Context(), other, owner(3), false))
		ok(t, another.Release(true))
	}
	ok(t, lock.Release(false))
	if by := must(b.Holder(keyA)); by != nil {
		t.Fatalf("after release %v holds it", by)
	}
	lock = must(b.Own(t.Context(), keyA, owner(4), false))
	_, err = b.Own(t.Context(), keyA, owner(2), false)
	held(t, err, keyA, owner(4))
	ok(t, lock.Release(true))
}

func testWait(t *testing.T, b Backend) {
	lock := must(b.Own(t.Context(), keyA, owner(1), false))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := b.Own(ctx, keyA, owner(2), true)
	held(t, err, keyA, owner(1))

	for _, gone := range []bool{false, true} {
		got := make(chan session.Lock, 1)
		go func() {
			lock, err := b.Own(t.Context(), keyA, owner(3), true)
			if err != nil {
				t.Error(err)
			}
			got <- lock
		}()
		select {
		case <-got:
			t.Fatal("two hold the lock")
		case <-time.After(30 * time.Millisecond):
		}
		ok(t, lock.Release(gone))
		lock = <-got
		_, err = b.Own(t.Context(), keyA, owner(2), false)
		held(t, err, keyA, owner(3))
	}
	ok(t, lock.Release(true))
}

func testRelease(t *testing.T, b Backend) {
	first := must(b.Own(t.Context(), keyA, owner(1), false))
	ok(t, first.Release(false))
	second := must(b.Own(t.Context(), keyA, owner(2), false))
	ok(t, first.Release(true)) // must not take it from the second
	_, err := b.Own(t.Context(), keyA, owner(3), false)
	held(t, err, keyA, owner(2))
	ok(t, second.Release(true))
}

// testOwnLoad has many owners and lookers at once: never two owners, and no owner
// that fails because somebody looks.
func testOwnLoad(t *testing.T, b Backend) {
	const owners, rounds = 8, 25
	var inside atomic.Int32
	looking, stop := context.WithCancel(t.Context())
	var lookers, group sync.WaitGroup
	for range 2 {
		lookers.Go(func() {
			for looking.Err() == nil {
				if _, err := b.Holder(keyA); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range owners {
		group.Go(func() {
			for round := range rounds {
				lock, err := b.Own(t.Context(), keyA, owner(n), true)
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				inside.Add(-1)
				if err := lock.Release(round%2 == 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for range rounds {
		lock, err := b.Own(t.Context(), keyA, owner(0), false)
		if err != nil {
			t.Fatal(err) // only lookers are left
		}
		if err := lock.Release(true); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	lookers.Wait()
}
