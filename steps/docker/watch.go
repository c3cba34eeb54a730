package docker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// watch judges, look by look, how the services of a project are getting on.
type watch struct {
	UpOptions
	// old are containers that stood still before anything was started. What
	// they say is of the past until Compose has ended.
	old map[string]time.Time
	// upEnded is set once Compose has done what it was asked for.
	upEnded bool
	// hasty takes "running" for an answer without looking twice.
	hasty bool
	// restarts is how often the engine had started a container again before
	// anything was asked of it.
	restarts map[string]int
	// ill is how many health checks had failed then, of what was unhealthy.
	ill map[string]int
	// since is when a container was first seen running, by its id and start; later by
	// what was skipped.
	since map[string]time.Time
	// complete is when all containers were there.
	complete time.Time
	// ripe is how long it takes until all is well if all stays as it is; 0 if
	// that cannot be told.
	ripe time.Duration
	told map[string]string
	reminder
}

func newWatch(o UpOptions, before []container) *watch {
	w := &watch{UpOptions: o, old: map[string]time.Time{}, since: map[string]time.Time{}, restarts: map[string]int{}, ill: map[string]int{}, told: map[string]string{}}
	for _, c := range before {
		w.restarts[c.ID] = c.Restarts
		if c.State.Health != nil && c.State.Health.Status == "unhealthy" {
			w.ill[c.started()] = c.State.Health.FailingStreak
		}
		if c.State.Status != "running" {
			w.old[c.ID] = c.State.StartedAt
		}
	}
	return w
}

// condition is what one look says of a service.
type condition struct {
	state string
	ready bool
	// failed: it will not become ready by waiting.
	failed bool
	probe  string
	// probes is how many health checks have failed in a row of what is unhealthy, early
	// that it has not run for long.
	probes int
	early  bool
	// missing: not all of its containers are there.
	missing bool
	// ripens is how long it must go on so to be ready.
	ripens time.Duration
}

// look judges what there is. The error is a service that failed, or says that
// the time is over; ready is that everything is what it should be.
func (w *watch) look(list []container, now time.Time) (verdict error, ready bool) {
	conditions := make([]condition, len(w.Services))
	readyOf, all := 0, true
	for i, s := range w.Services {
		conditions[i] = w.of(s, list, now)
		if conditions[i].ready {
			readyOf++
		}
		all = all && !conditions[i].missing
	}
	w.ripe = ripening(conditions)
	w.tell(conditions, readyOf, now)
	for i, c := range conditions {
		if c.failed {
			return &ServiceError{Service: w.Services[i].Name, State: c.state, Probe: c.probe, Probes: c.probes, Early: c.early}, false
		}
	}
	if all && w.complete.IsZero() {
		w.complete = now
	}
	switch {
	case readyOf == len(w.Services):
		return nil, w.upEnded
	case w.Timeout > 0 && !w.complete.IsZero() && now.Sub(w.complete) > w.Timeout:
		late := &TimeoutError{After: w.Timeout}
		for i, c := range conditions {
			if !c.ready {
				late.Waiting = append(late.Waiting, &ServiceError{Service: w.Services[i].Name, State: c.state, Probe: c.probe})
			}
		}
		return late, false
	default:
		return nil, false
	}
}

// ripening is how long it takes until all is well if all stays as it is; 0 if that
// cannot be told.
func ripening(conditions []condition) (most time.Duration) {
	for _, c := range conditions {
		if !c.ready && c.ripens <= 0 {
			return 0
		}
		most = max(most, c.ripens)
	}
	return most
}

// wait is the time to the next look, which is not later than all may be well.
func (w *watch) wait(pause time.Duration) time.Duration {
	if w.upEnded && w.ripe > 0 {
		return min(w.ripe, pollMost)
	}
	return pause
}

// skip lets the time since the last look count as what it proves of what has gone on
// meanwhile, and tells the time of this look. Only rests prove anything: what the engine
// answers is how it was at some time while it was asked.
func (w *watch) skip(looked time.Time, proven time.Duration) time.Time {
	now := time.Now()
	for key, since := range w.since {
		w.since[key] = since.Add(now.Sub(looked) - proven)
	}
	return now
}

// proof is how much of a rest it is proven that others went on in. One that took far
// longer than it was to take ended late because the machine stood still, and with it
// what was to show itself meanwhile.
func proof(rest, took time.Duration) time.Duration {
	if took > 2*rest+tardy {
		return 0
	}
	return min(rest, took)
}

