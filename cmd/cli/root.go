package cli

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
)

const about = `ecluse gives every branch of a repository an environment of its own: a git
worktree, ports, containers, data and processes. Bringing one up and taking it
down are sagas: kill ecluse at any instant, and the next command knows exactly
how far it came.`

const exitTable = `
Exit status:
  0              done
  1              the answer is no, or an error of no other kind
  2              usage
  3              configuration
  4              no such session
  5              busy: somebody works on the session
  6              rolled back
  7              failed, something is left
  8              interrupted, needs recover
  9              a tool is missing (git, docker, tmux)
  10             the state cannot be read, or not be written
  11             slots or ports exhausted
  126, 127       exec, shell: the command cannot be run, as in a shell
  129, 130, 143  ended by SIGHUP, SIGINT, SIGTERM, after the state was written
exec and shell pass on the command's own.
`

// The groups of commands in the help.
const (
	groupLife = "life"
	groupLook = "look"
	groupRepo = "repo"
)

// newRoot makes the root command.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use: "ecluse", Short: "isolated development environments for one repository", Long: about,
		Example: `  ecluse init                        # once: writes .ecluse.toml
  ecluse up feat-x                   # a worktree of the branch, and all that runs in it
  ecluse exec feat-x -- npm test     # there, with its ports in the environment
  ecluse status feat-x
  ecluse down feat-x                 # nothing is left but the branch, if it has commits`,
		SilenceErrors: true, SilenceUsage: true,
		Version: versionOf().Version,
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := exclusive(cmd); err != nil {
				return err
			}
			return a.setUp()
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print the result as JSON")
	a.mode = display.Auto
	flags.Var(&a.mode, "progress", "how progress is shown")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "show no progress, only warnings and errors")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "show the time of each line of progress, every message, and what the programs of steps write")
	flags.StringVarP(&a.dir, "directory", "C", ".", "work as if started in `DIR`")
	root.AddGroup(
		&cobra.Group{ID: groupLife, Title: "Sessions:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupRepo, Title: "Repository and machine:"},
	)
	root.AddCommand(
		newUp(a), newDown(a), newShutdown(a), newRecover(a), newSync(a),
		newLs(a), newStatus(a), newLogs(a), newEnv(a), newHistory(a),
		newExec(a), newShell(a), newWhosePID(a),
		newFlush(a), newGC(a), newDoctor(a), newInit(a), newValidate(a), newConfig(a), newCompletion(a), newVersion(a),
	)
	for _, cmd := range root.Commands() {
		cmd.RunE, cmd.Args = a.once(cmd.RunE), argued(cmd.Args)
		for _, below := range cmd.Commands() {
			below.RunE, below.Args = a.once(below.RunE), argued(below.Args)
		}
	}
	a.completions(root)
	root.SetHelpCommand(newHelp(a, root))
	root.SetFlagErrorFunc(flagError)
	root.SetHelpTemplate(root.HelpTemplate() + "{{if .HasParent}}\nExit statuses: ecluse help " + exitTopic + "\n{{else}}" + exitTable + "{{end}}")
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// once notes that the command line was understood, before the command runs.
func (a *app) once(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.parsed = true
		return run(cmd, args)
	}
}

// setUp checks the global flags.
func (a *app) setUp() error {
	if a.quiet {
		a.mode = display.Quiet
	}
	dir, err := filepath.Abs(a.dir)
	if err != nil {
		return errors.New("the current directory does not exist any more; change into one that does")
	}
	a.dir = dir
	a.started, _ = os.Getwd() // if it is gone, -C has led to one that is not
	return nil
}

// Verbs lists the commands.
func Verbs() []string {
	var names []string
	for _, cmd := range newRoot(&app{}).Commands() {
		names = append(names, cmd.Name())
	}
	return names
}
