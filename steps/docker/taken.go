package docker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// PortError is a port that somebody else has taken. It wraps [ErrPortTaken].
type PortError struct {
	// Port is its number; 0 if it is not known.
	Port int
	// By names who has it ("container x"), as far as that is known.
	By  string
	Err error
}

// Error names the port and who has it.
func (e *PortError) Error() string {
	if e.Port == 0 {
		return fmt.Sprintf("%v: %v", ErrPortTaken, e.Err)
	}
	by := "something that is not the session's"
	if e.By != "" {
		by = e.By
	}
	return fmt.Sprintf("port %d is taken by %s: %v", e.Port, by, e.Err)
}

// Unwrap returns what it is and its cause.
func (e *PortError) Unwrap() []error { return []error{ErrPortTaken, e.Err} }

// portInText finds the port in what the engine says of one that is taken.
var portInText = regexp.MustCompile(`:(\d+)(?:/\w+)?(?:: bind: address already in use| failed: port is already allocated)`)

// portTaken is what text, which the engine said, means.
func portTaken(text string, err error) error {
	taken := &PortError{Err: err}
	if found := portInText.FindStringSubmatch(text); found != nil {
		taken.Port, _ = strconv.Atoi(found[1])
	}
	return taken
}

// accuse names who has the port that an error is about: a container, else who o
// knows of.
func (e *Engine) accuse(ctx context.Context, o UpOptions, err error) error {
	var taken *PortError
	if !errors.As(err, &taken) || taken.Port == 0 {
		return err
	}
	if ports, lookErr := e.PublishedPorts(ctx); lookErr == nil && ports[taken.Port] != "" {
		taken.By = "container " + ports[taken.Port]
	} else if o.Who != nil {
		taken.By = o.Who(taken.Port)
	}
	return err
}
