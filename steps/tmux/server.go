package tmux

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"ecluse/steps/proc"
	"ecluse/steps/run"
)

// What stands in the way of tmux altogether.
var (
	// ErrMissing: tmux is not installed.
	ErrMissing = errors.New("tmux is missing")
	// ErrOld: it is too old.
	ErrOld = errors.New("tmux is too old")
)

// errNone is wrapped by the error of a call to a server that does not run, or about a
// window that there is not.
var errNone = errors.New("it is not there")

// ErrNone reports whether an error says that there is no such server or window.
func ErrNone(err error) bool { return errors.Is(err, errNone) }

const (
	// minMajor and minMinor are the oldest tmux that has -N.
	minMajor, minMinor = 3, 2
	// maxSocket is the longest path of a socket that the kernel takes, less the five
	// bytes of tmux's own lock beside it.
	maxSocket = 107 - len(".lock")
	// columns and rows are the size of a window that nobody looks at.
	columns, rows = "220", "50"
	// history is how many lines one can scroll back.
	history = "10000"
)

// firstSession is the number of the session that a server was started with. No other one
// of that server ever has it.
const firstSession = "$0"

// Server is a tmux server, running or not.
type Server struct {
	// Dir is its private folder, Session the name that its session is given. The user
	// may give it another one: it is known by its number.
	Dir, Session string
}

// version is what `tmux -V` prints: "tmux 3.3a", "tmux next-3.5".
var version = regexp.MustCompile(`^tmux (?:next-)?(\d+)\.(\d+)`)

// Check looks whether tmux can be used. The error wraps [ErrMissing] or [ErrOld].
func Check(ctx context.Context) error {
	out, err := run.Command{Dir: "/", Name: "tmux", Args: []string{"-V"}}.Output(ctx)
	if err != nil {
		return verdict(err)
	}
	m := version.FindStringSubmatch(string(out))
	if m == nil {
		return nil // "tmux master": of today
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < minMajor || major == minMajor && minor < minMinor {
		return fmt.Errorf("%w: %s; install %d.%d or newer, or set process_manager to detached", ErrOld, strings.TrimSpace(string(out)), minMajor, minMinor)
	}
	return nil
}

// Socket is the path of the server's socket. One in the folder may be too long for the
// kernel; it is then in /tmp, as those of tmux itself are.
func (s Server) Socket() string {
	path := filepath.Join(s.Dir, "socket")
	if len(path) <= maxSocket {
		return path
	}
	return filepath.Join(shared(), fmt.Sprintf("%x", sha256.Sum256([]byte(s.Dir)))[:16])
}

// makeDirs makes the folders, and refuses those that somebody else might write to.
func (s Server) makeDirs() error {
	for _, dir := range []string{s.Dir, filepath.Dir(s.Socket())} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the folder of tmux: %w", err)
		}
		info, err := os.Lstat(dir)
		if err != nil {
			return fmt.Errorf("look at the folder of tmux: %w", err)
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !info.IsDir() || !ok || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("use %s for tmux: it must be a folder of yours that nobody else may enter; move it out of the way", dir)
		}
	}
	return nil
}

// Start starts the server with its session, in a folder and with a window of the user's
// shell that is called "shell". Its environment is that of the context's programs and
// env, and becomes that of every window in which nothing else runs.
func (s Server) Start(ctx context.Context, dir string, env []string) error {
	held, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := os.Remove(s.Socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("take the socket of an earlier tmux away: %w", err)
	}
	// The configuration of the user is for the user's own tmux: with its plugins and
	// its names it could do anything to this one.
	_, err = s.tmux(ctx, dir, env, "-f", "/dev/null", "new-session", "-d", "-s", s.Session, "-n", "shell", "-x", columns, "-y", rows,
		";", "set-option", "-g", "history-limit", history)
	if err != nil {
		return fmt.Errorf("start tmux: %w", err)
	}
	return nil
}

// Process is the server's process. The error is one of [ErrNone] if it does not run, or
// has no such session.
func (s Server) Process(ctx context.Context) (proc.ID, error) {
	out, err := s.ask(ctx, "display-message", "-p", "-t", s.target(""), "#{session_id} #{pid}")
	if err != nil {
		return proc.ID{}, fmt.Errorf("look for tmux: %w", err)
	}
	number, text, _ := strings.Cut(strings.TrimSpace(out), " ")
	pid, err := strconv.Atoi(text)
	if err != nil || number != firstSession {
		return proc.ID{}, fmt.Errorf("look for tmux session %s: %w", s.Session, errNone)
	}
	return proc.Of(pid)
}

// Remove takes away what is left of a server that has ended.
func (s Server) Remove() error {
	for _, path := range []string{s.Socket(), s.Socket() + ".lock"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("take the socket of tmux away: %w", err)
		}
	}
	removeShared()
	if err := os.RemoveAll(s.Dir); err != nil {
		return fmt.Errorf("take the folder of tmux away: %w", err)
	}
	return nil
}

// Attach is the command that shows the session in a terminal.
func (s Server) Attach() []string {
	return []string{"tmux", "-N", "-S", s.Socket(), "attach-session", "-t", firstSession}
}

// target names a window of the session, or the session, and nothing else that begins
// like it.
func (s Server) target(window string) string {
	if window == "" {
		return firstSession + ":"
	}
	return firstSession + ":=" + window
}

// ask runs a command of the server, which must run.
func (s Server) ask(ctx context.Context, args ...string) (string, error) {
	return s.tmux(ctx, "/", nil, append([]string{"-N"}, args...)...)
}

// tmux runs the binary.
func (s Server) tmux(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	out, err := run.Command{Dir: dir, Name: "tmux", Args: append([]string{"-S", s.Socket()}, args...), Env: env}.Output(ctx)
	return string(out), verdict(err)
}

// absent is what tmux says when there is no server, session, window or pane.
var absent = regexp.MustCompile(`(?m)^(no server running on|error connecting to|server exited|lost server|can't find (session|window|pane)|no current)`)

// verdict tells what is missing from what failed.
func verdict(err error) error {
	var failed *run.Error
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w: install it, or set process_manager to detached", ErrMissing)
	case errors.As(err, &failed) && absent.MatchString(failed.Tail):
		return fmt.Errorf("%w (%s)", errNone, failed.Tail)
	}
	return err
}
