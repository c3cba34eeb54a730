package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/store/storetest"
)

// begin makes the state file, with no sessions in it: without one, the private folder of
// a session is that of one whose record was lost.
func begin(t *testing.T, s *Store) {
	t.Helper()
	if err := s.update("begin", func(*bolt.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// damagedWithCopy is a store whose file is cut off. Its last copy has session 1 and 2,
// and it had session 3, too.
func damagedWithCopy(t *testing.T) (*Store, []*storetest.Script) {
	t.Helper()
	s := newStore(t)
	one, _ := up(t, s, 1)
	s.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	two, _ := up(t, s, 2)
	s.copyCommits = 1 << 20
	three, _ := up(t, s, 3)
	if len(s.copies()) != 1 {
		t.Fatalf("copies %v", s.copies())
	}
	if err := os.Truncate(s.Path(), 100); err != nil {
		t.Fatal(err)
	}
	return s, []*storetest.Script{one, two, three}
}

// A damaged file is an error that names its last copy. A new one begins as that, and the
// damaged one is kept.
func TestRebuildOfACopy(t *testing.T) {
	s, scripts := damagedWithCopy(t)
	copies := s.copies()
	_, err := s.Get(key(1))
	var damaged *DamagedError
	if !errors.As(err, &damaged) || damaged.Copy != copies[0] || damaged.Path != s.Path() {
		t.Fatalf("error %v", err)
	}
	remains, err := s.Remains()
	if err != nil || remains.Path != copies[0] || !remains.Copy || len(remains.Sessions) < 1 {
		t.Fatalf("remains %+v, %v", remains, err)
	}
	third := remains.Sessions[0]
	third.Key, third.ID, third.Slot, third.Ports = key(3), "id-3", 3, map[string]int{"web": 20003}
	third.State, third.Run.ID = fsm.Failed, "run-3"
	aside, err := s.Rebuild(remains, append(slices.Clone(remains.Sessions), third))
	if info, statErr := os.Stat(aside); err != nil || statErr != nil || info.Size() != 100 {
		t.Fatalf("set aside as %q: %v, %v", aside, err, statErr)
	}
	if got := list(t, s); len(got) != len(remains.Sessions)+1 || got[len(got)-1].State != fsm.Failed {
		t.Errorf("sessions %+v", got)
	}
	if leases, err := s.Leases(); err != nil || leases[20001] != key(1) || leases[20003] != key(3) {
		t.Errorf("leases %v, %v", leases, err)
	}
	if lines, err := s.History(Filter{Repo: key(1).Repo, Slug: key(1).Slug}); err != nil || len(lines) < 2 || lines[len(lines)-1].Verb != VerbRebuild {
		t.Errorf("history %+v, %v", lines, err)
	}
	if runs, err := s.Runs(Filter{Slug: "feat-3"}); err != nil || len(runs) != 1 || runs[0].Session != "id-3" {
		t.Errorf("runs %+v, %v", runs, err)
	}
	// Whoever had a session before can write nothing more about it.
	for _, script := range scripts {
		if _, err := script.Tell(saga.Event{Kind: saga.Verified}); !errors.Is(err, session.ErrSuperseded) {
			t.Errorf("an owner of before the rebuild: %v", err)
		}
	}
	third, err = s.Get(key(3))
	if err != nil {
		t.Fatal(err)
	}
	scripts[2].Seen = third.Epoch
	after, err := scripts[2].Claim(session.ClaimDown, 0)
	if err != nil || after.Session.Epoch <= third.Epoch {
		t.Errorf("epoch %d follows %d: %v", after.Session.Epoch, third.Epoch, err)
	}
	noRemains(t, s)
}

// noRemains makes sure that a rebuild leaves no file but the damaged one.
func noRemains(t *testing.T, s *Store) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(s.dir, "rebuild-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Without a copy the epochs are above all that there ever were all the same.
func TestRebuildOfNothing(t *testing.T) {
	s := newStore(t)
	if remains, err := s.Remains(); err != nil || remains.Path != "" || s.Begun() {
		t.Fatalf("a new folder: %+v, %v", remains, err)
	}
	_, before := up(t, s, 1)
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s); len(got) > 0 {
		t.Errorf("without a file there are %v", got)
	}
	// Its session is there: a new file would know nothing of it.
	if err := os.MkdirAll(s.Dir(key(1)), 0o700); err != nil {
		t.Fatal(err)
	}
	_, listed := s.List()
	_, applied := s.Apply(key(2), session.Event{Kind: session.ClaimUp, New: &before})
	lock, err := s.Own(t.Context(), key(1), owner(os.Getpid()), false)
	if err != nil {
		t.Fatal(err)
	}
	unlock(lock.(*ownerLock).file) // what a SIGKILL leaves
	if err := s.Sweep(); !errors.Is(err, ErrDamaged) {
		t.Errorf("sweep: %v", err)
	}
	if private, _ := s.Known(key(1)); !private {
		t.Error("the folder of a session whose record was lost was swept away")
	}
	if !errors.Is(listed, ErrDamaged) || !errors.Is(applied, ErrDamaged) || s.Exists() || !s.Begun() {
		t.Errorf("a file that was lost: %v, %v", listed, applied)
	}
	remains, err := s.Remains()
	if err != nil || len(remains.Sessions) > 0 {
		t.Fatalf("remains %+v, %v", remains, err)
	}
	aside, err := s.Rebuild(remains, []session.Session{before})
	got := list(t, s)
	if err != nil || aside != "" || len(got) != 1 || got[0].Epoch <= before.Epoch {
		t.Errorf("aside %q, sessions %+v, %v", aside, got, err)
	}
	noRemains(t, s)
}

// Where only records are damaged, the others are what they were.
func TestRebuildOfRecords(t *testing.T) {
	s := newStore(t)
	_, one := up(t, s, 1)
	up(t, s, 2)
	err := s.update("damage", func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketSessions))
		raw := slices.Clone(b.Get(sessionKey(key(2))))
		raw[20] ^= 1
		return b.Put(sessionKey(key(2)), raw)
	})
	if err != nil {
		t.Fatal(err)
	}
	remains, err := s.Remains()
	if err != nil || remains.Copy || len(remains.Sessions) != 1 || remains.Sessions[0].ID != one.ID {
		t.Fatalf("remains %+v, %v", remains, err)
	}
	if _, err := s.Rebuild(remains, remains.Sessions); err == nil {
		// The file is copied as it is, and what is replaced is its sessions.
		if got := list(t, s); len(got) != 1 || got[0].State != fsm.Active {
			t.Errorf("sessions %+v", got)
		}
	} else {
		t.Error(err)
	}
}

