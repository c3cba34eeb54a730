package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// timeInName is the form of a time, in UTC, in the name of a file. It sorts.
const timeInName = "20060102T150405.000Z"

// backupDir is where the copies of the state file are.
func (s *Store) backupDir() string { return filepath.Join(s.dir, "backups") }

// copies lists the copies of the state file, of all schemas, oldest first.
func (s *Store) copies() []string {
	files, _ := filepath.Glob(filepath.Join(s.backupDir(), "state-*-*.db"))
	slices.SortFunc(files, func(a, b string) int {
		x, errX := os.Stat(a)
		y, errY := os.Stat(b)
		if errX != nil || errY != nil {
			return 0
		}
		return x.ModTime().Compare(y.ModTime())
	})
	return files
}

// copyFile copies the file as it is now to a temporary name. It does not sync.
func (s *Store) copyFile(db *bolt.DB) (temp string, err error) {
	if err := makeDir(s.backupDir()); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(s.backupDir(), ".copy-*")
	if err != nil {
		return "", err
	}
	err = db.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(f)
		return err
	})
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// nameCopy makes a copy durable under its own name, and drops the oldest.
func (s *Store) nameCopy(temp string, schema int) error {
	name := fmt.Sprintf("state-%d-%s.db", schema, s.now().UTC().Format(timeInName))
	err := syncFile(temp)
	if err == nil {
		err = os.Rename(temp, filepath.Join(s.backupDir(), name))
	}
	if err == nil {
		err = syncDir(s.backupDir())
	}
	if err != nil {
		_ = os.Remove(temp)
		return err
	}
	files, err := filepath.Glob(filepath.Join(s.backupDir(), fmt.Sprintf("state-%d-*.db", schema)))
	if err != nil {
		return err
	}
	// The time sorts. The new one stays also when the clock was set back.
	slices.Sort(files)
	files = slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == name })
	for _, file := range files[:max(0, len(files)-(copiesKept-1))] {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// tryCopy copies the file under the lock; what it costs there is a copy within
// memory. A copy that cannot be made must not fail the command that it is made
// by; the next is made a day later.
func (s *Store) tryCopy(db *bolt.DB) string {
	temp, err := s.copyFile(db)
	if err != nil {
		return ""
	}
	return temp
}

// keepCopy ends what tryCopy began, without the lock: syncing takes long.
func (s *Store) keepCopy(temp string) { _ = s.nameCopy(temp, s.schema()) }
