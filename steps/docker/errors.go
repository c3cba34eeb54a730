package docker

import (
	"errors"
	"fmt"
	"strings"
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
	// Tail are the last lines of its log.
	Tail []string
}

// Error names the service and its state, and shows the end of its log.
func (e *ServiceError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "service %s is %s", e.Service, e.State)
	if e.Probe != "" {
		fmt.Fprintf(&b, " (its health check says: %s)", e.Probe)
	}
	if len(e.Tail) > 0 {
		fmt.Fprintf(&b, "; the end of its log:\n  %s", strings.Join(e.Tail, "\n  "))
	}
	return b.String()
}

// TimeoutError lists the services that were not ready in time.
type TimeoutError struct {
	After   fmt.Stringer
	Waiting []*ServiceError
}

// Error names all of them, with the end of their logs.
func (e *TimeoutError) Error() string {
	var parts []string
	for _, s := range e.Waiting {
		parts = append(parts, s.Error())
	}
	return fmt.Sprintf("not ready after %s: %s", e.After, strings.Join(parts, "\n"))
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
