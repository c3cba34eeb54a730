package docker

import (
	"context"
	"fmt"
	"strings"
)

// inUse are the words of the engine about a network that something is connected to.
const inUse = "has active endpoints"

// explained says what keeps networks that could not be removed, where that is it: a
// container that somebody else has connected, or the engine, which now and then forgets
// to count one down that is gone (seen of 20.10, on a machine that stood still).
func (e *Engine) explained(ctx context.Context, left Resources, cause error) error {
	if cause == nil || !strings.Contains(cause.Error(), inUse) {
		return cause
	}
	for _, network := range left.Networks {
		names, err := e.lines(ctx, "network", "inspect", "--format", "{{range .Containers}}{{.Name}}\n{{end}}", network.ID)
		if err != nil {
			continue // it only explains
		}
		if len(names) == 0 {
			cause = fmt.Errorf("no container is connected to network %s, but the engine counts one; restart Docker, and it can be removed: %w", network.Name, cause)
			continue
		}
		cause = fmt.Errorf("network %s is used by what is not the session's (%s); take it out with `docker network disconnect %s %s`: %w",
			network.Name, strings.Join(names, ", "), network.Name, names[0], cause)
	}
	return cause
}
