package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"ecluse/steps/proc"
)

// ownSession makes a program the leader of a session of its own.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// check looks at what exec would tell too little about: of a folder that is
// missing it says that the program is.
func (c Command) check() error {
	if c.Dir == "" {
		return errors.New("no folder to run in was given")
	}
	info, err := os.Stat(c.Dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "chdir", Path: c.Dir, Err: syscall.ENOTDIR}
	}
	return nil
}

// start starts the program and begins to feed it.
func (c Command) start(cmd *exec.Cmd) error {
	if file, ok := c.Stdin.(*os.File); ok {
		cmd.Stdin = file
	} else if c.Stdin != nil {
		// Not cmd.Stdin: Wait would wait for a reader that never says anything.
		pipe, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		defer func() {
			if cmd.Process != nil {
				go feed(pipe, c.Stdin)
			}
		}()
	}
	proc.Seal()
	err := cmd.Start()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w; install %s, or put its folder on PATH", exec.ErrNotFound, c.Name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no such file, or it names an interpreter that there is not", exec.ErrNotFound)
	}
	return err
}

// feed hands a program its input. That it did not want all of it is no error.
func feed(pipe io.WriteCloser, from io.Reader) {
	_, _ = io.Copy(pipe, from)
	_ = pipe.Close()
}

// supervise returns nil once the program has ended by itself. When ctx ends before,
// it ends the program and all that it brought up, and returns why. Until somebody
// waits for the program its number, and its group's, stay its own.
func supervise(ctx context.Context, process *os.Process, grace time.Duration) error {
	id, err := proc.OfChild(process.Pid)
	if err == nil {
		err = id.AwaitEnd(ctx)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil:
		// We cannot see it, so we could not end it later.
		_ = process.Kill()
		return err
	}
	stopped := proc.Stop(context.WithoutCancel(ctx), grace, proc.Family(id))
	if stopped != nil {
		return fmt.Errorf("%w; %w", context.Cause(ctx), stopped)
	}
	return context.Cause(ctx)
}

// hangs reports whether a program could not be ended: it hangs in the kernel, and
// whoever waits for it hangs as well.
func hangs(cut error, pid int) bool {
	var alive *proc.AliveError
	return errors.As(cut, &alive) && slices.ContainsFunc(alive.IDs, func(id proc.ID) bool { return id.PID == pid })
}

// verdict says what came of a program that was waited for.
func (c Command) verdict(state *os.ProcessState, cut, err error, log *sink) error {
	if cut == nil && err == nil {
		return nil
	}
	e := &Error{Program: c.String(), Status: -1, Err: cut, Tail: log.tail()}
	if state != nil {
		exit := proc.ExitOf(state)
		e.Status, e.Signal = exit.Status, exit.Signal
	}
	var exited *exec.ExitError
	if cut == nil && !errors.As(err, &exited) {
		e.Err = err
	}
	return e
}

// fail is the error of a program that did not start.
func (c Command) fail(err error) error {
	return &Error{Program: c.String(), Status: -1, Err: err}
}
