package cli

import (
	"context"
	"slices"
	"time"

	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/look"
)

// observed are the services of a session, as they are.
type observed struct {
	session.Session
	services []look.Service
}

// observe looks once at the services of all sessions that nobody works on.
func (d *doctor) observe(ctx context.Context, all []session.Session) []observed {
	var list []observed
	m := &session.Manager{Store: d.store, Locker: d.store, Now: time.Now}
	for _, s := range all {
		if status, err := m.Status(s); err != nil || status.Owner != nil || !exists(s.Repo) {
			continue // what is wrong with it was said
		}
		services, err := look.Observe(ctx, s, all)
		if err != nil {
			d.say("services", verdictWarn, "", "%v", err).of(s.Key)
			continue
		}
		list = append(list, observed{s, services})
	}
	return list
}

// services says which services of sessions that are up are not as they should be, also
// in containers, and if all are, which steps are not. What was said of a session already
// is not said again, nor are strangers, of which more is said.
func (d *doctor) services(ctx context.Context, list []observed) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	since := len(d.found)
	said := func(s session.Session) bool {
		return slices.ContainsFunc(d.found[:since], func(f *finding) bool { return f.Repo == s.Repo && f.Slug == s.Slug })
	}
	for _, o := range list {
		if o.State != fsm.Active || steps.Rebooted(o.Run.Owner) {
			continue
		}
		dead, before := look.Dead(o.Session), len(d.found)
		for _, v := range o.services {
			if !v.Healthy && !v.Strange && !slices.Contains(dead, v.Name) {
				d.say("services", verdictWarn, mending(o.Session, v), "%s of %s is %s: %s", v.Name, o.Slug, v.State, v.Problem).of(o.Key)
			}
		}
		if len(d.found) > before || len(dead) > 0 || said(o.Session) {
			continue
		}
		for _, drift := range look.Drifts(ctx, steps.Kit{Home: d.store}, o.Session, o.services) {
			d.say("services", verdictWarn, in(o.Session, "up", o.Slug), "step %s of %s is not as it was: %s", drift.Step, o.Slug, drift.Problem).of(o.Key)
		}
	}
	d.well(since, "services", "all that should run was seen to run")
}

// mending is the command that mends a service; empty if none does.
func mending(s session.Session, v look.Service) string {
	switch {
	case v.State == look.Unknown:
		return ""
	case v.State == look.WrongPort && v.Native:
		return in(s, "down", s.Slug, "--keep-worktree") + " && " + in(s, "up", s.Slug)
	}
	return in(s, "up", s.Slug)
}
