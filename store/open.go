package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// boltTimeout bounds bbolt's own wait for the file, which only a program that
// does not know the side lock can cause.
const boltTimeout = 2 * time.Second

// view runs fn in a read transaction; found is false, and fn was not called, when
// there is no state yet. Nothing is written. What fn keeps of the transaction it
// must copy.
func (s *Store) view(fn func(*bolt.Tx) error) (found bool, err error) {
	lock, err := s.lockShared()
	if err != nil {
		return false, err
	}
	defer lock.release()
	if _, err := os.Stat(s.Path()); errors.Is(err, fs.ErrNotExist) {
		return false, s.lost()
	}
	var old int
	err = s.open(s.Path(), true, func(db *bolt.DB) error {
		return db.View(func(tx *bolt.Tx) error {
			schema, err := s.checkSchema(tx)
			if err != nil || schema < s.schema() {
				old = schema
				return err
			}
			return fn(tx)
		})
	})
	if err == nil && old != 0 {
		err = s.viewOld(fn)
	}
	return true, err
}

// update runs fn in a write transaction that is on disk when update returns. On
// an error nothing was written. what is told to those who wait in vain.
func (s *Store) update(what string, fn func(*bolt.Tx) error) error {
	lock, err := s.lockExclusive(what)
	if err != nil {
		return s.writeError(err)
	}
	copied, err := s.updateLocked(fn)
	lock.release()
	if copied != "" {
		s.keepCopy(copied)
	}
	return s.writeError(err)
}

// updateLocked is update under the lock. copied is a copy of the file that is
// still to be synced, if it was time to make one.
func (s *Store) updateLocked(fn func(*bolt.Tx) error) (copied string, err error) {
	if _, err := os.Stat(s.Path()); errors.Is(err, fs.ErrNotExist) {
		if err := s.lost(); err != nil {
			return "", err
		}
		if err := s.create(); err != nil {
			return "", fmt.Errorf("make the state file: %w", err)
		}
	}
	err = s.open(s.Path(), false, func(db *bolt.DB) error {
		if err := s.migrate(db); err != nil {
			return err
		}
		due := false
		var refused error
		err := db.Update(func(tx *bolt.Tx) error {
			if refused = fn(tx); refused == nil {
				due, refused = s.count(tx)
			}
			return refused
		})
		switch {
		case refused != nil:
			return refused
		case err != nil:
			return fmt.Errorf("write the state file: %w", boltError(err))
		case due:
			copied = s.tryCopy(db)
		}
		return nil
	})
	return copied, err
}

// open opens the file for the time of use. It checks before what bbolt takes on
// trust, and turns what bbolt makes of a damaged file into an error: a panic, or a
// fault in the memory into which the file is mapped.
func (s *Store) open(path string, readOnly bool, use func(*bolt.DB) error) (err error) {
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		// Closing the database could hang on its own mutexes now. Its file is
		// let go, or nobody could open it before this process ends.
		if file != nil {
			unlock(file)
		}
		err = s.damaged(path, fmt.Sprint(v))
	}()
	if plain(path) != nil {
		return s.damaged(path, "it is not a plain file")
	}
	why, err := inspect(path, !s.deep.Load())
	switch {
	case err != nil:
		return fmt.Errorf("open the state file: %w", err)
	case why != "":
		return s.damaged(path, why)
	}
	s.deep.Store(true)
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: boltTimeout, ReadOnly: readOnly, NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if file == nil {
				file = f
			}
			return f, err
		},
	})
	if err != nil {
		return s.openError(path, err)
	}
	err = use(db)
	return errors.Join(err, db.Close())
}

// lost is the error of a state file that is gone while its sessions are there: with a
// new one nobody would know of them, and others would get their slots.
func (s *Store) lost() error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "sessions"))
	if err != nil || len(entries) == 0 || s.Exists() {
		// Whoever is first makes the file, then the folder of its session, and a
		// reader that had no lock yet may have looked before both.
		return nil //nolint:nilerr // there is none
	}
	return s.damaged(s.Path(), fmt.Sprintf("it is gone, and the folders of %d sessions are there", len(entries)))
}

// openError says what an error of bolt.Open means.
func (s *Store) openError(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return &LockedError{Path: path, Waited: boltTimeout, Holder: namePIDs(lockers(path), writer{})}
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return s.damaged(path, err.Error())
	default:
		return fmt.Errorf("open the state file: %w", err)
	}
}

// damaged describes a damaged file and names the way out.
func (s *Store) damaged(path, why string) error {
	e := &DamagedError{Path: path, Why: why}
	if copies := s.copies(); len(copies) > 0 {
		e.Copy = copies[len(copies)-1]
	}
	return e
}

// reasoned is an error and the reason that its text gives.
type reasoned struct {
	error
	reason error
}

// Unwrap returns both.
func (e reasoned) Unwrap() []error { return []error{e.error, e.reason} }

// boltError finds the reason in an error of bbolt, which in places hands on only
// its text.
func boltError(err error) error {
	for _, reason := range []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EROFS, unix.EIO} {
		if !errors.Is(err, reason) && strings.HasSuffix(err.Error(), reason.Error()) {
			return reasoned{err, reason}
		}
	}
	return err
}

// writeError adds what to do to the errors of a disk that cannot be written to.
func (s *Store) writeError(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return fmt.Errorf("%w; make room for %s and run the command again", err, s.dir)
	case errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; make %s writable or set ECLUSE_STATE_DIR to another folder", err, s.dir)
	default:
		return err
	}
}

// create builds a new file under another name. A file that has the name of the
// state is whole.
func (s *Store) create() error {
	temp := s.Path() + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.build(temp); err != nil {
		_ = os.Remove(temp)
		return err
	}
	if err := os.Rename(temp, s.Path()); err != nil {
		return err
	}
	return syncUp(s.dir)
}

// build makes a file with all buckets in it.
func (s *Store) build(path string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: boltTimeout})
	if err != nil {
		return err
	}
	err = db.Update(s.fill)
	return errors.Join(err, db.Close(), syncFile(path))
}

// syncFile makes a file durable, its size too.
func syncFile(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
