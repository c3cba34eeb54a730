package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"

	"ecluse/saga/session"
)

// litter makes what a session leaves in the state folder.
func litter(t *testing.T, s *Store, key session.Key) (paths []string) {
	t.Helper()
	for _, path := range []string{s.ownPath(key), filepath.Join(s.Dir(key), "compose.yaml"), filepath.Join(s.LogDir(key), "run", "01-env.log")} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("{}"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return []string{s.ownPath(key), s.Dir(key), s.LogDir(key)}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// What is of sessions that exist, of records that cannot be read, and of who is at
// work is no stray; all else is, and goes, each by itself.
func TestStrays(t *testing.T) {
	s := newStore(t)
	up(t, s, 1)
	up(t, s, 2)
	gone, held := session.Key{Repo: "/r/.git", Slug: "gone"}, session.Key{Repo: "/r/.git", Slug: "held"}
	want := litter(t, s, gone)
	safe := slices.Concat(litter(t, s, key(1))[1:], litter(t, s, key(2))[1:], litter(t, s, held)[1:])
	lock, err := s.Own(t.Context(), held, session.Owner{PID: 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, s, key(2))

	strays, err := s.Strays()
	if got := Unreadable(err); !slices.Equal(got, []session.Key{key(2)}) {
		t.Errorf("the records of %v cannot be read: %v", got, err)
	}
	var have []string
	for _, stray := range strays {
		have = append(have, stray.Path)
		if !stray.Of(gone) || stray.Of(held) || stray.Size == 0 || stray.Changed.IsZero() {
			t.Errorf("%+v", stray)
		}
	}
	if !slices.Equal(have, want) {
		t.Fatalf("strays %v, want %v", have, want)
	}
	// A record that cannot be read may be anybody's whose lock does not say.
	if err := s.RemoveStray(strays[0]); !errors.Is(err, ErrDamaged) || !there(want[0]) {
		t.Errorf("with a damaged record: %v", err)
	}
	repair(t, s, key(2))
	if err := s.RemoveStray(strays[2]); err != nil || there(want[2]) || !there(want[1]) {
		t.Errorf("logs: %v", err)
	}
	if err := s.RemoveStray(strays[1]); err != nil || there(want[1]) || there(want[0]) {
		t.Errorf("folder: %v", err)
	}
	for _, path := range safe {
		if !there(path) {
			t.Errorf("%s went with the strays", path)
		}
	}
	if err := lock.Release(false); err != nil {
		t.Fatal(err)
	}
}

// Who comes between the look and the removal keeps what is theirs.
func TestRemoveStrayLooksAgain(t *testing.T) {
	s := newStore(t)
	begin(t, s)
	litter(t, s, key(1))
	strays, err := s.Strays()
	if err != nil || len(strays) != 3 {
		t.Fatal(strays, err)
	}
	lock, err := s.Own(t.Context(), key(1), session.Owner{PID: 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, stray := range strays {
		if err := s.RemoveStray(stray); !errors.Is(err, session.ErrBusy) {
			t.Errorf("%s of an owner: %v", stray.Kind, err)
		}
	}
	if err := lock.Release(false); err != nil {
		t.Fatal(err)
	}
	up(t, s, 1)
	for _, stray := range strays {
		if err := s.RemoveStray(stray); !errors.Is(err, session.ErrBusy) {
			t.Errorf("%s of a session: %v", stray.Kind, err)
		}
	}
	if !there(s.Dir(key(1))) || !there(s.LogDir(key(1))) {
		t.Error("something of the session is gone")
	}
}

// Looking writes nothing, and needs no folder.
func TestStraysOfNothing(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "none"))
	if strays, err := s.Strays(); len(strays) != 0 || err != nil || there(s.dir) {
		t.Error(strays, err)
	}
	if free, writable, err := s.Room(); free == 0 || !writable || err != nil {
		t.Error(free, writable, err)
	}
}

// spoil flips the first byte of a record, repair flips it back.
func spoil(t *testing.T, s *Store, key session.Key) {
	t.Helper()
	err := s.update("spoil a record", func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketSessions))
		raw := bytes.Clone(b.Get(sessionKey(key)))
		raw[0] ^= 1
		return b.Put(sessionKey(key), raw)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func repair(t *testing.T, s *Store, key session.Key) { spoil(t, s, key) }

// Check finds what List would not look at.
func TestCheckOfTheWholeFile(t *testing.T) {
	s := newStore(t)
	if err := s.Check(); err != nil || there(s.Path()) {
		t.Errorf("of no file: %v", err)
	}
	_, one := up(t, s, 1)
	up(t, s, 2)
	if err := s.Check(); err != nil {
		t.Errorf("of a whole file: %v", err)
	}
	var lease []byte
	change := func(what string, to func(b *bolt.Bucket, name []byte) error) {
		t.Helper()
		err := s.update(what, func(tx *bolt.Tx) error { return to(tx.Bucket([]byte(bucketLeases)), portKey(one.Ports["web"])) })
		if err != nil {
			t.Fatal(err)
		}
	}
	change("drop a lease", func(b *bolt.Bucket, name []byte) error {
		lease = bytes.Clone(b.Get(name))
		return b.Delete(name)
	})
	if err := s.Check(); !errors.Is(err, ErrDamaged) {
		t.Errorf("without the lease: %v", err)
	}
	change("put it back", func(b *bolt.Bucket, name []byte) error { return b.Put(name, lease) })
	spoil(t, s, key(2))
	if got := Unreadable(s.Check()); !slices.Equal(got, []session.Key{key(2)}) {
		t.Errorf("records that cannot be read: %v", got)
	}
	repair(t, s, key(2))
}
