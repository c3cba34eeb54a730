package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ecluse/steps/plain"
)

// Name is the name of the configuration's file, in the main worktree.
const Name = ".ecluse.toml"

// maxSize bounds what is read, in megabytes. Nobody writes such a file by hand.
const maxSize = 32

// ErrMissing is wrapped by the error of [Find] for a repository that has no
// configuration.
var ErrMissing = errors.New("there is no " + Name)

// Find is the path of the configuration of the repository whose main worktree is
// root. The error wraps [ErrMissing] when there is none.
func Find(root string) (string, error) {
	path := filepath.Join(root, Name)
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("%w in %s", ErrMissing, root)
	case err != nil:
		return "", fmt.Errorf("look for the configuration: %w", err)
	}
	return path, nil
}

// Load decodes the file into what into points to, a struct with toml tags. What
// the file does not set keeps its value. The error is an [*Error] when the file
// could be read, and then into may be set in part.
func Load(path string, into any) error {
	p, err := Decode(path, into)
	if err != nil {
		return err
	}
	return p.Err()
}

// Decode is [Load] for a caller that has more to check: it returns what is wrong
// so far, for more to be added. The error says that the file could not be read.
func Decode(path string, into any) (*Problems, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	p := &Problems{path: path}
	p.doc = parse(text, p)
	decode(p, into)
	return p, nil
}

// Read is the text of a configuration. The error says that the file could not be read.
func Read(path string) ([]byte, error) {
	text, err := plain.Read(path, maxSize)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}
