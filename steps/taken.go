package steps

import (
	"context"
	"regexp"
	"slices"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/proc"
)

// listener names the program that has a port where an engine is. Those of another
// machine cannot be named.
func listener(ctx context.Context, number int, place docker.Place) string {
	if remote, err := place.Remote(ctx); err != nil || remote != "" {
		return ""
	}
	if ids := proc.Listener(number); len(ids) > 0 {
		return proc.Describe(ids[0])
	}
	return ""
}

// robbedText is how the causes read of a step that somebody keeps from its port: those
// of a service, and the engine's.
var robbedText = regexp.MustCompile(`port \d+(, leased for \S+, was| is) taken by `)

// Robbed reports whether a session failed because somebody else has one of its ports: no
// up mends that before they go. The journal has only the text of a cause.
func Robbed(f session.Failure) bool {
	return f.Code == session.CodeStepFailed && robbedText.MatchString(f.Message)
}

// HoldsData reports whether a session has data that a down removes unless it is told
// to keep it.
func HoldsData(s session.Session) bool {
	return slices.ContainsFunc(s.Plan.Steps, func(spec saga.Spec) bool { return spec.Data })
}
