package look

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// The states of a service, in a word each. One in a container has beside these what
// Docker calls it: healthy, unhealthy, starting, running, restarting, exited, and so on.
const (
	Up         = "up"
	Down       = "down"
	WrongOwner = "wrong-owner"   // a stranger listens on its port
	WrongPort  = "wrong-port"    // it listens on another one
	Deaf       = "not-listening" // it runs, and nobody listens on its port
	NotReady   = "not-ready"     // it runs, and is not what `ready` asks for
	NotStarted = "not-started"   // its step was not done yet, or is compensated
	Unmanaged  = "unmanaged"     // it has a port and no command, or was not chosen
	Unknown    = "unknown"       // Docker does not answer
)

// Service is how a service really is.
type Service struct {
	Name   string
	Native bool
	// Step that started it; empty if none did.
	Step string
	// Port is its lease, 0 without one.
	Port  int
	State string
	// Managed: ecluse starts it. One that is not counts as healthy.
	Managed, Healthy bool
	// Strange: a stranger listens on its port; also before it was started, or while the
	// session is stopped.
	Strange bool
	// PID is its first process, ListenerPID who listens on its port; 0 if nobody
	// is known.
	PID, ListenerPID int
	// ActualPort is where it is reached instead of its port; 0 if it is not.
	ActualPort int
	// Listening are the ports that its processes listen on, or its containers
	// publish.
	Listening []int
	// Conflict says whose port the actual one is.
	Conflict *PortConflict
	// Container is the id of its container.
	Container string
	// Problem says what is wrong, in words; empty when nothing is.
	Problem string
}

// PortConflict is a port that belongs to another slot.
type PortConflict struct {
	Slot int
	// Session has that slot, if one does.
	Session string
}

// Observe looks at how the services of a session are: at the processes of the machine
// once, and, if there are containers, with one question to Docker, however many
// services there are. It changes nothing. All are the sessions of the machine, to say
// whose port it is that a service took by mistake.
func Observe(ctx context.Context, s session.Session, all []session.Session) ([]Service, error) {
	cfg, err := steps.ConfigOf(s)
	if err != nil {
		return nil, err
	}
	snap, err := proc.Snap()
	if err != nil {
		return nil, err
	}
	o := observer{cfg: cfg, s: s, all: all, snap: snap, marked: snap.Marked(settings.EnvStep, settings.EnvSession+"="+s.ID)}
	var list []Service
	for _, service := range cfg.Natives() {
		list = append(list, o.native(service))
	}
	list = append(list, o.docker(ctx)...)
	for i := range list {
		o.await(&list[i])
	}
	return list, nil
}

// await looks at the port of a service that does not run yet: who listens there will be
// in its way. While somebody works on the session nothing can be said of that.
func (o observer) await(v *Service) {
	v.Strange = v.State == WrongOwner
	if v.State != NotStarted || o.s.State.Pending() {
		return
	}
	if id, found := StrangerAt(o.snap, o.s, v.Port); found {
		v.Strange, v.ListenerPID = true, id.PID
		v.Problem += fmt.Sprintf("; its port %d is listened on by %s, which is not of this session: stop that, or take the session down and up again for another port",
			v.Port, proc.Describe(id))
	}
}

// StrangerAt is who listens on a port that a session has leased and is proven not to be
// of the session.
func StrangerAt(snap *proc.Snapshot, s session.Session, port int) (id proc.ID, found bool) {
	if port == 0 {
		return proc.ID{}, false
	}
	family := func() ([]proc.ID, error) { return snap.Marked(settings.EnvSession)[s.ID], nil }
	strangers, err := proc.Strangers(snap.Listeners(port), family, proc.ID{}, settings.EnvSession+"="+s.ID)
	if err != nil || len(strangers) == 0 {
		return proc.ID{}, false
	}
	return strangers[0], true
}

// observer is one look at the services of one session.
type observer struct {
	cfg  settings.Config
	s    session.Session
	all  []session.Session
	snap *proc.Snapshot
	// marked are the processes that carry the session's mark, by their steps.
	marked map[string][]proc.ID
}

