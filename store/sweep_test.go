package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"ecluse/saga/session"
)

func TestSweepTakesOnlyWhatBelongsToNobody(t *testing.T) {
	s := New(t.TempDir())
	begin(t, s)
	key := func(slug string) session.Key { return session.Key{Repo: "/r/.git", Slug: slug} }
	abandon := func(slug string) {
		lock, err := s.Own(t.Context(), key(slug), session.Owner{PID: 1}, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(s.Dir(key(slug)), 0o700); err != nil {
			t.Fatal(err)
		}
		unlock(lock.(*ownerLock).file) // what a SIGKILL leaves
	}
	abandon("gone")
	abandon("held")
	held, err := s.Own(t.Context(), key("held"), session.Owner{PID: 2}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	for slug, want := range map[string]bool{"gone": false, "held": true} {
		for _, path := range []string{s.ownPath(key(slug)), s.Dir(key(slug))} {
			_, err := os.Stat(path)
			if have := !errors.Is(err, fs.ErrNotExist); have != want {
				t.Errorf("%s is there: %t, want %t", path, have, want)
			}
		}
	}
	if err := held.Release(true); err != nil {
		t.Fatal(err)
	}
	if err := New(filepath.Join(t.TempDir(), "none")).Sweep(); err != nil {
		t.Error(err)
	}
}
