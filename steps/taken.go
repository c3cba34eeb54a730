package steps

import (
	"context"

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