func TestRebuildRefuses(t *testing.T) {
	sound := newStore(t)
	up(t, sound, 1)
	if _, err := sound.Remains(); !errors.Is(err, ErrSound) {
		t.Errorf("a sound file: %v", err)
	}
	refused := func(name string, s *Store, remains Remains, sessions []session.Session, want error) {
		t.Helper()
		before, err := os.ReadFile(s.Path())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Rebuild(remains, sessions); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.ReadFile(s.Path())
		aside, _ := filepath.Glob(s.Path() + ".damaged-*")
		if err != nil || !slices.Equal(before, after) || len(aside) > 0 {
			t.Errorf("%s: the file was changed: %v, %v", name, err, aside)
		}
		noRemains(t, s)
	}
	s, _ := damagedWithCopy(t)
	remains, err := s.Remains()
	if err != nil {
		t.Fatal(err)
	}
	// Somebody is at work.
	lock, err := s.Own(context.Background(), key(9), owner(os.Getpid()), false)
	if err != nil {
		t.Fatal(err)
	}
	refused("an owner", s, remains, remains.Sessions, session.ErrBusy)
	if by, err := s.Working(); err != nil || by == nil || by.Key != key(9) {
		t.Errorf("at work is %v, %v", by, err)
	}
	if err := lock.Release(true); err != nil {
		t.Fatal(err)
	}
	// Two rows claim one slot.
	twice := remains.Sessions[0]
	twice.Key, twice.Ports = key(7), nil
	refused("one slot twice", s, remains, append(slices.Clone(remains.Sessions), twice), errFault)
	// Somebody else was faster.
	stale := remains
	if _, err := s.Rebuild(remains, remains.Sessions); err != nil {
		t.Fatal(err)
	}
	before, _ := filepath.Glob(s.Path() + ".damaged-*")
	if _, err := s.Rebuild(stale, nil); !errors.Is(err, session.ErrBusy) {
		t.Errorf("a file that was changed meanwhile: %v", err)
	}
	if after, _ := filepath.Glob(s.Path() + ".damaged-*"); len(after) != len(before) || len(list(t, s)) != len(remains.Sessions) {
		t.Errorf("it was changed: %v", after)
	}
}

// Sessions are added to a repository that has none, and to no other; nothing else changes.
func TestAdd(t *testing.T) {
	s := newStore(t)
	up(t, s, 1)
	first, err := s.Get(key(1))
	if err != nil {
		t.Fatal(err)
	}
	one := first
	one.Key, one.ID, one.Slot, one.Ports = key(2), "id-2", 2, map[string]int{"web": 20002}
	one.State, one.Run.ID = fsm.Failed, "run-2"
	if err := s.Add(key(1).Repo, []session.Session{one}); !errors.Is(err, session.ErrBusy) {
		t.Errorf("to a repository with sessions: %v", err)
	}
	one.Repo = "/elsewhere/.git"
	robber := one
	robber.Slug, robber.Slot, robber.Ports = "robber", 3, first.Ports
	if err := s.Add(one.Repo, []session.Session{one, robber}); !errors.Is(err, session.ErrBusy) {
		t.Errorf("with a port of another: %v", err)
	}
	if got := list(t, s); len(got) != 1 {
		t.Errorf("a refused one has added %+v", got)
	}
	if err := s.Add(one.Repo, []session.Session{one}); err != nil {
		t.Fatal(err)
	}
	added, err := s.Get(one.Key)
	if err != nil || added.Slot != 2 || added.Epoch <= first.Epoch {
		t.Errorf("added %+v, %v", added, err)
	}
	if leases, err := s.Leases(); err != nil || leases[20001] != key(1) || leases[20002] != one.Key {
		t.Errorf("leases %v, %v", leases, err)
	}
	if again, err := s.Get(key(1)); err != nil || again.Epoch != first.Epoch || again.ID != first.ID {
		t.Errorf("the other became %+v, %v", again, err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
