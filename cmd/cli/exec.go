package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ecluse/saga/session"
	"ecluse/steps"
)

// The exit statuses of a command that cannot be run, as those of a shell.
const (
	exitNotExecutable = 126
	exitNoCommand     = 127
)

// unrunnable is a command that cannot be run.
type unrunnable struct {
	error
	status int
}

func (e unrunnable) Unwrap() error { return e.error }

func newExec(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "exec [SLUG] -- COMMAND [ARG…]", GroupID: groupLook, Short: "run a command in a session's worktree and environment",
		Long: `Run a command in the worktree of a session, with everything in its environment that
the session's services see: the ports, [env], and the files .env, .env.local and
.env.ecluse. Without SLUG it is the session whose worktree you are in.

ecluse becomes the command: the terminal, signals and the exit status are the
command's own. It is 126 or 127 if the command cannot be run, as in a shell.

A session that failed will do, with a warning, as long as its worktree is there.
One that is stopped, or whose worktree is gone, is refused (1), and so is one that
somebody works on (5) or that was interrupted (8).`,
		Example: `  ecluse exec feat-x -- npm test
  ecluse exec -- sh -c 'psql "$DATABASE_URL"'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 0 || dash > 1 || len(args) == dash {
				return hinted{usagef("put the command behind --, and at most one slug before it: ecluse exec [SLUG] -- COMMAND"), "ecluse exec --help"}
			}
			s, err := a.entered(args[:dash])
			if err != nil {
				return err
			}
			return a.become(cmd, s, args[dash:])
		},
	}
}

// become replaces ecluse by a program of the session. It returns only if that cannot
// be done.
func (a *app) become(cmd *cobra.Command, s session.Session, args []string) error {
	if err := groundless(s); err != nil {
		return err
	}
	env, err := steps.ProgramEnviron(cmd.Context(), s, a.outer)
	if err != nil {
		return fmt.Errorf("work out the environment of session %s: %w", s.Slug, err)
	}
	if err := os.Chdir(s.Worktree); err != nil {
		return hinted{fmt.Errorf("go to the worktree of session %s: %w", s.Slug, err), "ecluse up " + s.Slug}
	}
	for _, entry := range env {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			_ = os.Setenv("PATH", path) // the program is looked for where the session's would be
		}
	}
	path, err := exec.LookPath(args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return unrunnable{fmt.Errorf("run %s: %w", args[0], cause(err)), statusOfStart(err)}
	}
	a.close()
	err = syscall.Exec(path, args, env)
	if errors.Is(err, syscall.ENOEXEC) { // a script that does not say what runs it
		err = syscall.Exec("/bin/sh", append([]string{"sh", path}, args[1:]...), env)
	}
	return unrunnable{fmt.Errorf("run %s: %w", args[0], err), statusOfStart(err)}
}

// cause is what exec.LookPath says without the name, which stands before it.
func cause(err error) error {
	var lookup *exec.Error
	if errors.As(err, &lookup) {
		return lookup.Err
	}
	return err
}

// statusOfStart is the exit status for a command that could not be started.
func statusOfStart(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return exitNoCommand
	}
	return exitNotExecutable
}
