package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/config"
	"ecluse/steps/docker"
	"ecluse/steps/git"
	"ecluse/steps/tmux"
	"ecluse/store"
)

// The exit statuses. They are part of the interface, see the package comment.
const (
	exitDone        = 0
	exitNo          = 1
	exitUsage       = 2
	exitConfig      = 3
	exitNotFound    = 4
	exitBusy        = 5
	exitRolledBack  = 6
	exitFailed      = 7
	exitInterrupted = 8
	exitTool        = 9
	exitState       = 10
	exitExhausted   = 11
	exitSignal      = 128 // plus the signal's number
)

// usageError is a command line that cannot be carried out.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// configError is a configuration that cannot be used.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// hinted is an error with a command that helps.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// advised is an error with several commands that help, the first one first.
type advised struct {
	error
	hints []string
}

func (e advised) Unwrap() error { return e.error }

// noError makes a command answer no without an error of its own.
type noError struct{ error }

func (e noError) Unwrap() error { return e.error }

// kind is what one sort of error looks like from outside.
type kind struct {
	status int
	code   string
	is     func(error) bool
}

// as reports whether err is, or wraps, an E.
func as[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

// is makes a test for any of several sentinels.
func is(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
}

// kinds are asked in order. How a run ended comes first: what had caused that is
// wrapped in it.
var kinds = []kind{
	{exitSignal, "signal", bySignal},
	{exitRolledBack, "rolled-back", is(session.ErrRolledBack)},
	{exitFailed, "failed", is(session.ErrFailed)},
	{exitInterrupted, "interrupted", is(session.ErrInterrupted)},
	{exitUsage, "usage", as[usageError]},
	{exitNo, "no", as[noError]},
	{exitBusy, "busy", is(session.ErrBusy)},
	{exitNotFound, "not-found", is(session.ErrNotFound)},
	{exitExhausted, "exhausted", is(session.ErrExhausted)},
	{exitUsage, "slug", is(session.ErrSlug, session.ErrTaken, session.ErrNotThere)},
	{exitConfig, "config", as[configError]},
	{exitTool, "tool-missing", is(git.ErrMissing, git.ErrOld, docker.ErrMissing, docker.ErrUnreachable, tmux.ErrMissing, tmux.ErrOld)},
	{exitUsage, "repository", is(git.ErrNotRepository, git.ErrBare, git.ErrUnborn)},
	{exitUsage, "branch", func(err error) bool {
		return is(git.ErrBranchName, git.ErrUnknownRevision)(err) || as[*git.CheckedOutError](err)
	}},
	{exitState, "state", occupied},
	{exitState, "state", as[*store.ObstacleError]},
	{exitUsage, "usage", as[*store.PlaceError]},
	{exitState, "state", is(store.ErrDamaged, store.ErrNewer, store.ErrLocked, saga.ErrJournal, syscall.EROFS, syscall.ENOSPC, fs.ErrPermission)},
}

// classify finds the kind of an error.
func classify(err error) kind {
	var command unrunnable
	if errors.As(err, &command) {
		return kind{status: command.status, code: "command"}
	}
	for _, k := range kinds {
		if k.is(err) {
			if k.status == exitSignal {
				k.status += int(signalOf(err))
			}
			return k
		}
	}
	return kind{status: exitNo, code: "error"}
}

// occupied reports whether the state cannot be where it should, because a file is there.
func occupied(err error) bool {
	var place *store.PlaceError
	return errors.As(err, &place) && place.Occupied
}

// bySignal reports whether a signal to this process ended the run. A stop that a
// `down` asked for is none.
func bySignal(err error) bool { return signalOf(err) != 0 }

// signalOf is the signal that ended a run, 0 if none did.
func signalOf(err error) syscall.Signal {
	var by *session.Signalled
	if !errors.As(err, &by) {
		return 0
	}
	if sig, ok := by.Signal.(syscall.Signal); ok {
		return sig
	}
	return syscall.SIGINT
}

// shown is an error as people and programs see it.
type shown struct {
	Code    string           `json:"code"`
	Message string           `json:"message"`
	Hint    string           `json:"hint,omitempty"`
	Step    string           `json:"step,omitempty"`
	Log     string           `json:"log,omitempty"`
	Session string           `json:"session,omitempty"`
	State   string           `json:"state,omitempty"`
	Left    []string         `json:"left,omitempty"`
	Problem []config.Problem `json:"problems,omitempty"`
	// Cause is why the step failed, where there is a word for it: "port-taken" if
	// somebody else has a port of the session's, "worktree-gone" if the worktree that
	// it had adopted is no more.
	Cause string `json:"cause,omitempty"`
	// Hints are all commands that help, where there are several; Hint is the first.
	Hints []string `json:"hints,omitempty"`
}

// show describes an error. logs finds the log of a step.
func show(err error, k kind, logs func(*session.RunError) string) shown {
	s := shown{Code: k.code, Message: err.Error()}
	var run *session.RunError
	if errors.As(err, &run) {
		s.Session, s.State, s.Left = run.Key.Slug, string(run.State), run.Left
		s.Step, s.Cause = run.Failure.Step, run.Failure.Cause
		if s.Step != "" {
			s.Log = logs(run)
		}
	}
	var cfg *config.Error
	if errors.As(err, &cfg) {
		s.Problem = cfg.Problems
	}
	s.advise(hints(err, k))
	return s
}

// advise sets the commands that help. The log of a session that failed, or is gone, can
// be read with one, too.
func (s *shown) advise(list []string) {
	if s.Log != "" && s.Code != "interrupted" && s.Code != "signal" {
		list = append(list, "ecluse logs "+s.Session)
	}
	if len(list) > 0 {
		s.Hint = list[0]
	}
	if len(list) > 1 {
		s.Hints = list
	}
}

// all are the commands that help.
func (s shown) all() []string {
	if s.Hint != "" && s.Hints == nil {
		return []string{s.Hint}
	}
	return s.Hints
}

// hints are commands that help, none when the message says all there is.
func hints(err error, k kind) []string {
	var several advised
	if errors.As(err, &several) {
		return several.hints
	}
	var run *session.RunError
	if errors.As(err, &run) && run.State != fsm.Absent && run.Failure.Cause == steps.CauseWorktreeGone {
		return []string{"ecluse down " + run.Key.Slug}
	}
	if run != nil && run.State == fsm.Absent && errors.Is(run.End, session.ErrRolledBack) && run.Failure.Cause == steps.CausePortTaken {
		return []string{"ecluse up " + git.Quote(run.Session.Branch)} // which leases another
	}
	if errors.Is(err, session.ErrFailed) && errors.As(err, &run) {
		left := run.Session
		left.Key = run.Key
		return failedHints(left)
	}
	if one := hint(err, k); one != "" {
		return []string{one}
	}
	return nil
}

// failedHints are what can be done about a session that failed: of one that was on its
// way up it is to go on, or to give up. A repair that failed left what worked before.
func failedHints(s session.Session) []string {
	up, down := "ecluse up "+s.Slug, "ecluse down "+s.Slug
	var f session.Failure
	if s.Failure != nil {
		f = *s.Failure
	}
	switch {
	case s.Progress.Direction == saga.Backward && s.Progress.Scope == "" && withoutHint(s) != "":
		return []string{down, withoutHint(s)}
	case s.Progress.Direction == saga.Backward && s.Progress.Scope == "", f.Cause == steps.CauseWorktreeGone:
		return []string{down}
	case f.Cause == steps.CausePortTaken:
		if steps.HoldsData(s) {
			down += " --keep-volumes" // the next session has it back
		}
		return []string{down, "ecluse up " + git.Quote(s.Branch)}
	case s.Settled:
		return []string{up}
	case f.Code == session.CodeParked:
		return []string{down}
	default:
		return []string{up, down}
	}
}

// hint is a command that helps, empty when there is none.
func hint(err error, k kind) string {
	var with hinted
	if errors.As(err, &with) {
		return with.hint
	}
	var run *session.RunError
	errors.As(err, &run)
	switch {
	case errors.Is(err, session.ErrBusy), errors.Is(err, session.ErrExhausted), errors.Is(err, session.ErrNotFound):
		return "ecluse ls"
	case errors.Is(err, config.ErrMissing):
		return "ecluse init"
	case run == nil && errors.Is(err, git.ErrUnborn):
		return "git commit --allow-empty -m 'begin'"
	case run == nil && errors.Is(err, docker.ErrUnreachable):
		return "ecluse doctor"
	case run == nil && as[*store.DamagedError](err):
		return rebuildCommand
	case as[*store.ObstacleError](err):
		return asideCommand(err)
	case run == nil && k.code == "usage":
		return "ecluse --help"
	case run == nil:
		return ""
	case errors.Is(err, session.ErrInterrupted):
		return "ecluse recover " + run.Key.Slug
	}
	return ""
}

// asideCommand moves away what stands in the place of a file of the state.
func asideCommand(err error) string {
	var there *store.ObstacleError
	if !errors.As(err, &there) {
		return ""
	}
	return "mv " + git.Quote(there.Path) + " " + git.Quote(there.Path+".aside")
}

// misplaced adds to the error of a variable that has the state where it cannot be the
// command that helps. Without HOME there is none.
func misplaced(err error) error {
	var place *store.PlaceError
	if !errors.As(err, &place) || place.Variable == "" || place.Variable == "HOME" {
		return err
	}
	return hinted{err, "unset " + place.Variable}
}

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
