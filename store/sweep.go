package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ecluse/saga/session"
)

// Sweep removes the owner locks and private folders of sessions that do not exist.
// Owners leave them that are killed before their first transaction or after their
// last. What somebody holds is left alone.
func (s *Store) Sweep() error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "locks"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for abandoned locks: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".own"); ok {
			errs = append(errs, s.sweep(name))
		}
	}
	return errors.Join(errs...)
}

// sweep removes what is left of one session. Whether it exists is asked while its
// lock is held: a session is made only by who holds it.
func (s *Store) sweep(name string) error {
	path := filepath.Join(s.dir, "locks", name+".own")
	file, err := lockNow(path, 0)
	if errors.Is(err, errHeld) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep %s: %w", name, s.writeError(err))
	}
	exists, err := s.known(name, file)
	if err != nil {
		// A record that cannot be read may be this session's.
		unlock(file)
		return err
	}
	lock := &ownerLock{file: file, path: path, dir: filepath.Join(s.dir, "sessions", name)}
	return lock.Release(!exists)
}

// known reports whether the session of an owner lock exists. Whom the lock is of
// the owner has written into it; only one that was killed before it could leaves us
// to look through all.
func (s *Store) known(name string, file *os.File) (bool, error) {
	var d description
	if json.NewDecoder(file).Decode(&d) == nil && fileName(d.Key) == name {
		_, err := s.Get(d.Key)
		if errors.Is(err, session.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	sessions, err := s.List()
	for _, known := range sessions {
		if fileName(known.Key) == name {
			return true, nil
		}
	}
	return false, err
}
