package steps

import (
	"os"
	"time"

	"ecluse/saga/session"
	"ecluse/steps/proc"
)

// Processes implements [session.Processes] with what /proc tells.
type Processes struct{}

var _ session.Processes = Processes{}

// Self describes this process as an owner.
func (Processes) Self(verb session.Verb) session.Owner {
	id := proc.Self()
	host, _ := os.Hostname() // it only explains
	return session.Owner{
		PID: id.PID, Start: id.Start, Boot: id.Boot, Namespace: id.Namespace,
		Host: host, Verb: verb, Since: time.Now(),
	}
}

// Signal sends sig to the owner's process, and to no other.
func (Processes) Signal(o session.Owner, sig os.Signal) error { return OwnerID(o).Signal(sig) }

// Suspended reports whether the owner's process is stopped.
func (Processes) Suspended(o session.Owner) bool { return OwnerID(o).Suspended() }

// OwnerID is the identity of an owner's process.
func OwnerID(o session.Owner) proc.ID {
	return proc.ID{PID: o.PID, Start: o.Start, Boot: o.Boot, Namespace: o.Namespace}
}

// Rebooted reports whether the machine was started anew since the owner began:
// none of what it started natively is left.
func Rebooted(o session.Owner) bool { return o.Boot != "" && o.Boot != proc.Self().Boot }
