package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec is a process to start.
type Spec struct {
	// Dir is where it runs; it is required.
	Dir string
	// Command is handed to `sh -c`.
	Command string
	// Env is its whole environment, as KEY=VALUE: nothing is added to it.
	Env []string
	// Log takes its stdout and stderr. Without one they are discarded.
	Log *os.File
}

// prologue waits for a line on descriptor 3 before it becomes the command, as the
// same process. At the end of the file, which is our end, read fails.
const prologue = `read -r word <&3 && exec 3<&- && exec /bin/sh -c "$1"`

// word is that line.
const word = "go\n"

// ErrNotStarted is wrapped by the error of a process that ended before its
// command began.
var ErrNotStarted = errors.New("it ended before its command began")

// Pending is a process that was made and waits for [Pending.Go].
type Pending struct {
	// ID is its identity, now and when it runs the command.
	ID ID

	ctx  context.Context // Start's: Go is the second half of it
	gate *os.File
	done chan struct{}
	exit Exit // set before done is closed
}

// Exit is how a process ended: by a signal or with a status.
type Exit struct {
	// Status is what it exited with, -1 if a signal ended it.
	Status int
	// Signal is the signal's name ("SIGKILL"), else empty.
	Signal string
}

// ExitOf reads the exit of a process that was waited for.
func ExitOf(state *os.ProcessState) Exit {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		name := unix.SignalName(status.Signal())
		if name == "" {
			name = fmt.Sprintf("signal %d", int(status.Signal()))
		}
		return Exit{Status: -1, Signal: name}
	}
	return Exit{Status: state.ExitCode()}
}

// String says it: "exit status 1", "ended by SIGKILL".
func (e Exit) String() string {
	if e.Signal != "" {
		return "ended by " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Status)
}

// Start makes a process that does nothing until it is told to go. It is the
// leader of a session of its own, has no terminal, reads nothing, and inherits no
// file but the log. If we end before it was told to go, in whatever way, it ends
// by itself. Every Pending must see Go or Abort.
func Start(ctx context.Context, spec Spec) (*Pending, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("start `%s`: %w", brief(spec.Command), context.Cause(ctx))
	}
	if err := checkDir(spec.Dir); err != nil {
		return nil, fmt.Errorf("start `%s`: %w", brief(spec.Command), err)
	}
	p, err := spawn(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("start `%s`: %w", brief(spec.Command), err)
	}
	return p, nil
}

// checkDir looks at the folder first: of one that is missing exec would say that
// the program is.
func checkDir(dir string) error {
	if dir == "" {
		return errors.New("no folder to run in was given")
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &os.PathError{Op: "chdir", Path: dir, Err: syscall.ENOTDIR}
	}
	return nil
}

func spawn(ctx context.Context, spec Spec) (*Pending, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	// It is to outlive ctx, so ctx is not the command's.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", prologue, "sh", spec.Command)
	cmd.Dir = spec.Dir
	cmd.Env = append([]string{}, spec.Env...) // nil would mean ours
	cmd.ExtraFiles = []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if spec.Log != nil {
		cmd.Stdout, cmd.Stderr = spec.Log, spec.Log
	}
	Seal()
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return nil, err
	}
	id, err := OfChild(cmd.Process.Pid)
	p := &Pending{ID: id, ctx: ctx, gate: write, done: make(chan struct{})}
	go func() {
		// The error says no more than the state, which the kernel gives us in
		// any case: nothing is copied.
		_ = cmd.Wait()
		p.exit = ExitOf(cmd.ProcessState)
		close(p.done)
	}()
	if err != nil {
		p.Abort()
		return nil, err
	}
	return p, nil
}

// Go lets the process become its command. From here on it lives on without us.
// The error wraps ErrNotStarted if it ended while it was waiting, or the cause of
// Start's ctx if that is over; then nothing is left of it.
func (p *Pending) Go() error {
	if p.ctx.Err() != nil {
		p.Abort()
		return fmt.Errorf("start pid %d: %w", p.ID.PID, context.Cause(p.ctx))
	}
	_, err := io.WriteString(p.gate, word)
	if err != nil {
		p.Abort()
		return fmt.Errorf("start pid %d: %w: %s", p.ID.PID, ErrNotStarted, p.exit)
	}
	return p.gate.Close()
}

// Abort ends the process if it was not told to go, and waits until it is gone.
// After Go it does nothing.
func (p *Pending) Abort() {
	if errors.Is(p.gate.Close(), os.ErrClosed) {
		return
	}
	// It ends by itself now, unless somebody has stopped it.
	_ = p.ID.Signal(syscall.SIGKILL)
	<-p.done
}

// Done is closed when the process has ended while we were its parent.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Exit is how it ended; it waits for that.
func (p *Pending) Exit() Exit {
	<-p.done
	return p.exit
}
