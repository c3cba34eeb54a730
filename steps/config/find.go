package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Name is the name of the configuration's file, in the main worktree.
const Name = ".ecluse.toml"

// maxSize bounds what is read, in bytes. Nobody writes such a file by hand.
const maxSize = 32 << 20

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
		return "", fmt.Errorf("%w in %s; run `ecluse init` there", ErrMissing, root)
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
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	p := &Problems{path: path}
	p.doc = parse(text, p)
	decode(p, into)
	return p, nil
}

// read reads a file of bounded size. A pipe would have it wait for ever, also one
// that takes the file's place between two looks.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read the configuration: %s is no file", path)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read the configuration: %s is no file any more", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("read the configuration: %s is larger than %d MB", path, maxSize>>20)
	}
	return text, nil
}
