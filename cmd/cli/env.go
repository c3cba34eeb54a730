package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/dotenv"
	"ecluse/steps/look"
	"ecluse/steps/settings"
)

func newEnv(a *app) *cobra.Command {
	format := formatJSON
	cmd := &cobra.Command{
		Use: "env [SLUG]", GroupID: groupLook, Short: "print a session's environment, as JSON or for a shell",
		Long: `Print what a session adds to the environment of its programs: its ports, its names and
[env]. It is what stands in .env.ecluse in the worktree, which --format dotenv prints.
Without SLUG it is the session whose worktree you are in. ecluse exec runs a command
with it, and with what .env and .env.local say, too, which is not printed here.

A session that failed will do, with a warning, as long as its worktree is there.
One that is stopped, or whose worktree is gone, is refused (1), and so is one that
somebody works on (5) or that was interrupted (8).`,
		Example: `  ecluse env feat-x | jq -r .env.PORT
  eval "$(ecluse env feat-x --format sh)"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case !slices.Contains(envFormats(), format):
				return usagef("--format %s is unknown; it takes %s", format, strings.Join(envFormats(), ", "))
			case a.json && format != formatJSON:
				return usagef("--json and --format %s exclude each other; give one of them", format)
			}
			s, err := a.entered(args)
			if err == nil {
				err = groundless(s)
			}
			if err != nil {
				return err
			}
			env, err := environment(s)
			if err != nil {
				return err
			}
			if err := a.writeEnv(env, format); err != nil {
				return err
			}
			if dead := look.Dead(s); len(dead) > 0 && s.State == fsm.Active {
				a.remark("services of "+s.Slug+" have died: "+strings.Join(dead, ", "), "ecluse up "+s.Slug)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "how it is printed: `json|sh|dotenv`; sh is for eval")
	return cmd
}

// The formats of env.
const (
	formatJSON   = "json"
	formatSh     = "sh"
	formatDotenv = "dotenv"
)

// envFormats are all of them.
func envFormats() []string { return []string{formatJSON, formatSh, formatDotenv} }

// writeEnv prints an environment in a format.
func (a *app) writeEnv(env envResult, format string) error {
	if format == formatJSON {
		return writeJSON(a.Stdout, env)
	}
	before := ""
	if format == formatSh {
		before = "export "
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env.Env)) {
		line, err := dotenv.Marshal(map[string]string{name: env.Env[name]})
		if err != nil {
			return fmt.Errorf("print the environment of session %s: %w", env.Slug, err)
		}
		b.WriteString(before + string(line))
	}
	return a.print("%s", b.String())
}

// envResult is the environment of a session; its keys are those of the original
// tool.
type envResult struct {
	Slug     string            `json:"slug"`
	Slot     int               `json:"slot"`
	Mode     string            `json:"mode"`
	Branch   string            `json:"branch"`
	Worktree string            `json:"worktree_path"`
	EnvFile  string            `json:"env_file"`
	Env      map[string]string `json:"env"`
}

// environment is what a session's programs see, from its record.
func environment(s session.Session) (envResult, error) {
	cfg, err := steps.ConfigOf(s)
	if err != nil {
		return envResult{}, err
	}
	vars, err := steps.Environment(cfg, s)
	if err != nil {
		return envResult{}, err
	}
	return envResult{
		Slug: s.Slug, Slot: s.Slot, Mode: s.Mode, Branch: s.Branch, Worktree: s.Worktree,
		EnvFile: filepath.Join(s.Worktree, settings.EnvFile), Env: vars,
	}, nil
}

// active is the session that a verb works on which needs it to be up.
func (a *app) active(args []string) (session.Session, error) {
	s, err := a.find(context.Background(), args)
	if err != nil {
		return s, err
	}
	m, err := a.looker()
	if err != nil {
		return s, err
	}
	status, err := m.Status(s)
	if err != nil {
		return s, err
	}
	return status.Session, notActive(status)
}

// entered is the session that a verb goes into: one that is up, or failed and still has
// its worktree, where the reason is looked for. That it failed is warned of.
func (a *app) entered(args []string) (session.Session, error) {
	s, err := a.active(args)
	if err == nil || s.State != fsm.Failed {
		return s, err
	}
	if !exists(s.Worktree) {
		return s, advised{stateError{fmt.Sprintf("session %s is failed, and its worktree %s is gone", s.Slug, s.Worktree), session.ErrFailed}, failedHints(s)}
	}
	why := ""
	if f := s.Failure; f != nil {
		first, _, _ := strings.Cut(f.Message, "\n")
		why = ": " + strings.Trim(f.Title(s.Plan)+": "+first, ": ")
	}
	a.sink().Notify(saga.Notice{Time: time.Now(), Warning: true, Message: fmt.Sprintf("session %s is failed%s", s.Slug, why)})
	return s, nil
}

// groundless refuses a session whose worktree is gone: nothing can be run there, and no
// file of its environment be read.
func groundless(s session.Session) error {
	if exists(s.Worktree) {
		return nil
	}
	return hinted{noError{fmt.Errorf("the worktree %s of session %s is gone", s.Worktree, s.Slug)}, "ecluse up " + s.Slug}
}

// stateError is a session that is not in the state that a verb needs.
type stateError struct {
	text string
	is   error
}

func (e stateError) Error() string { return e.text }
func (e stateError) Unwrap() error { return e.is }

// notActive says what to do about a session that is not up; nil when it is.
func notActive(st session.Status) error {
	s := st.Session
	switch {
	case s.State == fsm.Active:
		return nil
	case st.Owner != nil:
		return &session.BusyError{Key: s.Key, Owner: *st.Owner, Step: session.Describe(s)}
	case st.Interrupted:
		return hinted{stateError{fmt.Sprintf("session %s is %s and was cut off", s.Slug, s.State), session.ErrInterrupted}, "ecluse recover " + s.Slug}
	case s.State == fsm.Failed:
		return advised{stateError{fmt.Sprintf("session %s is failed", s.Slug), session.ErrFailed}, failedHints(s)}
	default:
		return hinted{noError{fmt.Errorf("session %s is %s; its worktree %s, slot %d and ports are kept", s.Slug, s.State, s.Worktree, s.Slot)}, "ecluse up " + s.Slug}
	}
}
