package docker

import (
	"errors"
	"fmt"
	"strings"

	"ecluse/steps/run"
)

// What stands in the way of Docker altogether.
var (
	// ErrMissing: docker, or Docker Compose, is not installed.
	ErrMissing = errors.New("docker is missing")
	// ErrUnreachable: the engine does not answer. Nothing is known about what
	// it runs.
	ErrUnreachable = errors.New("the docker engine does not answer")
	// ErrNoContext: docker knows no context of that name, so that nothing leads to its
	// engine. It counts as one that does not answer.
	ErrNoContext = fmt.Errorf("%w: docker knows no context of that name", ErrUnreachable)
)

// What stands in the way of one session.
var (
	// ErrPortTaken: a port that a service was to publish is used by something
	// else.
	ErrPortTaken = errors.New("a port is taken by something that is not the session's")
	// ErrPool: the engine has no addresses left for another network. About 30
	// networks use its default pools up.
	ErrPool = errors.New("docker has no addresses left for another network")
)

// What is wrong with a compose file.
var (
	// ErrNoFile: there is no compose file in the worktree.
	ErrNoFile = errors.New("no compose file")
	// ErrOutside: a compose file lies outside the worktree, so that it would
	// be another session's, or the main worktree's.
	ErrOutside = errors.New("outside the worktree")
	// ErrNoLease: something is published for which no port was leased.
	ErrNoLease = errors.New("no port was leased")
)

// FileError is what is wrong with a compose file, and where.
type FileError struct {
	// File is its path, as far as it is known.
	File string
	// Line counts from 1; 0 when it is not known.
	Line int
	Err  error
}

// Error begins with the place, as compilers do.
func (e *FileError) Error() string {
	switch {
	case e.File == "":
		return fmt.Sprintf("compose file: %v", e.Err)
	case e.Line == 0:
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	default:
		return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
	}
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// ServiceError is a service that did not become, or is no longer, what it should
// be.
type ServiceError struct {
	Service string
	// State is what it is instead: "exited with status 1", "unhealthy".
	State string
	// Probe is what the last health check said.
	Probe string
	// Probes is how many health checks have failed in a row of what is unhealthy, Early
	// that it may have been starting still.
	Probes int
	Early  bool
	// Tail are the last lines of its log.
	Tail []string
}

// Error names the service, its state and what it said, and shows the end of its log.
func (e *ServiceError) Error() string { return e.head() + e.log("  ") }

// head is the first line of the error.
func (e *ServiceError) head() string {
	text := "service " + e.Service + " " + Being(e.State)
	if e.Probe != "" {
		text += " (its health check says: " + e.Probe + ")"
	}
	text += e.advice()
	if len(e.Tail) > 0 {
		text += "; it said: " + run.Telling(strings.Join(e.Tail, "\n"))
	}
	return text
}

// log is the end of its log, if there is more of it than the head has.
func (e *ServiceError) log(indent string) string {
	if len(e.Tail) < 2 {
		return ""
	}
	return "\n" + indent + strings.Join(e.Tail, "\n"+indent)
}

// Being is a state with the verb that goes with it: "is healthy", "has exited with
// status 0".
func Being(state string) string {
	if strings.HasPrefix(state, "exited") {
		return "has " + state
	}
	return "is " + state
}

// TimeoutError lists the services that were not ready in time.
type TimeoutError struct {
	After   fmt.Stringer
	Waiting []*ServiceError
}

// Error names all of them, and then shows the end of their logs.
func (e *TimeoutError) Error() string {
	var heads []string
	logs := ""
	for _, s := range e.Waiting {
		heads = append(heads, s.head())
		if len(e.Waiting) == 1 {
			logs = s.log("  ")
		} else {
			logs += s.log("  " + s.Service + " | ")
		}
	}
	return fmt.Sprintf("not ready after %s: %s", e.After, strings.Join(heads, "; ")) + logs
}

// Unwrap returns the services.
func (e *TimeoutError) Unwrap() []error {
	var list []error
	for _, s := range e.Waiting {
		list = append(list, s)
	}
	return list
}

// LeftError lists what a teardown could not remove.
type LeftError struct {
	Left Resources
	Err  error
}

// Error names what is left and why.
func (e *LeftError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("still there: %s", e.Left)
	}
	return fmt.Sprintf("still there: %s: %v", e.Left, e.Err)
}

// Unwrap returns the cause.
func (e *LeftError) Unwrap() error { return e.Err }

// composeMissing is an [ErrMissing] of the plugin alone.
type composeMissing struct{}

// Error says what to install.
func (composeMissing) Error() string {
	return "docker compose is missing: Docker Compose 2 or later is needed; install it: https://docs.docker.com/compose/install/linux/"
}

// Is reports that it is an [ErrMissing].
func (composeMissing) Is(err error) bool { return err == ErrMissing }
