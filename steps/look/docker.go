package look

import (
	"context"
	"fmt"
	"io"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
)

// composed is a service of a compose project of the session, as it was brought up.
type composed struct {
	docker.Service
	step, project string
	at            docker.Place
}

// docker judges the services that run in containers.
func (o observer) docker(ctx context.Context) []Service {
	there := composedOf(o.s)
	var list []Service
	for _, spec := range o.cfg.Services {
		named := func(c composed) bool { return c.Name == spec.Name }
		if spec.Native() || slices.ContainsFunc(there, named) {
			continue
		}
		v := Service{Name: spec.Name, Port: o.s.Ports[spec.Lease()], State: NotStarted, Managed: true, Problem: "it was not started yet, or was stopped"}
		if len(there) > 0 || !o.cfg.Choice.Runs(spec.Name) { // it was not chosen
			v.State, v.Managed, v.Healthy, v.Problem = Unmanaged, false, true, ""
		}
		list = append(list, v)
	}
	if len(there) == 0 {
		return list
	}
	containers, err := docker.Look(ctx, there[0].at, o.s.ID) // all are at one place
	for _, c := range there {
		if err != nil {
			list = append(list, Service{Name: c.Name, Step: c.step, Port: o.binding(c).Host, State: Unknown, Managed: true, Problem: err.Error()})
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(containers), func(one docker.Container) bool {
			return one.Project != c.project || one.Service != c.Name
		})
		list = append(list, o.contained(c, mine))
	}
	return list
}

// composedOf lists the services of the compose steps that got as far as to know them.
func composedOf(s session.Session) []composed {
	var list []composed
	for i, spec := range s.Plan.Steps {
		fact, _ := steps.ComposeOf(s, i)
		for _, service := range fact.Services {
			if service.Replicas > 0 {
				list = append(list, composed{service, spec.Name, fact.Project, fact.Place})
			}
		}
	}
	return list
}

// binding is the port of a service that stands for it: the one that the configuration
// names, else the first that is published.
func (o observer) binding(c composed) docker.Binding {
	for _, spec := range o.cfg.Services {
		if spec.Native() || spec.Name != c.Name {
			continue
		}
		host := o.s.Ports[spec.Lease()]
		for _, b := range c.Ports {
			if b.Host == host {
				return b
			}
		}
	}
	if len(c.Ports) > 0 {
		return c.Ports[0]
	}
	return docker.Binding{}
}

// contained judges a service by its containers, of several by the worst.
func (o observer) contained(c composed, mine []docker.Container) Service {
	want := o.binding(c)
	v := Service{Name: c.Name, Step: c.step, Port: want.Host, Managed: true, Healthy: true, State: Down}
	for _, one := range mine {
		if !v.Healthy {
			break
		}
		v.Container = one.ID
		v.State, v.Healthy, v.Problem = judgeContainer(c.Service, one)
		for _, b := range one.Ports {
			v.Listening = append(v.Listening, b.Host)
		}
		if v.Healthy && one.State == "running" && want.Host != 0 && c.Replicas == 1 {
			v.published(want, one)
		}
	}
	slices.Sort(v.Listening)
	v.Listening = slices.Compact(v.Listening)
	if v.Healthy && len(mine) < c.Replicas {
		v.Healthy, v.Problem = false, fmt.Sprintf("%d of %d containers are there", len(mine), c.Replicas)
		if len(mine) == 0 {
			v.State, v.Problem = Down, "its container is gone"
		}
	}
	return v
}

// published compares where a container is reached with where it should be.
func (v *Service) published(want docker.Binding, one docker.Container) {
	if slices.Contains(one.Ports, want) {
		return
	}
	v.State, v.Healthy = WrongPort, false
	v.Problem = fmt.Sprintf("port %d is not published", want.Host)
	for _, b := range one.Ports {
		if b.Container == want.Container && b.Protocol == want.Protocol {
			v.ActualPort = b.Host
			v.Problem = fmt.Sprintf("it is published at port %d, not at %d", b.Host, want.Host)
		}
	}
}

// judgeContainer says in what state a container is, and whether that is well.
func judgeContainer(s docker.Service, c docker.Container) (state string, healthy bool, problem string) {
	switch {
	case c.State == "running" && s.Ends:
		return c.State, false, "it has to end, and still runs"
	case c.State == "running" && c.Health == "":
		return c.State, true, ""
	case c.State == "running" && c.Health == "healthy":
		return c.Health, true, ""
	case c.State == "running":
		return c.Health, false, "its health check does not succeed"
	case c.State == "exited" && c.ExitCode == 0 && (s.Ends || !s.Serves):
		return c.State, true, ""
	case c.State == "exited", c.State == "restarting":
		return c.State, false, fmt.Sprintf("it exited with status %d", c.ExitCode)
	default:
		return c.State, false, "its container does not run"
	}
}

// Contained is a container of a service of a session.
type Contained struct {
	docker.Container
	// Step that brought it up.
	Step string
	at   docker.Place
}

// ContainersOf lists the containers of a session's services, with one question to
// Docker, and none if it has no such services.
func ContainersOf(ctx context.Context, s session.Session) ([]Contained, error) {
	services := composedOf(s)
	if len(services) == 0 {
		return nil, nil
	}
	found, err := docker.Look(ctx, services[0].at, s.ID)
	if err != nil {
		return nil, err
	}
	var list []Contained
	for _, service := range services {
		for _, one := range found {
			if one.Project == service.project && one.Service == service.Name {
				list = append(list, Contained{one, service.step, service.at})
			}
		}
	}
	return list, nil
}

// Logs writes what the container has written to out.
func (c Contained) Logs(ctx context.Context, o docker.LogOptions, out io.Writer) error {
	return docker.Logs(ctx, c.at, c.ID, o, out)
}
