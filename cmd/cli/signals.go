package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"ecluse/saga/session"
)

// stopper turns signals into the two ways in which a run is asked to end.
type stopper struct {
	session.Stops
	endSoft context.CancelCauseFunc
	endHard context.CancelCauseFunc
	signals chan os.Signal
	once    sync.Once
}

// newStopper listens to the signals that end a program, but for those that are
// ignored already. said is told of the first one.
func newStopper(said func(os.Signal)) *stopper {
	s := &stopper{signals: make(chan os.Signal, 4)}
	s.Soft, s.endSoft = context.WithCancelCause(context.Background())
	s.Hard, s.endHard = context.WithCancelCause(context.Background())
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(s.signals, sig)
		}
	}
	// A reader that goes away (`| head`) must not end a run in the middle.
	// The handler, unlike ignoring it, is not inherited by children.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go s.listen(said)
	return s
}

func (s *stopper) listen(said func(os.Signal)) {
	first := true
	for sig := range s.signals {
		if first {
			said(sig)
			s.endSoft(&session.Signalled{Signal: sig})
			first = false
			continue
		}
		s.endHard(&session.Signalled{Signal: sig})
	}
}

// close stops listening.
func (s *stopper) close() {
	s.once.Do(func() {
		signal.Stop(s.signals)
		close(s.signals)
		s.endSoft(nil)
		s.endHard(nil)
	})
}

// signalledError is the end of a run that a signal to this process brought about.
type signalledError struct {
	error
	by *session.Signalled
}

// Error says which signal it was, unless the journal has said so.
func (e *signalledError) Error() string {
	if text := e.error.Error(); strings.Contains(text, e.by.Error()) {
		return text
	}
	return e.by.Error() + ": " + e.error.Error()
}

func (e *signalledError) Unwrap() []error { return []error{e.error, e.by} }

// explain marks an error that a signal to this process is the reason of. A run
// that turned back for another reason (a `down` asked, a step failed) keeps it.
func (s *stopper) explain(err error) error {
	var by *session.Signalled
	if err == nil || !errors.As(context.Cause(s.Soft), &by) {
		return err
	}
	// Whatever is no end of a run knows itself whether a signal was its cause.
	var run *session.RunError
	if !errors.As(err, &run) || run.Failure.Code != session.CodeInterrupted && !errors.Is(err, session.ErrInterrupted) {
		return err
	}
	return &signalledError{err, by}
}
