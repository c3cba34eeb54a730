package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ecluse/saga/session"
)

const (
	// killedPatience is how long a lock is tried before its holder is believed
	// to be alive: after a SIGKILL the kernel keeps the lock for up to a
	// millisecond, and a child that was just being started for its fork.
	killedPatience = 50 * time.Millisecond
	// describePatience is how long a holder may take to describe itself.
	describePatience = 20 * time.Millisecond
	// leastTries are made however long they take: on a machine that stands still the
	// time is over at once, and nobody has done anything.
	leastTries = 10
)

// patience bounds tries.
type patience struct {
	end   time.Time
	tries int
}

// patienceOf is one that begins now.
func patienceOf(limit time.Duration) *patience { return &patience{end: time.Now().Add(limit)} }

// over reports, after a try, whether it was the last.
func (p *patience) over() bool {
	p.tries++
	return p.tries >= leastTries && time.Now().After(p.end)
}

// description is what an owner leaves in its lock file. It explains; the lock
// decides.
type description struct {
	session.Key
	session.Owner
	// Schema of the state file that the owner's program knows.
	Schema int `json:"schema"`
}

// ownerLock is an owner lock that is held.
type ownerLock struct {
	mu   sync.Mutex
	file *os.File // nil once it was released
	path string
	dir  string
}

// Own implements [session.Locker].
func (s *Store) Own(ctx context.Context, key session.Key, owner session.Owner, wait bool) (session.Lock, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	path := s.ownPath(key)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("own session %s: make the folder of the locks: %w", key.Slug, s.writeError(err))
	}
	file, err := takeOwn(ctx, path, wait)
	var busy *heldError
	if errors.As(err, &busy) {
		return nil, &session.BusyError{Key: key, Owner: busy.by.Owner}
	}
	if err != nil {
		return nil, fmt.Errorf("own session %s: %w", key.Slug, s.writeError(err))
	}
	lock := &ownerLock{file: file, path: path, dir: s.Dir(key)}
	if err := describe(file, description{key, owner, s.schema()}); err != nil && !full(err) {
		return nil, errors.Join(fmt.Errorf("own session %s: describe the owner: %w", key.Slug, err), lock.Release(false))
	}
	return lock, nil
}

// heldError is an owner lock that somebody holds. It wraps errHeld.
type heldError struct{ by description }

func (e *heldError) Error() string { return errHeld.Error() }
func (e *heldError) Unwrap() error { return errHeld }

// takeOwn takes an owner lock. When that cannot be done the error is a heldError
// that names who holds it now, which may be somebody else than when it began.
func takeOwn(ctx context.Context, path string, wait bool) (*os.File, error) {
	const fair = 5 // times to lose against others before their names do not matter
	for lost := 1; ; lost++ {
		var file *os.File
		var err error
		if wait {
			file, err = lockFile(ctx, path, os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
		} else {
			file, err = lockNow(path, killedPatience)
		}
		if !errors.Is(err, errHeld) {
			return file, err
		}
		by, err := holder(path)
		switch {
		case err != nil:
			return nil, err
		case by != nil:
			return nil, &heldError{*by}
		case lost == fair:
			return nil, &heldError{}
		}
		wait = false // it has become free in this moment
	}
}

// full reports an error that room on the disk would cure. A full disk must not
// keep anybody from ending a session, which makes room.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// describe writes a description in the place of what a killed owner left.
func describe(file *os.File, d description) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(append(text, '\n'), 0)
	return err
}

// Release implements [session.Lock]. The lock's file goes in any case: it is there
// only while somebody holds it, or was killed holding it. A second call does
// nothing.
func (l *ownerLock) Release(gone bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	var err error
	if gone {
		if err = os.RemoveAll(l.dir); err != nil {
			err = fmt.Errorf("remove the session's private folder: %w", err)
		}
	}
	if named(l.file, l.path) {
		if e := os.Remove(l.path); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the owner lock: %w", e))
		}
	}
	unlock(l.file)
	l.file = nil
	return err
}

// Holder implements [session.Locker].
func (s *Store) Holder(key session.Key) (*session.Owner, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	d, err := holder(s.ownPath(key))
	if err != nil || d == nil {
		return nil, err
	}
	return &d.Owner, nil
}

// holder describes who holds the lock, nil when nobody does. It looks by taking a
// shared lock for a moment: lookers do not hinder each other, and owners know of
// them (see lockNow).
func holder(path string) (*description, error) {
	patience := patienceOf(describePatience)
	for {
		if err := plain(path); err != nil {
			return nil, fmt.Errorf("look at the owner lock: %w", err)
		}
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look at the owner lock: %w", err)
		}
		var d description
		err = tryLock(file, unix.LOCK_SH)
		free := err == nil
		same := named(file, path)
		told := !free && json.NewDecoder(file).Decode(&d) == nil
		unlock(file)
		switch {
		case err != nil && !errors.Is(err, errHeld):
			return nil, err
		case !same:
			continue // given back meanwhile; the next owner has a file of its own
		case free:
			return nil, nil
		case told:
			return &d, nil
		case patience.over():
			return &description{}, nil // its disk is full, or it hangs
		}
		time.Sleep(time.Millisecond)
	}
}

// lockNow takes the lock, or says errHeld once it was held for as long as the limit
// has it. Lookers do not count: they have the lock shared, and for microseconds.
func lockNow(path string, limit time.Duration) (*os.File, error) {
	patience := patienceOf(limit)
	for {
		if err := plain(path); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = tryLock(file, unix.LOCK_EX)
		switch {
		case err == nil && named(file, path):
			return file, nil
		case err == nil:
			unlock(file)
			continue
		case !errors.Is(err, errHeld):
			_ = file.Close()
			return nil, err
		}
		looked := tryLock(file, unix.LOCK_SH) == nil
		unlock(file)
		if !looked && patience.over() {
			return nil, errHeld
		}
		time.Sleep(200*time.Microsecond + rand.N(600*time.Microsecond))
	}
}

// StepLock takes the lock of a step of a session, to be inherited by the step's
// children: it is held until the last of them that has it open ends. Closing the
// file gives back this process's part only. The error wraps [os.ErrExist] when
// somebody holds it.
func (s *Store) StepLock(key session.Key, step string) (*os.File, error) {
	path := s.StepLockPath(key, step)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("lock step %s: make the folder of the locks: %w", step, s.writeError(err))
	}
	file, err := lockNow(path, killedPatience)
	if errors.Is(err, errHeld) {
		return nil, fmt.Errorf("lock step %s: somebody holds it: %w", step, os.ErrExist)
	}
	if err != nil {
		return nil, fmt.Errorf("lock step %s: %w", step, s.writeError(err))
	}
	return file, nil
}
