package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"ecluse/saga/session"
)

// Folder is the state folder.
func (s *Store) Folder() string { return s.dir }

// Copies lists the copies of the state file, oldest first.
func (s *Store) Copies() []string { return slices.Clone(s.copies()) }

// Check looks at the whole state file: its pages, its schema, every record, and
// whether slots and leases say what the records say. It writes nothing. Without a file
// there is nothing to find. The error names all that it found.
func (s *Store) Check() error {
	var found []error
	_, err := s.view(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			found = append(found, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
		if len(found) == 0 {
			found = append(found, s.crossCheck(tx)...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = s.List()
	return errors.Join(errors.Join(found...), err)
}

// crossCheck compares slots and leases with the records that can be read.
func (s *Store) crossCheck(tx *bolt.Tx) []error {
	var found []error
	missing := func(key session.Key, what string, number int) {
		found = append(found, fmt.Errorf("session %s of %s has %s %d, which is not noted as its: %w", key.Slug, key.Repo, what, number, ErrDamaged))
	}
	err := under(tx, bucketSessions, nil, func(k, v []byte) error {
		key := splitSessionKey(k)
		one, err := s.decodeSession(key, v)
		if err != nil {
			return nil //nolint:nilerr // List names it
		}
		slots, err := slotsOf(tx, key.Repo)
		if err != nil {
			return err
		}
		if slots[one.Slot] != key.Slug {
			missing(key, "slot", one.Slot)
		}
		for _, port := range one.Ports {
			by, err := leasedTo(tx, port)
			if err != nil {
				return err
			}
			if by == nil || by.Key != key {
				missing(key, "port", port)
			}
		}
		return nil
	})
	if err != nil {
		found = append(found, err)
	}
	return found
}

// Room says how much of the disk that the state is on is free for its user, and whether
// its folder, or the one that it will be made in, can be written to.
func (s *Store) Room() (free uint64, writable bool, err error) {
	dir := s.dir
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, false, fmt.Errorf("look at the disk of %s: %w", s.dir, err)
	}
	writable = unix.Access(dir, unix.W_OK|unix.X_OK) == nil && disk.Flags&unix.ST_RDONLY == 0
	return disk.Bavail * uint64(disk.Bsize), writable, nil
}
