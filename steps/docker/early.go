package docker

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// soon is how long a container may well take to start: what is unhealthy before that may
// just need more time than its health check gives it.
const soon = time.Minute

// early reports whether a container has not run for long.
func early(c container, now time.Time) bool {
	return !c.State.StartedAt.IsZero() && now.Sub(c.State.StartedAt) < soon
}

// begins are in the log of a program that has not started yet.
var begins = regexp.MustCompile(`(?i)\b(starting|initiali[sz]ing|initiali[sz]ed|booting|loading|migrating)\b`)

// starting reports whether the last lines of a log are of a program that is starting.
func starting(tail []string) bool { return begins.MatchString(strings.Join(tail, "\n")) }

// advice is what can be done about a health check that gives up too early; empty if
// that is not the matter.
func (e *ServiceError) advice() string {
	if !e.Early || e.Probes == 0 {
		return ""
	}
	times := "1 probe"
	if e.Probes > 1 {
		times = fmt.Sprintf("%d probes", e.Probes)
	}
	return "; its health check gave up after " + times + ": if it was starting still, raise `retries` or set `start_period`"
}
