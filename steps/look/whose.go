package look

import (
	"context"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// Belonging says what a process is of a session.
type Belonging struct {
	Session session.Session
	// Step that it comes from; empty if it was started beside the steps, by exec or
	// from a shell.
	Step string
	// Service that it is of, if it is of one, and its port.
	Service string
	Port    int
	// Container that it runs in.
	Container string
}

// Whose finds the session that the process with a pid belongs to: by the mark in its
// environment, or by that of one that it descends from, at whatever depth; by a
// service's recorded process that it descends from, or whose group or session it is
// in; by its container. False is the answer for a pid that nobody has.
func Whose(ctx context.Context, pid int, all []session.Session) (Belonging, bool, error) {
	snap, err := proc.Snap()
	if err != nil {
		return Belonging{}, false, err
	}
	id, alive := snap.Of(pid)
	if !alive {
		return Belonging{}, false, nil
	}
	for _, one := range snap.Line(pid) {
		if b, ok := marked(one, all); ok {
			return b, true, nil
		}
		if b, ok := first(one, all); ok {
			return b, true, nil
		}
	}
	if b, ok := grouped(snap, id, all); ok {
		return b, true, nil
	}
	return housed(ctx, pid, all)
}

// marked is the session whose mark a process carries.
func marked(id proc.ID, all []session.Session) (Belonging, bool) {
	mark, ok := proc.Variable(id.PID, settings.EnvSession)
	if !ok {
		return Belonging{}, false
	}
	for _, s := range all {
		if s.ID == mark {
			step, _ := proc.Variable(id.PID, settings.EnvStep)
			return belonging(s, step), true
		}
	}
	return Belonging{}, false
}

// belonging is what comes from a step.
func belonging(s session.Session, step string) Belonging {
	b := Belonging{Session: s, Step: step}
	if i := s.Plan.Index(step); i >= 0 && s.Plan.Steps[i].Kind == "service" {
		b.Service = steps.ServiceName(s.Plan.Steps[i])
		b.Port = s.Ports[b.Service]
	}
	return b
}

// first is the service that a process is the first of.
func first(id proc.ID, all []session.Session) (Belonging, bool) {
	for s, step := range roots(all, func(root proc.ID) bool { return root == id }) {
		return belonging(s, step), true
	}
	return Belonging{}, false
}

// grouped is the service that has a process in its group or session.
func grouped(snap *proc.Snapshot, id proc.ID, all []session.Session) (Belonging, bool) {
	within := func(root proc.ID) bool {
		for _, one := range snap.Brood(root) {
			if one == id {
				return true
			}
		}
		return false
	}
	for s, step := range roots(all, within) {
		return belonging(s, step), true
	}
	return Belonging{}, false
}

// roots goes through the recorded processes of services that a test is true of: the
// sessions, and the steps.
func roots(all []session.Session, test func(proc.ID) bool) func(yield func(session.Session, string) bool) {
	return func(yield func(session.Session, string) bool) {
		for _, s := range all {
			for i := range s.Progress.Steps {
				fact, known := steps.ServiceOf(s, i)
				if !known || !test(fact.ID) {
					continue
				}
				if !yield(s, s.Plan.Steps[i].Name) {
					return
				}
			}
		}
	}
}

// housed is the session whose container a process runs in. Docker is asked only if
// it runs in one.
func housed(ctx context.Context, pid int, all []session.Session) (Belonging, bool, error) {
	id := proc.Container(pid)
	if id == "" {
		return Belonging{}, false, nil
	}
	labels, err := docker.Labels(ctx, id)
	if err != nil || labels == nil {
		return Belonging{}, false, err
	}
	for _, s := range all {
		if s.ID == labels[docker.LabelSession] {
			project, service := docker.ServiceOf(labels)
			return inContainer(s, project, Belonging{Session: s, Service: service, Container: id}), true, nil
		}
	}
	return Belonging{}, false, nil
}

// inContainer completes what a container's labels say by what is recorded.
func inContainer(s session.Session, project string, b Belonging) Belonging {
	cfg, err := steps.ConfigOf(s)
	for _, c := range composedOf(s) {
		if err == nil && c.Name == b.Service && c.project == project {
			b.Step, b.Port = c.step, observer{cfg: cfg, s: s}.binding(c).Host
		}
	}
	return b
}
