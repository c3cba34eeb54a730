package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"ecluse/docs"
	"ecluse/steps/config"
)

// The topics of help that are no commands.
const (
	exitTopic   = "exit-status"
	agentsTopic = "agents"
)

// topics are the texts of the topics.
func topics() map[string]string {
	return map[string]string{exitTopic: strings.TrimPrefix(exitTable, "\n"), agentsTopic: docs.Agents}
}

// newHelp makes the command help. What is no command is an error, as elsewhere.
func newHelp(a *app, root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", GroupID: groupRepo, Short: "tell of a command, of " + exitTopic + ", or of " + agentsTopic + ": how a coding agent works with ecluse",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			names := []cobra.Completion{agentsTopic, exitTopic}
			below, _, err := root.Find(args)
			if len(args) > 0 {
				names = nil
			}
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, cmd := range below.Commands() {
				if cmd.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(cmd.Name(), cmd.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.once(func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && topics()[args[0]] != "" {
				return a.print("%s", topics()[args[0]])
			}
			cmd, rest, err := root.Find(args)
			if err == nil && cmd.HasSubCommands() {
				err = unknownCommand(cmd, rest)
			}
			if err != nil {
				return hinted{usageError{err}, root.CommandPath() + " --help"}
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		}),
	}
}

// unknownCommand refuses what is no command, and says what may have been meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	list := synonyms(args[0])
	if len(list) == 0 || cmd.HasParent() {
		list = cmd.SuggestionsFor(args[0])
	}
	meant := ""
	if len(list) > 0 {
		meant = "; did you mean " + strings.Join(list, " or ") + "?"
	}
	return fmt.Errorf("there is no command %s%s", args[0], meant)
}

// synonyms are the commands for which other programs have a word.
func synonyms(word string) []string {
	switch strings.ToLower(word) {
	case "start", "create", "new", "add", "launch", "open", "checkout", "switch":
		return []string{"up"}
	case "stop", "rm", "remove", "delete", "destroy", "kill", "close", "end":
		return []string{"down"}
	case "ps", "sessions":
		return []string{"ls"}
	case "restart":
		return []string{"up --force"}
	case "resume", "continue", "repair":
		return []string{"up", "recover"}
	case "rollback", "undo", "abort":
		return []string{"recover --rollback"}
	case "run":
		return []string{"exec", "up"}
	case "attach", "enter", "ssh", "sh":
		return []string{"shell"}
	case "show", "info", "inspect", "describe":
		return []string{"status"}
	case "prune", "clean", "cleanup":
		return []string{"gc"}
	case "check", "lint":
		return []string{"validate", "doctor"}
	case "setup":
		return []string{"init"}
	case "ports":
		return []string{"ls", "validate --ports"}
	default:
		return nil
	}
}

// flagError says what may have been meant by a flag that is not there, and what a
// duration looks like.
func flagError(cmd *cobra.Command, err error) error {
	if strings.Contains(err.Error(), "duration") {
		return fmt.Errorf("%w; it takes a number with a unit, such as 90s or 10m", err)
	}
	var unknown interface {
		error
		GetSpecifiedName() string
	}
	if !errors.As(err, &unknown) || !strings.HasPrefix(err.Error(), "unknown flag") {
		return err
	}
	if cmd.Name() == "down" && unknown.GetSpecifiedName() == "all" {
		return hinted{fmt.Errorf("%w; all sessions are taken down by shutdown", err), "ecluse shutdown"}
	}
	var known []string
	for line := range strings.Lines(cmd.LocalFlags().FlagUsages() + cmd.InheritedFlags().FlagUsages()) {
		if _, flag, ok := strings.Cut(line, "--"); ok {
			known = append(known, strings.FieldsFunc(flag, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') })[0])
		}
	}
	if meant := config.Suggest(unknown.GetSpecifiedName(), known); meant != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, meant)
	}
	return err
}

// argued refuses a wrong number of arguments with how the command is used.
func argued(args cobra.PositionalArgs) cobra.PositionalArgs {
	if args == nil {
		return nil
	}
	return func(cmd *cobra.Command, list []string) error {
		err := args(cmd, list)
		if err == nil || !strings.HasPrefix(err.Error(), "accepts ") && !strings.HasPrefix(err.Error(), "unknown command ") {
			return err
		}
		number := fmt.Sprintf("%d arguments", len(list))
		if len(list) == 1 {
			number = "the argument " + list[0]
		}
		return fmt.Errorf("%s was given %s; it is used as: %s", cmd.CommandPath(), number, cmd.UseLine())
	}
}

var allSet = regexp.MustCompile(`\[([^\]]*)\] were all set$`)

// exclusive refuses flags that exclude each other.
func exclusive(cmd *cobra.Command) error {
	err := cmd.ValidateFlagGroups()
	if err == nil {
		return nil
	}
	match := allSet.FindStringSubmatch(err.Error())
	if match == nil {
		return err
	}
	return fmt.Errorf("--%s exclude each other; give one of them", strings.Join(strings.Fields(match[1]), " and --"))
}
