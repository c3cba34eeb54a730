package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ecluse/saga/session"
)

// Unclaimed lists the private folders of sessions other than these. It needs no state
// file: what is in none of the records may be what is left of one that was lost.
func (s *Store) Unclaimed(keys []session.Key) ([]string, error) {
	dir := filepath.Join(s.dir, "sessions")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for what sessions left: %w", err)
	}
	claimed := map[string]bool{}
	for _, key := range keys {
		claimed[fileName(key)] = true
	}
	var list []string
	for _, entry := range entries {
		if entry.IsDir() && !claimed[entry.Name()] {
			list = append(list, filepath.Join(dir, entry.Name()))
		}
	}
	return list, nil
}
