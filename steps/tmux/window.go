package tmux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"ecluse/steps/proc"
)

// Spec is a program that gets a window.
type Spec struct {
	// Window is its name: letters, digits, - and _.
	Window string
	// Dir is where the program runs, Command is handed to `sh -c`.
	Dir, Command string
	// Env is its whole environment, as KEY=VALUE; what tmux itself tells it comes
	// on top. What no shell can export is left out.
	Env []string
	// Mark is the part of Env by which it can be found from its beginning on.
	Mark []string
	// Log is a file that what it writes is appended to.
	Log string
}

// prologue waits at the gate, if there is one, and becomes the program, as the same
// process. At the end of the file, which is our end, read fails.
const prologue = `if test -p "$1"; then read -r word <"$1" || exit 1; fi
exec env -i TERM="$TERM" TMUX="$TMUX" TMUX_PANE="$TMUX_PANE" /bin/sh "$2"`

const (
	// gateTimeout bounds the wait for a new window to come to its gate.
	gateTimeout = 30 * time.Second
	// deadTimeout bounds the wait for tmux to take note of the end of a program, and
	// quietTimeout that for its last words to be in the log.
	deadTimeout  = 5 * time.Second
	quietTimeout = time.Second
	// minLooks are taken, whatever the time is then: one that passed while the machine
	// stood still was none for tmux either.
	minLooks = 50
	// nudgeInterval is between two reminders of tmux to look after its children.
	nudgeInterval = 200 * time.Millisecond
	// quiet is how long a log must not have grown.
	quiet = 60 * time.Millisecond
	// pause is between two looks.
	pause = 10 * time.Millisecond
)

// Pending is a program that waits for [Pending.Go].
type Pending struct {
	// ID is its identity, now and when it runs the command; Server that of the
	// server.
	ID, Server proc.ID

	ctx    context.Context // Open's: Go is the second half of it
	server Server
	window string
	gate   *os.File
}

// Open makes a window of the name, in the place of those that there are, whose program
// waits. Every Pending must see Go or Abort.
func (s Server) Open(ctx context.Context, spec Spec) (*Pending, error) {
	p, err := s.open(ctx, spec)
	if err != nil {
		_ = os.Remove(s.file(spec.Window, "gate"))
		return nil, fmt.Errorf("open a window in tmux: %w", err)
	}
	return p, nil
}

func (s Server) open(ctx context.Context, spec Spec) (*Pending, error) {
	server, err := s.Process(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Close(ctx, spec.Window); err != nil {
		return nil, err
	}
	gate, script := s.file(spec.Window, "gate"), s.file(spec.Window, "sh")
	if err := renameio.WriteFile(script, spec.script(), 0o600); err != nil {
		return nil, err
	}
	if err := os.Remove(gate); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		return nil, fmt.Errorf("make the FIFO %s: %w", gate, err)
	}
	// One message makes all of it: the window is never without its log.
	args := []string{"new-window", "-d", "-t", s.target(""), "-n", spec.Window, "-P", "-F", "#{pane_pid}"}
	for _, entry := range spec.Mark {
		args = append(args, "-e", entry)
	}
	args = append(args, "--", "/bin/sh", "-c", prologue, "sh", gate, script,
		";", "set-option", "-w", "-t", s.target(spec.Window), "remain-on-exit", "on",
		";", "pipe-pane", "-t", s.target(spec.Window), logger(spec.Log))
	out, err := s.ask(ctx, args...)
	if err != nil {
		return nil, err
	}
	p := &Pending{Server: server, ctx: ctx, server: s, window: spec.Window}
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err == nil {
		p.ID, err = proc.Of(pid)
	}
	if err == nil {
		p.gate, err = s.approach(ctx, p.ID, gate)
	}
	if err != nil {
		p.Abort()
		return nil, err
	}
	return p, nil
}

// script is what sets the environment and becomes the command.
func (spec Spec) script() []byte {
	var b bytes.Buffer
	for _, entry := range spec.Env {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case !exportable(name) || name == "TERM" || name == "TMUX" || name == "TMUX_PANE":
		default:
			fmt.Fprintf(&b, "export %s=%s\n", name, quote(value))
		}
	}
	fmt.Fprintf(&b, "cd %s || exit\nexec /bin/sh -c %s\n", quote(spec.Dir), quote(spec.Command))
	return b.Bytes()
}

// exportable reports whether a shell can export a variable of the name. PPID and their
// like are its own.
func exportable(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	switch name {
	case "", "PPID", "UID", "EUID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO":
		return false
	}
	return true
}

// quote makes one word of text for a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// logger is the shell command that keeps what a window shows, without the carriage
// returns of a terminal. tmux expands # and % in it. The log is not its stdout: whoever
// has it there counts as the program's.
func logger(log string) string {
	command := `sed -u 's/\r$//' | tee -a ` + quote(log) + " >/dev/null"
	return strings.NewReplacer("#", "##", "%", "%%").Replace(command)
}