// tell reports what has changed.
func (w *watch) tell(conditions []condition, readyOf int, now time.Time) {
	for i, c := range conditions {
		name := w.Services[i].Name
		if w.told[name] == c.state || w.Report == nil || c.missing {
			continue
		}
		w.told[name] = c.state
		w.report(i, c, readyOf, now)
	}
	w.remind(conditions, readyOf, now)
}

// of judges one service by the worst of its containers.
func (w *watch) of(s Service, list []container, now time.Time) condition {
	var mine []container
	for _, c := range list {
		if c.service() == s.Name && c.Labels[LabelSession] == w.Session {
			mine = append(mine, c)
		}
	}
	if len(mine) < s.Replicas {
		return condition{state: "not there yet", missing: true}
	}
	worst := condition{state: "not wanted", ready: true}
	for _, c := range mine {
		now := w.judge(s, c, now)
		switch {
		case now.failed:
			return now
		case worst.ready:
			worst = now
		case worst.ripens > 0 && !now.ready && (now.ripens == 0 || now.ripens > worst.ripens):
			worst = now
		}
	}
	return worst
}

// judge judges one container.
func (w *watch) judge(s Service, c container, now time.Time) condition {
	if started, known := w.old[c.ID]; known && !w.upEnded && started.Equal(c.State.StartedAt) {
		return condition{state: "stopped"}
	}
	switch c.State.Status {
	case "running":
		return w.running(s, c, now)
	case "exited", "dead":
		return ended(s, c)
	case "restarting":
		return condition{state: fmt.Sprintf("restarting (it exited with status %d, %d times)", c.State.ExitCode, c.Restarts)}
	case "created":
		if c.State.Error != "" {
			return condition{state: "not started: " + c.State.Error, failed: true}
		}
	}
	return condition{state: c.State.Status}
}

// running judges a container that runs.
func (w *watch) running(s Service, c container, now time.Time) condition {
	if s.Ends {
		return condition{state: "running, and must end"}
	}
	if c.State.Health != nil {
		switch c.State.Health.Status {
		case "healthy":
			return condition{state: "healthy", ready: true}
		case "unhealthy":
			before, known := w.ill[c.started()]
			failed := !known || c.State.Health.FailingStreak >= before+secondOpinion
			return condition{state: "unhealthy", failed: failed, probe: probe(c), probes: c.State.Health.FailingStreak, early: early(c, now)}
		case "starting":
			return condition{state: "starting", probe: probe(c)}
		}
	}
	key := c.started()
	if w.since[key].IsZero() {
		w.since[key] = now
	}
	again, so := w.restarts[c.ID] < c.Restarts, now.Sub(w.since[key])
	switch {
	case w.hasty:
	case again && so < steadyAgain:
		return condition{state: fmt.Sprintf("started again, %d times", c.Restarts), ripens: steadyAgain - so}
	case so < steady:
		return condition{state: "started", ripens: steady - so}
	}
	return condition{state: "running", ready: true}
}

// started tells the times apart that a container was started.
func (c container) started() string { return c.ID + c.State.StartedAt.String() }

// ended judges a container that has ended and is not started again. What its health
// check said while it ran explains nothing.
func ended(s Service, c container) condition {
	state := fmt.Sprintf("exited with status %d", c.State.ExitCode)
	if c.State.OOMKilled {
		state += ", out of memory"
	}
	if c.State.Error != "" {
		state += ": " + c.State.Error
	}
	again := slices.Contains([]string{"always", "unless-stopped"}, c.Restart.Name)
	ends := s.Ends || !s.Serves && c.State.Health == nil && !again
	switch {
	case c.State.ExitCode == 0 && ends:
		return condition{state: state, ready: true}
	case again:
		return condition{state: state}
	default:
		return condition{state: state, failed: true}
	}
}

// probe is what the last health check of a container that runs said.
func probe(c container) string {
	if c.State.Health == nil || len(c.State.Health.Log) == 0 {
		return ""
	}
	last := c.State.Health.Log[len(c.State.Health.Log)-1]
	text := strings.Join(strings.Fields(last.Output), " ")
	return strings.TrimSpace(fmt.Sprintf("status %d %s", last.ExitCode, first(text, 200)))
}
