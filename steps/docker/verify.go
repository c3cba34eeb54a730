package docker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// States says of every service how it is. It changes nothing.
func (e *Engine) States(ctx context.Context, o UpOptions) ([]Status, error) {
	list, err := e.containers(ctx, composeProject+"="+o.Name)
	if err != nil {
		return nil, err
	}
	_, states := observe(o, list)
	return states, nil
}

// observe judges the services by one look.
func observe(o UpOptions, list []container) ([]condition, []Status) {
	w := newWatch(o, nil)
	w.upEnded, w.hasty = true, true
	var conditions []condition
	var states []Status
	ready := 0
	for _, s := range o.Services {
		c := w.of(s, list, time.Now())
		if c.ready {
			ready++
		}
		conditions = append(conditions, c)
		states = append(states, Status{Service: s.Name, State: c.state, Ready: c.ready, Services: len(o.Services)})
	}
	for i := range states {
		states[i].ReadyOf = ready
	}
	return conditions, states
}

// Verify looks, without changing anything, whether every service of a session is
// there, is what it should be, carries the session's labels, and publishes its
// leases and nothing else. The error says what is missing.
func (e *Engine) Verify(ctx context.Context, o UpOptions) error {
	if len(o.Services) == 0 {
		return nil
	}
	seen, err := e.look(ctx, composeProject+"="+o.Name)
	if err != nil || running(seen) && whole(o, described(seen)) == nil {
		return err
	}
	var list []container
	if all := ids(seen); len(all) > 0 {
		if list, err = e.inspected(ctx, all); err != nil && vanished(err) {
			list, err = e.containers(ctx, composeProject+"="+o.Name)
		}
	}
	if err != nil {
		return err
	}
	return whole(o, list)
}

// whole looks whether the containers are what a session is to have.
func whole(o UpOptions, list []container) error {
	conditions, _ := observe(o, list)
	for i, s := range o.Services {
		if c := conditions[i]; !c.ready {
			return &ServiceError{Service: s.Name, State: c.state, Probe: c.probe}
		}
		if err := published(s, list, o.Session); err != nil {
			return err
		}
	}
	return nil
}

// running reports whether all run. Of those that do, one look tells all that counts.
func running(list []Container) bool {
	return !slices.ContainsFunc(list, func(c Container) bool { return c.State != "running" })
}

// described are containers as far as one look tells.
func described(list []Container) []container {
	var all []container
	for _, seen := range list {
		c := container{
			ID: seen.ID, Name: seen.Name, Ports: map[string][]binding{},
			Labels: map[string]string{composeProject: seen.Project, composeService: seen.Service, LabelSession: seen.session},
		}
		c.State.Status = seen.State
		if seen.Health != "" {
			c.State.Health = &health{Status: seen.Health}
		}
		for _, b := range seen.Ports {
			key := portKey(b.Container, b.Protocol)
			c.Ports[key] = append(c.Ports[key], binding{HostPort: strconv.Itoa(b.Host)})
		}
		all = append(all, c)
	}
	return all
}

// published compares what the containers of a service publish with its leases.
func published(s Service, list []container, session string) error {
	want := map[string]bool{}
	for _, b := range s.Ports {
		want[fmt.Sprintf("%s at port %d", portKey(b.Container, b.Protocol), b.Host)] = true
	}
	for _, c := range list {
		// Of several containers Docker chooses the ports.
		if s.Replicas != 1 || c.service() != s.Name || c.Labels[LabelSession] != session || c.State.Status != "running" {
			continue
		}
		have := c.publishes()
		for one := range have {
			if !want[one] {
				return fmt.Errorf("service %s publishes %s, which is not leased", s.Name, one)
			}
		}
		for one := range want {
			if !have[one] {
				return fmt.Errorf("service %s does not publish %s", s.Name, one)
			}
		}
	}
	return nil
}

// publishes lists what the container publishes: "80/tcp at port 8081".
func (c container) publishes() map[string]bool {
	ports := map[string]bool{}
	for inside, bindings := range c.Ports {
		for _, b := range bindings {
			ports[fmt.Sprintf("%s at port %s", inside, b.HostPort)] = true
		}
	}
	return ports
}