// file is a file of a window.
func (s Server) file(window, suffix string) string { return filepath.Join(s.Dir, window+"."+suffix) }

// approach waits until the program is at its gate.
func (s Server) approach(ctx context.Context, id proc.ID, gate string) (*os.File, error) {
	deadline := time.Now().Add(gateTimeout)
	for {
		// Without a reader it cannot be opened so.
		file, err := os.OpenFile(gate, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		switch {
		case err == nil:
			return file, nil
		case !errors.Is(err, syscall.ENXIO):
			return nil, err
		case !id.Alive():
			return nil, fmt.Errorf("wait for its shell: %w", proc.ErrNotStarted)
		case time.Now().After(deadline):
			return nil, fmt.Errorf("its shell does not begin within %s", gateTimeout)
		case rest(ctx) != nil:
			return nil, context.Cause(ctx)
		}
	}
}

// rest lets a moment pass.
func rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// Go lets the program become its command. From here on it lives on without us.
func (p *Pending) Go() error {
	if p.ctx.Err() != nil {
		p.Abort()
		return fmt.Errorf("start pid %d: %w", p.ID.PID, context.Cause(p.ctx))
	}
	// The name goes first: who opens it after that would wait for ever.
	err := os.Remove(p.gate.Name())
	if err == nil {
		_, err = io.WriteString(p.gate, "go\n")
	}
	if err != nil {
		p.Abort()
		return fmt.Errorf("start pid %d: %w: %w", p.ID.PID, proc.ErrNotStarted, err)
	}
	return p.gate.Close()
}

// Abort ends the program if it was not told to go, with its window.
func (p *Pending) Abort() {
	if p.gate != nil && errors.Is(p.gate.Close(), os.ErrClosed) {
		return
	}
	_ = os.Remove(p.server.file(p.window, "gate"))
	_ = p.ID.Signal(syscall.SIGKILL)
	ctx := context.WithoutCancel(p.ctx)
	_ = p.server.Close(ctx, p.window)
	_ = p.ID.AwaitEnd(ctx)
}

// pane is what tmux knows of a window's program.
type pane struct {
	window string
	pid    int
	dead   bool
	exit   proc.Exit
}

// panes lists them.
func (s Server) panes(ctx context.Context) ([]pane, error) {
	out, err := s.ask(ctx, "list-panes", "-s", "-t", s.target(""), "-F", "#{pane_pid} [#{pane_dead_status}] [#{pane_dead_signal}] #{window_name}")
	if err != nil {
		return nil, err
	}
	var list []pane
	for line := range strings.Lines(out) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) < 4 {
			continue
		}
		// Tmux calls a pane dead a moment before it knows why, or only when all of its
		// output is in the log.
		p := pane{dead: fields[1]+fields[2] != "[][]", window: fields[3]}
		p.pid, _ = strconv.Atoi(fields[0])
		p.exit.Status, _ = strconv.Atoi(strings.Trim(fields[1], "[]"))
		if number, err := strconv.Atoi(strings.Trim(fields[2], "[]")); err == nil && number > 0 {
			p.exit = proc.Exit{Status: -1, Signal: unix.SignalName(syscall.Signal(number))}
		}
		list = append(list, p)
	}
	return list, nil
}

// Close takes the windows of a name away. That there is none is no error.
func (s Server) Close(ctx context.Context, window string) error {
	panes, err := s.panes(ctx)
	for _, p := range panes {
		if err == nil && p.window == window {
			_, err = s.ask(ctx, "kill-window", "-t", s.target(window))
		}
	}
	if err != nil && !ErrNone(err) {
		return fmt.Errorf("close window %s in tmux: %w", window, err)
	}
	return nil
}

// Exit is how a program that has ended has done so, as far as its server can tell.
func (s Server) Exit(ctx context.Context, server, id proc.ID) (proc.Exit, bool) {
	deadline, nudge := time.Now().Add(deadTimeout), time.Now().Add(nudgeInterval)
	for looks := 0; looks < minLooks || time.Now().Before(deadline); looks++ {
		panes, err := s.panes(ctx)
		if err != nil {
			break
		}
		for _, p := range panes {
			if p.pid == id.PID && p.dead {
				return p.exit, true
			}
		}
		// On a busy machine tmux overlooks, now and then, that a child has ended
		// (3.3a does), until another one does.
		if time.Now().After(nudge) {
			_ = server.Signal(syscall.SIGCHLD)
			nudge = time.Now().Add(nudgeInterval)
		}
		if rest(ctx) != nil {
			break
		}
	}
	return proc.Exit{}, false
}

// Settle waits until what a program said before its end is in its log.
func Settle(ctx context.Context, log string) {
	// Counted in looks: while the machine stands still nobody writes.
	size, same := int64(-1), time.Duration(0)
	for range quietTimeout / pause {
		info, err := os.Stat(log)
		if err != nil {
			return
		}
		if info.Size() != size {
			size, same = info.Size(), 0
		}
		if same++; same > quiet/pause || rest(ctx) != nil {
			return
		}
	}
}
