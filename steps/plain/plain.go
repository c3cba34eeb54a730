package plain

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

var (
	// ErrNotPlain is wrapped by the error for what is there but is no plain file.
	ErrNotPlain = errors.New("it is not a plain file")
	// ErrTooLarge is wrapped by the error of [Read] for a file with more in it.
	ErrTooLarge = errors.New("it is too large")
)

// Open opens a plain file, or the one that a link leads to, for reading. The error
// wraps [ErrNotPlain] for anything else, and fs.ErrNotExist if nothing is there.
func Open(path string) (*os.File, error) { return open(path, os.Stat, os.OpenFile) }

// OpenIn is [Open] for a file in a folder, which nothing leads out of.
func OpenIn(root *os.Root, name string) (*os.File, error) {
	return open(name, root.Stat, root.OpenFile)
}

// Read is the content of a plain file. The error is that of [Open], or wraps
// [ErrTooLarge] for a file of more than so many megabytes.
func Read(path string, megabytes int64) ([]byte, error) {
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	limit := megabytes << 20
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w: more than %d MB", ErrTooLarge, megabytes)}
	}
	return data, nil
}

// open opens what was a plain file a moment ago, and makes sure that it still is.
func open(name string, stat func(string) (fs.FileInfo, error), openFile func(string, int, fs.FileMode) (*os.File, error)) (*os.File, error) {
	info, err := stat(name)
	if err != nil {
		return nil, err
	}
	refused := &fs.PathError{Op: "read", Path: name, Err: ErrNotPlain}
	if !info.Mode().IsRegular() {
		return nil, refused
	}
	file, err := openFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = refused
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
