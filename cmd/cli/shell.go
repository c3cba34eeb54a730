package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"ecluse/saga/session"
	"ecluse/steps"
)

func newShell(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "shell [SLUG]", GroupID: groupLook, Short: "open a shell in a session's worktree and environment",
		Long: `Start $SHELL, or /bin/sh, in the worktree of a session, with everything in its
environment that the session's services see. The exit status is the shell's.
Without SLUG it is the session whose worktree you are in.

In a terminal, and with a session whose services run in tmux, show its tmux
instead: a window for each service, and one with a shell.

A session that failed will do, with a warning, as long as its worktree is there.
One that is stopped, or whose worktree is gone, is refused (1), and so is one that
somebody works on (5) or that was interrupted (8).`,
		Example: `  ecluse shell feat-x
  echo 'npm test' | ecluse shell feat-x`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.entered(args)
			if err != nil {
				return err
			}
			if isTerminal(a.Stdin) {
				if err := a.attach(cmd.Context(), s); err != nil {
					return err
				}
			}
			shell := a.Getenv("SHELL")
			if shell == "" {
				shell = "/bin/sh"
			}
			return a.become(cmd, s, []string{shell})
		},
	}
}

// attach replaces ecluse by the tmux of a session. It returns nil if there is none that
// runs, or if this is a window of it.
func (a *app) attach(ctx context.Context, s session.Session) error {
	st, err := a.openStore()
	if err != nil {
		return err
	}
	args, socket, ok := steps.TmuxOf(ctx, s, st.Dir(s.Key))
	if !ok || a.outer.InTmux(socket) {
		return nil
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return nil
	}
	// A tmux in which we are is another one, and refuses nobody.
	if err := os.Unsetenv("TMUX"); err != nil {
		return err
	}
	a.close()
	return fmt.Errorf("show the tmux of session %s: %w", s.Slug, syscall.Exec(path, args, os.Environ()))
}
