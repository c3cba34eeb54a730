package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is an ecluse at a pseudo-terminal of its own, and who sits there.
type terminal struct {
	t      testing.TB
	w      *world
	name   string
	cmd    *exec.Cmd
	keys   *os.File
	stdout bytes.Buffer
	shown  screen
	read   chan struct{} // closed when all that is shown was read
}

// screen collects what a terminal shows.
type screen struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// String is what was shown so far.
func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// What keys are to a program that reads lines.
const (
	ctrlC = "\x03"
	ctrlD = "\x04"
)

// pseudoTerminal makes a terminal: the side of who types, and that of the programs.
func pseudoTerminal(t testing.TB) (keys, tty *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	raw, err := keys.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var failed error
	if err := raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			number, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return keys, tty
}

// sitDown starts ecluse at a terminal, which is its stdin and stderr.
func (w *world) sitDown(args ...string) *terminal {
	w.t.Helper()
	keys, tty := pseudoTerminal(w.t)
	defer tty.Close()
	x := &terminal{t: w.t, w: w, name: strings.Join(args, " "), cmd: w.command(args...), keys: keys, read: make(chan struct{})}
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = tty, &x.stdout, tty
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = x.cmd.Process.Kill() })
	go func() {
		defer close(x.read)
		_, _ = io.Copy(&x.shown, keys) // ends with an error, when the last program has gone
	}()
	return x
}

// types waits for a question, and answers.
func (x *terminal) types(question, answer string) {
	x.t.Helper()
	x.w.eventually(fmt.Sprintf("%s asks %q; it shows %q", x.name, question, x.shown.String()), func() bool { return strings.Contains(x.shown.String(), question) })
	if _, err := x.keys.WriteString(answer); err != nil {
		x.t.Fatal(err)
	}
}

// ends waits for the end, which must be with a status: 128+n where a signal ended it.
func (x *terminal) ends(want int) {
	x.t.Helper()
	err := x.cmd.Wait()
	have := x.cmd.ProcessState.ExitCode()
	if ws, ok := x.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		have = 128 + int(ws.Signal())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		x.t.Fatal(err)
	}
	if have != want {
		x.t.Errorf("%s ended with %d, want %d\nstdout: %s\nterminal: %s", x.name, have, want, x.stdout.String(), x.shown.String())
	}
}