// native judges one native service.
func (o observer) native(spec settings.Service) Service {
	v := Service{Name: spec.Name, Native: true, Port: o.s.Ports[spec.Name]}
	step := steps.ServiceStep(spec.Name)
	i := o.s.Plan.Index(step)
	if i < 0 {
		v.State, v.Healthy = Unmanaged, true
		v.ListenerPID = firstPID(o.snap.Listeners(v.Port))
		return v
	}
	v.Step, v.Managed = step, true
	fact, known := steps.ServiceOf(o.s, i)
	members := append(o.snap.Brood(fact.ID), o.marked[step]...)
	v.Listening = o.snap.Listening(members)
	listeners := o.snap.Listeners(v.Port)
	v.ListenerPID = firstPID(listeners)
	if o.snap.Alive(fact.ID) {
		v.PID = fact.PID
	}
	var strangers []proc.ID
	if known {
		find := func() ([]proc.ID, error) { return members, nil }
		strangers, _ = proc.Strangers(listeners, find, fact.ID, steps.Marks(o.s, step)...)
	}
	if v.Port != 0 && !slices.Contains(v.Listening, v.Port) {
		v.ActualPort = o.elsewhere(spec, v.Listening)
	}
	o.judge(&v, spec, strangers, known)
	if known && v.PID == 0 && (v.State == WrongOwner || v.State == Down) {
		o.adoptable(&v, fact)
	}
	return v
}

// adoptable says of a service that is gone that the user has put another one in its
// place, which the next up adopts.
func (o observer) adoptable(v *Service, fact steps.ServiceFact) {
	for step, ids := range o.marked {
		theirs := func(id proc.ID) bool { return slices.Contains(ids, id) }
		if step != v.Step && strings.HasPrefix(step, steps.ServiceStep("")) && slices.ContainsFunc(o.snap.Listeners(v.Port), theirs) {
			return // it is another service's, which has missed its own port
		}
	}
	own, found, err := steps.Occupant(o.s, v.Port, fact.ID)
	if err != nil || !found {
		return
	}
	v.State = Down
	v.Problem = fmt.Sprintf("it was restarted by hand, as %s; `ecluse up` adopts it", proc.Describe(own))
}

// judge says in what state a native service is.
func (o observer) judge(v *Service, spec settings.Service, strangers []proc.ID, known bool) {
	switch {
	case !known || o.phase(v.Step) == saga.Planned || o.phase(v.Step) == saga.Compensated:
		v.State, v.Problem = NotStarted, "it was not started yet, or was stopped"
	case len(strangers) > 0:
		v.State, v.ListenerPID = WrongOwner, strangers[0].PID
		v.Problem = fmt.Sprintf("its port %d is listened on by %s, which is not of this session", v.Port, proc.Describe(strangers[0]))
	case v.PID == 0:
		v.State, v.Problem = Down, "its process is gone"
	case v.ActualPort != 0:
		v.State, v.Conflict = WrongPort, o.conflict(spec, v.ActualPort)
		v.Problem = fmt.Sprintf("it listens on port %d, not on %d: its command must take the port from $PORT or ${ECLUSE_%s_PORT}",
			v.ActualPort, v.Port, settings.EnvKey(spec.Name))
	case spec.Ready.NeedsPort() && v.Port != 0 && !o.snap.Open(v.Port):
		v.State, v.Problem = Deaf, fmt.Sprintf("nobody listens on its port %d", v.Port)
	default:
		v.State, v.Healthy = Up, true
	}
}

// phase is how far a step has come.
func (o observer) phase(step string) saga.Phase {
	return o.s.Progress.Steps[o.s.Plan.Index(step)].Phase
}

// elsewhere is the lowest port that a service listens on and that is not one of its
// own leases, 0 if there is none.
func (o observer) elsewhere(spec settings.Service, listening []int) int {
	own := []int{o.s.Ports[spec.Name]}
	for i := range spec.ExtraPorts {
		own = append(own, o.s.Ports[spec.ExtraName(i)])
	}
	for _, port := range listening {
		if !slices.Contains(own, port) {
			return port
		}
	}
	return 0
}

// conflict tells whose port a service has taken: of the session that leased it, else of
// the slot that would get it.
func (o observer) conflict(spec settings.Service, port int) *PortConflict {
	for _, other := range o.all {
		for _, leased := range other.Ports {
			if leased == port {
				return &PortConflict{Slot: other.Slot, Session: other.Slug}
			}
		}
	}
	stride := max(o.cfg.SlotStride, 1)
	slot := (port - spec.HostBase()) / stride
	if (port-spec.HostBase())%stride != 0 || slot < 1 || slot > o.cfg.MaxSlots || slot == o.s.Slot {
		return nil
	}
	c := &PortConflict{Slot: slot}
	for _, other := range o.all {
		if other.Repo == o.s.Repo && other.Slot == slot {
			c.Session = other.Slug
		}
	}
	return c
}

// firstPID is the pid of the first process, 0 if there is none.
func firstPID(ids []proc.ID) int {
	if len(ids) == 0 {
		return 0
	}
	return ids[0].PID
}
