package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// noteFile is what a note is called among what the repository keeps about a worktree.
const noteFile = "ecluse"

// Note is what was noted about the worktree at path; nil if nothing was. A note is no
// part of the worktree: it goes with what the repository keeps about it.
func (r Repo) Note(path string) ([]byte, error) {
	e, found, err := r.entryOf(path)
	if err != nil || !found {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(e.dir, noteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is noted about worktree %s: %w", path, err)
	}
	return data, nil
}

// SetNote notes something about the worktree at path, in the place of what was noted
// before; nil is nothing.
func (r Repo) SetNote(path string, data []byte) error {
	e, found, err := r.entryOf(path)
	if err != nil {
		return err
	}
	file := filepath.Join(e.dir, noteFile)
	switch {
	case found && data != nil:
		err = renameio.WriteFile(file, data, 0o644)
	case found:
		if err = os.Remove(file); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	case data != nil:
		err = ErrNoWorktree
	}
	if err != nil {
		return fmt.Errorf("note whose worktree %s is: %w", path, err)
	}
	return nil
}

// Making reports whether the worktree at path is one that [Repo.Add] makes, or was
// making when it was killed.
func (r Repo) Making(path string) (bool, error) {
	e, found, err := r.entryOf(path)
	return found && e.locked && e.reason == madeReason+e.path, err
}
