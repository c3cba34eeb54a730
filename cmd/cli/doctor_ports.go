package cli

import (
	"fmt"

	"ecluse/saga/session"
	"ecluse/steps/look"
	"ecluse/steps/proc"
)

// ports looks whether strangers listen on what sessions have leased: also on what a
// service has that does not run, for its next up would find it taken. While somebody
// works on a session nothing can be said of it.
func (d *doctor) ports(list []observed) {
	since := len(d.found)
	snap, err := proc.Snap()
	if err != nil {
		d.say("ports", verdictWarn, "", "%v", err)
		return
	}
	for _, o := range list {
		s := o.Session
		for _, v := range o.services {
			if text := strangerAt(snap, s, v); text != "" {
				d.say("ports", verdictFail, in(s, "status", s.Slug), "port %d of %s in %s is a stranger's: %s; stop that, or take %[3]s down and up again for another port",
					v.Port, v.Name, s.Slug, text).of(s.Key)
			}
		}
	}
	d.well(since, "ports", "no stranger was seen on a leased port")
}

// strangerAt says who else listens on the port of a service; empty if nobody does.
func strangerAt(snap *proc.Snapshot, s session.Session, v look.Service) string {
	switch {
	case v.State == look.WrongOwner:
		return v.Problem
	case !v.Managed || v.Healthy:
		return ""
	}
	id, found := look.StrangerAt(snap, s, v.Port)
	if !found {
		return ""
	}
	return fmt.Sprintf("%s listens on it, and %s is %s", proc.Describe(id), v.Name, v.State)
}
