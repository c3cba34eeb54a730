package steps

import (
	"context"
	"errors"
	"io"
	"os"

	"ecluse/saga"
	"ecluse/steps/plain"
)

const (
	// chunk is how much is copied between two looks at the context.
	chunk = 8 << 20
	// maxEnvFile bounds a file of variables, in megabytes. Nobody writes such a file
	// by hand.
	maxEnvFile = 16
)

// openFile opens a plain file for reading, openIn one in a folder.
func openFile(path string) (*os.File, error) {
	file, err := plain.Open(path)
	return file, hopelessFile(err)
}

func openIn(root *os.Root, name string) (*os.File, error) {
	file, err := plain.OpenIn(root, name)
	return file, hopelessFile(err)
}

// readEnvFile reads a file of variables.
func readEnvFile(path string) ([]byte, error) {
	data, err := plain.Read(path, maxEnvFile)
	return data, hopelessFile(err)
}

// hopelessFile marks an error that would come again.
func hopelessFile(err error) error {
	if errors.Is(err, plain.ErrNotPlain) || errors.Is(err, plain.ErrTooLarge) {
		return saga.Permanent(err)
	}
	return err
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
