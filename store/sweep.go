package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
	sessions, err := s.List()
	exists := false
	for _, known := range sessions {
		exists = exists || fileName(known.Key) == name
	}
	lock := &ownerLock{file: file, path: path, dir: filepath.Join(s.dir, "sessions", name)}
	// A record that cannot be read may be this session's.
	return errors.Join(err, lock.Release(err == nil && !exists))
}
