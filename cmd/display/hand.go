package display

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ecluse/saga"
)

// inHand is what is going on, as far as the notices tell.
type inHand struct {
	// steps that somebody is at work on, in the order in which they began.
	steps []stepInHand
	// told is the last message of a run as a whole since which no step was
	// heard of: the run may be waiting for what the message names.
	told   string
	toldAt time.Time
}

type stepInHand struct {
	repo, session, step string
	label               string
	back                bool // it is being compensated
	titled              bool // and the label says so
	since               time.Time
	message             string
}

// note keeps up with a notice. label is what to call its step.
func (h *inHand) note(now time.Time, n saga.Notice, label string) {
	if h.told = ""; n.Step == "" && !n.Warning {
		h.told, h.toldAt = oneLine(n.Message), now
	}
	i := slices.IndexFunc(h.steps, func(s stepInHand) bool {
		return s.repo == n.Repo && s.session == n.Session && s.step == n.Step
	})
	switch {
	case n.Phase == "" && i >= 0 && !n.Warning:
		h.steps[i].message = oneLine(n.Message)
	case n.Phase != "" && i >= 0:
		h.steps = slices.Delete(h.steps, i, i+1)
	}
	if n.Phase.Running() {
		h.steps = append(h.steps, stepInHand{
			repo: n.Repo, session: n.Session, step: n.Step, label: label, since: now,
			back: n.Phase == saga.Compensating, titled: n.Title != "",
		})
	}
}

// mostSeen is how much is said of what a step has last reported, in columns.
const mostSeen = 80

// waiting says what is being waited for, what was last heard of it, and for how long;
// "" when nothing is.
func (h *inHand) waiting(now time.Time) string {
	const most = 3
	if len(h.steps) == 0 && h.told != "" {
		return fmt.Sprintf("still waiting, %s (%s)", Seconds(now.Sub(h.toldAt)), h.told)
	}
	if len(h.steps) == 0 {
		return ""
	}
	var names []string
	for i, s := range h.steps {
		if i == most {
			names = append(names, fmt.Sprintf("%d more", len(h.steps)-most))
			break
		}
		what := s.label
		if s.message != "" {
			what += ": " + truncate(s.message, mostSeen)
		}
		names = append(names, what+", "+Seconds(now.Sub(s.since)))
	}
	return "still waiting for " + strings.Join(names, "; ")
}
