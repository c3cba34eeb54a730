package store

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"ecluse/saga/session"
)

// Store is the state of one machine user. It holds nothing open between calls and
// may be used from many goroutines.
type Store struct {
	// Version of the program. It is recorded with what is written, so that an
	// older program can name the one that is needed. Set it before the first use.
	Version string
	// LockTimeout bounds the wait for the state file; zero means 10 s.
	LockTimeout time.Duration

	dir        string
	now        func() time.Time
	migrations []migration
	// copyCommits is the constant, but for tests.
	copyCommits uint64
	// deep is set once the file was looked through by this process.
	deep atomic.Bool
}

var (
	_ session.Store  = (*Store)(nil)
	_ session.Locker = (*Store)(nil)
)

// New is the store in a folder. It opens nothing; the folder is made by the first
// write.
func New(dir string) *Store {
	s := &Store{dir: dir, now: time.Now, migrations: migrations, copyCommits: copyCommits}
	if info, ok := debug.ReadBuildInfo(); ok {
		s.Version = info.Main.Version
	}
	return s
}
