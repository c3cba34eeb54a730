package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Signal sends a signal to the process, and to no other that has its number by
// now. The error wraps os.ErrProcessDone if it has ended, ErrForeign if it cannot
// be reached from here, and os.ErrPermission if it is not ours.
func (id ID) Signal(sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal pid %d: %v is no signal of this system", id.PID, sig)
	}
	handle, err := id.open()
	if err != nil {
		return fmt.Errorf("signal pid %d: %w", id.PID, err)
	}
	defer handle.Close()
	conn, err := handle.SyscallConn()
	if err != nil {
		return fmt.Errorf("signal pid %d: %w", id.PID, err)
	}
	var sent error
	err = conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), number, nil, 0) })
	if errors.Is(sent, unix.ESRCH) {
		sent = os.ErrProcessDone
	}
	if err := errors.Join(err, sent); err != nil {
		return fmt.Errorf("send %s to pid %d: %w", unix.SignalName(number), id.PID, err)
	}
	return nil
}

// open opens a pidfd of the process. That the identity is looked at afterwards
// is what makes it safe: whoever had the number when the pidfd was opened is the
// one that the pidfd means.
func (id ID) open() (*os.File, error) {
	if _, err := id.look(); err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL):
		return nil, os.ErrProcessDone
	case errors.Is(err, unix.ENOSYS):
		return nil, fmt.Errorf("pidfd_open: %w; ecluse needs Linux 5.3 or newer", err)
	case err != nil:
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	// Only what does not block takes part in Go's own polling.
	err = unix.SetNonblock(fd, true)
	handle := os.NewFile(uintptr(fd), "pidfd")
	if err == nil {
		var s stat
		if s, err = id.look(); err == nil && s.dead() {
			err = os.ErrProcessDone
		}
	}
	if err != nil {
		_ = handle.Close()
		return nil, err
	}
	return handle, nil
}

// AwaitEnd returns nil once the process has ended, and the cause of ctx if that
// is over before. It does not take the exit status from the parent: a child of
// ours that has ended stays a zombie, and keeps its number, until it is waited
// for.
func (id ID) AwaitEnd(ctx context.Context) error {
	handle, err := id.open()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for pid %d: %w", id.PID, err)
	}
	defer handle.Close()
	stop := context.AfterFunc(ctx, func() { _ = handle.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := handle.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for pid %d: %w", id.PID, err)
	}
	err = conn.Read(func(fd uintptr) bool { return readable(int(fd)) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("wait for pid %d: %w", id.PID, err)
	}
	return nil
}

// readable reports whether a pidfd is: that is how it tells of the end.
func readable(fd int) bool {
	set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(set, 0)
	return err == nil && n > 0
}
