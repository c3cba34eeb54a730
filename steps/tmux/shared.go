package tmux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// shared is the user's folder of sockets whose own folders have long names. It does not
// depend on the environment: another one must find them.
func shared() string { return fmt.Sprintf("/tmp/ecluse-%d", os.Getuid()) }

// hold makes the folders of the server, and keeps the one of its socket until what is
// returned is closed: of the folder that sessions share, somebody else's down may just have
// seen that it is empty, and a tmux that finds no folder runs without a socket.
func (s Server) hold(ctx context.Context) (*os.File, error) {
	for {
		dir, err := s.tryHold()
		if err == nil || !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
			return dir, err
		}
	}
}

// tryHold fails with [fs.ErrNotExist] if the folder was removed meanwhile.
func (s Server) tryHold() (_ *os.File, err error) {
	if err := s.makeDirs(); err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(s.Socket()))
	if err != nil {
		return nil, fmt.Errorf("open the folder of tmux: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.Close())
		}
	}()
	if err := flock(dir, unix.LOCK_SH); err != nil {
		return nil, fmt.Errorf("lock the folder of tmux: %w", err)
	}
	if err := stillThere(dir); err != nil {
		return nil, fmt.Errorf("look at the folder of tmux: %w", err)
	}
	return dir, nil
}

// stillThere fails with [fs.ErrNotExist] if the folder was removed since it was opened;
// what has its name now is another one.
func stillThere(dir *os.File) error {
	have, err := dir.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(dir.Name())
	if err == nil && !os.SameFile(have, there) {
		err = fs.ErrNotExist
	}
	return err
}

// removeShared removes the folder of sockets if it is empty and nobody is about to put
// one there. The last one of all does.
func removeShared() {
	dir, err := os.Open(shared())
	if err != nil {
		return
	}
	defer dir.Close()
	if flock(dir, unix.LOCK_EX|unix.LOCK_NB) == nil && stillThere(dir) == nil {
		_ = os.Remove(dir.Name())
	}
}

// flock locks a file, however often a signal comes in between.
func flock(file *os.File, how int) error {
	for {
		if err := unix.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
