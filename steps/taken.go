package steps

import (
	"context"
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

// HoldsData reports whether a session has data that a down removes unless it is told
// to keep it.
func HoldsData(s session.Session) bool {
	return slices.ContainsFunc(s.Plan.Steps, func(spec saga.Spec) bool { return spec.Data })
}
