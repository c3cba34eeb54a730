package saga

import (
	"errors"
	"fmt"
)

// ErrJournal is wrapped by the error of a run that could not write its journal.
// Nothing was started that is not recorded; the run's steps were ended, and what
// it left is for a later run to resume or to compensate.
var ErrJournal = errors.New("the journal could not be written")

// ErrAbandoned is returned by a run that was told to leave at once. What was
// running was ended; the journal says so.
var ErrAbandoned = errors.New("stopped at once")

// ErrUnended is wrapped by the error of a run that left although attempts did not
// end in time. They end with the process.
var ErrUnended = errors.New("steps are still running")

// ErrKept is wrapped by the error of Compensate that has left its effect as it is, and
// touched nothing of it: the run has no claim to it (an earlier one made it, and this
// one reverts only itself), or is to keep it. The step is done then, as before.
var ErrKept = errors.New("it is kept as it is")

// StepError is the failure of one attempt of a step.
type StepError struct {
	Step string
	Err  error
}

// Error names the step and the cause.
func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks err as not worth a retry: the same attempt would fail again.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether err, or what it wraps, was marked by [Permanent].
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

type codedError struct {
	error
	code string
}

func (e codedError) Unwrap() error { return e.error }

// Coded gives err a code, by which programs know why a step failed without reading
// the text: a short word that stays as it is, for the journal keeps it. What codes
// there are is the business of those who write steps. Coded(code, nil) is nil.
func Coded(code string, err error) error {
	if err == nil {
		return nil
	}
	return codedError{err, code}
}

// CodeOf is the code that err, or what it wraps, was given by [Coded]; empty if none
// was.
func CodeOf(err error) string {
	var c codedError
	errors.As(err, &c)
	return c.code
}

// panicError is what is left of a step that panicked.
func panicError(v any) error {
	return Permanent(fmt.Errorf("fault in ecluse: %v; please report it", v))
}
