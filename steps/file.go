package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"ecluse/saga"
)

const (
	// chunk is how much is copied between two looks at the context.
	chunk = 8 << 20
	// maxEnvFile bounds a file of variables, in bytes. Nobody writes such a file
	// by hand.
	maxEnvFile = 16 << 20
)

// errNoFile is wrapped by the error for what is there but is no plain file. To
// read a pipe could take for ever, and no signal would reach us.
var errNoFile = errors.New("it is not a plain file")

// openFile opens a plain file for reading, openIn one in a folder.
func openFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return openPlain(path, info, os.OpenFile)
}

func openIn(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	return openPlain(name, info, root.OpenFile)
}

// openPlain opens what was a plain file a moment ago, and makes sure that it still
// is. Some devices act on being opened, so the first look is from outside.
func openPlain(name string, info fs.FileInfo, open func(string, int, fs.FileMode) (*os.File, error)) (*os.File, error) {
	if !info.Mode().IsRegular() {
		return nil, saga.Permanent(&fs.PathError{Op: "read", Path: name, Err: errNoFile})
	}
	file, err := open(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = saga.Permanent(&fs.PathError{Op: "read", Path: name, Err: errNoFile})
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// readEnvFile reads a file of variables.
func readEnvFile(path string) ([]byte, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxEnvFile+1))
	if err == nil && len(data) > maxEnvFile {
		err = saga.Permanent(fmt.Errorf("read %s: it is larger than %d MB", path, maxEnvFile>>20))
	}
	return data, err
}

// copyAll copies until the end of the source, or of ctx.
func copyAll(ctx context.Context, to io.Writer, from io.Reader) (int64, error) {
	var all int64
	for {
		if ctx.Err() != nil {
			return all, context.Cause(ctx)
		}
		n, err := io.CopyN(to, from, chunk)
		all += n
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}
