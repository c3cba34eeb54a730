package cli

import (
	"context"
	"errors"
	"fmt"

	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps"
)

// follow keeps the containers of a session as its worktree is, until a signal or a
// `down` ends that. The result is printed already, so that errors are only told.
func (a *app) follow(s session.Session) error {
	stops := a.listen()
	a.closeProgress()
	if !a.quiet {
		fmt.Fprintf(a.Stderr, "watching the worktree of %s; a signal (Ctrl-C) ends that and leaves the session up\n", s.Slug)
	}
	err := a.followed(s, steps.Watch(stops.Soft, stops.Hard.Done(), s, a.Stderr), context.Cause(stops.Soft))
	a.complain(err)
	return silentError{err}
}

// followed says why watching has ended: because of a signal, because the session is
// not up any more, or because of an error of its own.
func (a *app) followed(s session.Session, err, stopped error) error {
	var by *session.Signalled
	switch {
	case errors.As(stopped, &by):
		return fmt.Errorf("watching has ended, and session %s stays up: %w", s.Slug, by)
	case errors.Is(err, steps.ErrNothingToWatch):
		return usagef("session %s is up, and there is nothing to watch: %w", s.Slug, err)
	}
	is, lookErr := a.store.Get(s.Key)
	switch {
	case errors.Is(lookErr, session.ErrNotFound), lookErr == nil && is.ID != s.ID:
		is.State = fsm.Absent
	case lookErr != nil:
		return errors.Join(err, lookErr)
	}
	switch {
	case is.State != fsm.Active:
		return noError{fmt.Errorf("watching has ended, because session %s is not up any more: it is %s", s.Slug, is.State)}
	case err == nil:
		err = errors.New("compose has ended by itself")
	}
	return fmt.Errorf("watch the worktree of session %s, which stays up: %w", s.Slug, err)
}
