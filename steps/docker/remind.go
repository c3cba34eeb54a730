package docker

import (
	"slices"
	"time"
)

// remindAfter is how long the last that was reported is of a service that is well, while
// others are waited for.
const remindAfter = 3 * time.Second

// reminder is when a state was last reported, and whether it was of a service that is
// well.
type reminder struct {
	at   time.Time
	well bool
}

// report reports the state of a service.
func (w *watch) report(i int, c condition, readyOf int, now time.Time) {
	w.reminder = reminder{now, c.ready}
	w.Report(Status{Service: w.Services[i].Name, State: c.state, Ready: c.ready, ReadyOf: readyOf, Services: len(w.Services)})
}

// remind reports once more what is waited for, so that it is the last that is heard. One
// that is created waits itself.
func (w *watch) remind(conditions []condition, readyOf int, now time.Time) {
	if !w.well || now.Sub(w.at) < remindAfter {
		return
	}
	awaited := func(c condition) bool { return !c.ready && !c.missing && c.state != "created" }
	if i := slices.IndexFunc(conditions, awaited); i >= 0 {
		w.report(i, conditions[i], readyOf, now)
	}
}
