package cli

import (
	"github.com/spf13/cobra"
)

func newShell(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "shell [SLUG]", GroupID: groupLook, Short: "open a shell in a session's worktree and environment",
		Long: `Start $SHELL, or /bin/sh, in the worktree of a session, with everything in its
environment that the session's services see. The exit status is the shell's.
Without SLUG it is the session whose worktree you are in.`,
		Example: `  ecluse shell feat-x
  echo 'npm test' | ecluse shell feat-x`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.active(args)
			if err != nil {
				return err
			}
			shell := a.Getenv("SHELL")
			if shell == "" {
				shell = "/bin/sh"
			}
			return a.become(cmd, s, []string{shell})
		},
	}
}
