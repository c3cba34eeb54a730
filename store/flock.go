package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// errHeld: somebody else holds the lock.
var errHeld = errors.New("held")

// flock is flock(2), and again when a signal cut it off.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errHeld
		case err != nil:
			return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		default:
			return nil
		}
	}
}

// tryLock takes the lock if it is free, else the error is errHeld.
func tryLock(f *os.File, how int) error { return flock(f, how|unix.LOCK_NB) }

// waitLock takes the lock and waits for it until ctx ends. On an error the file
// is closed, or will be: a blocked flock cannot be called back, so it is left to
// itself and gives up at once what it gets too late.
func waitLock(ctx context.Context, f *os.File, how int) error {
	err := tryLock(f, how)
	if !errors.Is(err, errHeld) {
		if err != nil {
			_ = f.Close()
		}
		return err
	}
	got := make(chan error, 1)
	go func() { got <- flock(f, how) }()
	select {
	case err = <-got:
	case <-ctx.Done():
		select {
		case err = <-got: // in the same moment
		default:
			go func() {
				if <-got == nil {
					unlock(f)
				} else {
					_ = f.Close()
				}
			}()
			return errHeld
		}
	}
	if err != nil {
		_ = f.Close()
	}
	return err
}

// unlock gives a lock back and closes its file. The lock is dropped by name and
// not by closing: a child that another goroutine is just starting may have the
// open file too, until it execs.
func unlock(f *os.File) {
	_ = flock(f, unix.LOCK_UN)
	_ = f.Close()
}

// lockFile opens a lock file and waits for its lock until ctx ends; the error is
// then errHeld. The file that it returns is the one that has the name.
func lockFile(ctx context.Context, path string, flags, how int) (*os.File, error) {
	for {
		if err := plain(path); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			return nil, err
		}
		if err := waitLock(ctx, f, how); err != nil {
			return nil, err
		}
		if named(f, path) {
			return f, nil
		}
		unlock(f)
	}
}

// plain fails if something is at path that is no plain file. To open a pipe could take
// for ever, and some devices act on being opened.
func plain(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return &ObstacleError{Path: path}
	}
	return nil // what else is wrong opening it will say
}

// named reports whether the open file is the one that has the name now.
func named(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(open, now)
}

// lockers lists the pids that hold a flock on the file, from /proc/locks: lines
// like "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF". Those of another pid
// namespace are not named.
func lockers(path string) []int {
	var stat unix.Stat_t
	if unix.Stat(path, &stat) != nil {
		return nil
	}
	table, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil
	}
	inode := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	var pids []int
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) != 8 || fields[1] != "FLOCK" || fields[5] != inode {
			continue // also those that wait, which have "->" as a field of its own
		}
		var pid int
		if _, err := fmt.Sscan(fields[4], &pid); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
