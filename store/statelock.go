package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// defaultLockTimeout bounds the wait for the state file. Transactions take
// milliseconds; somebody who needs seconds is suspended, or hangs on a disk.
const defaultLockTimeout = 10 * time.Second

// writer is what a writer leaves in the lock file, to be named by those who wait
// in vain.
type writer struct {
	PID   int       `json:"pid"`
	What  string    `json:"what"`
	Since time.Time `json:"since"`
}

// textSize is the length of the lock file's text. It is constant, so that writing
// it changes no metadata that a later sync would have to carry to the disk.
const textSize = 192

// stateLock is the side lock of the state file, held. Nil is a lock that was not
// needed.
type stateLock struct {
	file      *os.File
	exclusive bool
}

// lockExclusive keeps everybody else from the state file.
func (s *Store) lockExclusive(what string) (*stateLock, error) {
	if err := makeDir(s.dir); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	lock, err := s.lockState(os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	// The text only explains, so a disk that is full must not stop anybody here.
	text, _ := json.Marshal(writer{PID: os.Getpid(), What: what, Since: s.now()})
	_, _ = fmt.Fprintf(&at{lock.file}, "%-*s\n", textSize-1, text)
	return lock, nil
}

// lockShared keeps writers from the state file. It makes no file: without a lock
// file there was no writer yet, or the folder is a copy. bbolt's own lock is then
// enough.
func (s *Store) lockShared() (*stateLock, error) {
	lock, err := s.lockState(os.O_RDONLY, unix.LOCK_SH)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return lock, err
}

func (s *Store) lockState(flags, how int) (*stateLock, error) {
	timeout := s.LockTimeout
	if timeout == 0 {
		timeout = defaultLockTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	file, err := lockFile(ctx, s.lockPath(), flags, how)
	if errors.Is(err, errHeld) {
		return nil, &LockedError{Path: s.Path(), Waited: timeout, Holder: s.stateHolder()}
	}
	if err != nil {
		return nil, fmt.Errorf("lock the state file: %w", err)
	}
	return &stateLock{file, how == unix.LOCK_EX}, nil
}

// release gives the lock back.
func (l *stateLock) release() {
	if l == nil {
		return
	}
	if l.exclusive {
		_, _ = (&at{l.file}).Write([]byte{'-'}) // whoever comes next is not this writer
	}
	unlock(l.file)
}

// stateHolder names who holds the state file, for people: the kernel knows the
// pids, the text knows what the writer does.
func (s *Store) stateHolder() string {
	var w writer
	text, _ := os.ReadFile(s.lockPath())
	described := json.NewDecoder(bytes.NewReader(text)).Decode(&w) == nil
	pids := lockers(s.lockPath())
	if len(pids) == 0 && described {
		pids = []int{w.PID} // of another pid namespace, perhaps
	}
	return namePIDs(pids, w)
}

// namePIDs lists processes, one of which may be the writer.
func namePIDs(pids []int, w writer) string {
	var holders []string
	for _, pid := range pids {
		holder := fmt.Sprintf("pid %d", pid)
		if pid == w.PID {
			holder += fmt.Sprintf(" (%s, since %s)", w.What, w.Since.Local().Format(time.TimeOnly))
		}
		holders = append(holders, holder)
	}
	return strings.Join(holders, ", ")
}

// at writes to the beginning of a file.
type at struct{ file *os.File }

// Write implements io.Writer.
func (a *at) Write(p []byte) (int, error) { return a.file.WriteAt(p, 0) }
