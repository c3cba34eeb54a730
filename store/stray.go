package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ecluse/saga/session"
)

// The kinds of a [Stray].
const (
	StrayLock   = "lock"
	StrayFolder = "folder"
	StrayLogs   = "logs"
)

// Stray is a file or folder of the state folder that is of a session that does not
// exist.
type Stray struct {
	// Kind is one of the Stray constants: an owner lock that nobody holds, a
	// private folder, or the logs.
	Kind string
	Path string
	// Changed is when something in it was last written.
	Changed time.Time
	Size    int64

	name string // of the files of its session
}

// Of reports whether it is of a session.
func (f Stray) Of(key session.Key) bool { return f.name == fileName(key) }

// Strays lists what is there of sessions that do not exist. What somebody holds is
// left out: its owner is at it. It writes nothing.
//
// An error that wraps [RecordError] names records that cannot be read; what is of
// them is left out, too.
func (s *Store) Strays() ([]Stray, error) {
	list, bad := s.List()
	if bad != nil && len(Unreadable(bad)) == 0 {
		return nil, bad
	}
	known := map[string]bool{}
	for _, one := range list {
		known[fileName(one.Key)] = true
	}
	for _, key := range Unreadable(bad) {
		known[fileName(key)] = true
	}
	var strays []Stray
	for _, in := range []struct{ kind, dir, suffix string }{
		{StrayLock, "locks", ".own"}, {StrayFolder, "sessions", ""}, {StrayLogs, "logs", ""},
	} {
		entries, err := os.ReadDir(filepath.Join(s.dir, in.dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for what sessions left: %w", err)
		}
		for _, entry := range entries {
			name, ok := strings.CutSuffix(entry.Name(), in.suffix)
			if !ok || known[name] || s.held(name) {
				continue
			}
			stray := Stray{Kind: in.kind, Path: filepath.Join(s.dir, in.dir, entry.Name()), name: name}
			stray.Size, stray.Changed = measure(stray.Path)
			strays = append(strays, stray)
		}
	}
	return strays, bad
}

// Unreadable are the sessions whose records an error of [Store.List] names.
func Unreadable(err error) []session.Key {
	var keys []session.Key
	var walk func(error)
	walk = func(err error) {
		if record, ok := err.(*RecordError); ok { //nolint:errorlint // each of the tree is looked at
			keys = append(keys, record.Key)
			return
		}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				walk(one)
			}
		} else if next := errors.Unwrap(err); next != nil {
			walk(next)
		}
	}
	if err != nil {
		walk(err)
	}
	return keys
}

// held reports whether somebody holds, or may hold, the owner lock of a session.
func (s *Store) held(name string) bool {
	owner, err := holder(filepath.Join(s.dir, "locks", name+".own"))
	return err != nil || owner != nil
}

// measure adds up the files below a path, and finds the newest. What goes meanwhile
// does not count.
func measure(path string) (size int64, changed time.Time) {
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it only explains
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // it is gone
		}
		if info.ModTime().After(changed) {
			changed = info.ModTime()
		}
		if info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size, changed
}

// RemoveStray removes what [Store.Strays] found. Under the owner lock it looks once
// more whether the session exists by now, and leaves alone what is of one that does,
// or that somebody holds: the error then wraps [session.ErrBusy].
func (s *Store) RemoveStray(stray Stray) error {
	path := filepath.Join(s.dir, "locks", stray.name+".own")
	if err := makeDir(filepath.Dir(path)); err != nil {
		return s.writeError(err)
	}
	file, err := lockNow(path, 0)
	if errors.Is(err, errHeld) {
		return fmt.Errorf("%s: somebody is at work on its session: %w", stray.Path, session.ErrBusy)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", stray.Path, s.writeError(err))
	}
	lock := &ownerLock{file: file, path: path, dir: filepath.Join(s.dir, "sessions", stray.name)}
	exists, err := s.known(stray.name, file)
	switch {
	case err != nil:
		unlock(file) // a record that cannot be read may be this session's
		return err
	case exists:
		return errors.Join(fmt.Errorf("%s: its session is there again: %w", stray.Path, session.ErrBusy), lock.Release(false))
	}
	if stray.Kind == StrayLogs {
		err = os.RemoveAll(stray.Path)
	}
	return errors.Join(err, lock.Release(stray.Kind != StrayLogs))
}
