package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/settings"
)

func newCompletion(a *app) *cobra.Command {
	shells := []cobra.Completion{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", GroupID: groupRepo, Short: "print a script that completes command lines",
		Long: `Print a script with which a shell completes command lines of ecluse: commands and
flags, and also sessions, branches, steps and services. It looks at the recorded
state alone, changes nothing, and is silent where it cannot help. The script for bash
needs bash-completion, a package of most distributions.`,
		Example: `  source <(ecluse completion bash)
  ecluse completion zsh > "${fpath[1]}/_ecluse"
  ecluse completion fish > ~/.config/fish/completions/ecluse.fish`,
		Args: cobra.MatchAll(cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			if !slices.Contains(shells, args[0]) {
				return usagef("there is no script for %s; there is one for %s", args[0], strings.Join(shells, ", "))
			}
			return nil
		}), ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			write := map[string]func(io.Writer) error{
				"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
				"zsh":  root.GenZshCompletion, "powershell": root.GenPowerShellCompletionWithDesc,
				"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
			}[args[0]]
			if err := write(a.Stdout); err != nil {
				return fmt.Errorf("write the script: %w", err)
			}
			return nil
		},
	}
}

// completer lists what may stand at the place of the cursor. It looks only, and says
// nothing of what goes wrong.
type completer func(ctx context.Context, args []string) []cobra.Completion

// completions gives arguments and flags of the commands their completers.
func (a *app) completions(root *cobra.Command) {
	one := a.first(a.completeSessions)
	arguments := map[string]completer{
		"up": a.first(a.completeBranches), "recover": a.completeSessions,
		"down": one, "status": one, "env": one, "shell": one, "history": one, "exec": one, "sync": one,
		"logs": a.completeLogs,
	}
	flags := map[string]completer{
		"services": a.completeServices, "skip": a.completeServices, "port": a.completePorts,
		"mode":     constant(settings.ModeContainer, settings.ModeHost, settings.ModeHybrid),
		"progress": constant(modeNames()...),
		"format":   constant(envFormats()...),
	}
	for _, cmd := range append(root.Commands(), root) {
		if complete := arguments[cmd.Name()]; complete != nil {
			cmd.ValidArgsFunction = a.quietly(complete)
		} else if cmd.ValidArgs == nil && cmd != root {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for name, complete := range flags {
			if cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, a.quietly(complete)) // it is there
			}
		}
	}
}

// quietly makes a completer one of cobra's.
func (a *app) quietly(complete completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if a.setUp() != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		// A flag that takes several, with commas between: what is before stays.
		before := begun[:strings.LastIndexByte(begun, ',')+1]
		var list []cobra.Completion
		for _, c := range complete(ctx, args) {
			if strings.HasPrefix(before+c, begun) && !slices.Contains(args, value(c)) {
				list = append(list, before+c)
			}
		}
		if len(list) > 0 && strings.HasSuffix(value(list[0]), "=") {
			return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// modeNames are the ways to show progress.
func modeNames() []string {
	var names []string
	for _, mode := range display.Modes() {
		names = append(names, string(mode))
	}
	return names
}

// value is a completion without its description.
func value(c cobra.Completion) string {
	text, _, _ := strings.Cut(c, "\t")
	return text
}

// constant completes words that are always the same.
func constant(words ...string) completer {
	return func(context.Context, []string) []cobra.Completion { return words }
}

// first completes the first argument only.
func (a *app) first(complete completer) completer {
	return func(ctx context.Context, args []string) []cobra.Completion {
		if len(args) > 0 {
			return nil
		}
		return complete(ctx, args)
	}
}

// completeSessions are the sessions of the repository, with their states.
func (a *app) completeSessions(ctx context.Context, _ []string) []cobra.Completion {
	list, err := a.sessions(ctx, false)
	if err != nil {
		return nil
	}
	var found []cobra.Completion
	for _, s := range list {
		found = append(found, cobra.CompletionWithDesc(s.Slug, fmt.Sprintf("%s, branch %s", s.State, s.Branch)))
	}
	return found
}

// completeBranches are the sessions, then the branches that have none.
func (a *app) completeBranches(ctx context.Context, args []string) []cobra.Completion {
	found := a.completeSessions(ctx, args)
	repo, err := a.repository(ctx)
	if err != nil {
		return found
	}
	branches, err := repo.Branches(ctx)
	if err != nil {
		return found
	}
	has := map[string]bool{}
	for _, c := range found {
		has[value(c)] = true
	}
	for _, branch := range branches {
		if slug, err := session.Slug(branch); err == nil && !has[slug] {
			found = append(found, cobra.CompletionWithDesc(branch, "branch"))
		}
	}
	return found
}

// completeLogs are sessions, then the steps of the one that was named, and the steps
// of the session that one is in.
func (a *app) completeLogs(ctx context.Context, args []string) []cobra.Completion {
	switch len(args) {
	case 0:
		found := a.completeSessions(ctx, args)
		if s, err := a.find(ctx, nil); err == nil {
			found = append(found, stepNames(s)...)
		}
		return found
	case 1:
		s, err := a.find(ctx, args)
		if err != nil {
			return nil
		}
		return stepNames(s)
	default:
		return nil
	}
}

// stepNames are the steps of a session, with their phases.
func stepNames(s session.Session) []cobra.Completion {
	var found []cobra.Completion
	for i, spec := range s.Plan.Steps {
		phase := "planned"
		if i < len(s.Progress.Steps) {
			phase = string(s.Progress.Steps[i].Phase)
		}
		found = append(found, cobra.CompletionWithDesc(spec.Name, phase))
	}
	return found
}

// completeServices are the services of the configuration and of the compose files.
func (a *app) completeServices(ctx context.Context, _ []string) []cobra.Completion {
	var found []cobra.Completion
	for _, p := range a.nominals(ctx) {
		service, _, _ := strings.Cut(p.Name, ".")
		if !slices.Contains(found, service) {
			found = append(found, service)
		}
	}
	return found
}

// completePorts are the names of ports, for a number to follow.
func (a *app) completePorts(ctx context.Context, _ []string) []cobra.Completion {
	var found []cobra.Completion
	for _, p := range a.nominals(ctx) {
		found = append(found, p.Name+"=")
	}
	return found
}

// nominals are the ports of the repository's configuration, none if it cannot be read.
func (a *app) nominals(ctx context.Context) []steps.Nominal {
	repo, err := a.repository(ctx)
	if err != nil {
		return nil
	}
	cfg, err := steps.LoadConfig(repo.Root)
	if err != nil {
		return nil
	}
	list, _ := steps.Nominals(ctx, cfg, repo.Root) // what can be known
	return list
}
