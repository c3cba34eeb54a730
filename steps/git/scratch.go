package git

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// scratchName begins the name of the folder that a view works in.
const scratchName = "ecluse-index-"

// makeScratch makes the folder that a view works in, among what the repository keeps
// about the worktree: it goes with that. What a process that was killed has left there
// is removed. Whose process lives has a lock on it, which the kernel takes away with it.
func (v *view) makeScratch() error {
	sweepScratch(v.dir)
	var err error
	for range 5 { // another process may have swept before it was locked
		if err = v.tryScratch(); err == nil {
			break
		}
	}
	return err
}

func (v *view) tryScratch() error {
	var err error
	v.scratch, err = os.MkdirTemp(v.dir, scratchName)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		v.scratch, err = os.MkdirTemp("", scratchName) // who only looks may not write there
	}
	if err != nil {
		return err
	}
	v.index = filepath.Join(v.scratch, "index")
	if v.held, err = os.Open(v.scratch); err != nil {
		return err
	}
	err = unix.Flock(int(v.held.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = os.Lstat(v.scratch)
	}
	if err != nil {
		v.close()
	}
	return err
}

// close removes the folder before it gives the lock away.
func (v *view) close() {
	_ = os.RemoveAll(v.scratch)
	_ = v.held.Close()
}

// sweepScratch removes what views of processes that are gone have left in a folder.
func sweepScratch(dir string) {
	list, _ := os.ReadDir(dir)
	for _, d := range list {
		if !strings.HasPrefix(d.Name(), scratchName) {
			continue
		}
		path := filepath.Join(dir, d.Name())
		held, err := os.Open(path)
		if err != nil {
			continue
		}
		if unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = held.Close()
	}
}

// copyIndex copies an index with its time of change: an entry that is not older
// than its index is one that git compares by content, not by time.
func copyIndex(from, to string) error {
	source, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close(), os.Chtimes(to, time.Time{}, info.ModTime()))
}
