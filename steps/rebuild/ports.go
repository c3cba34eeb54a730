package rebuild

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"ecluse/steps"
	"ecluse/steps/docker"
)

// ports are the leases that are known: by the variables of the session, and of those
// that have none by what containers publish.
func (r *rebuilder) ports(ctx context.Context) map[string]int {
	ports := map[string]int{}
	take := func(name, variable string) {
		if port, err := strconv.Atoi(r.vars[variable]); err == nil && ports[name] == 0 && port != 0 {
			if port < 1024 || port >= 1<<16 {
				r.doubt(fmt.Sprintf("%s of session %s is %d, which is no port of a session: it gets another", variable, r.Slug, port), "")
				return
			}
			ports[name] = port
		}
	}
	nominals, _ := steps.Nominals(ctx, r.cfg, r.Worktree) // without its compose files: the native ones
	for _, n := range nominals {
		if !strings.Contains(n.Name, ".") {
			take(n.Name, portVariable(n.Name))
		}
		if host := r.published(n.Name); host != 0 && !n.Native {
			ports[n.Name] = host
		}
	}
	for _, service := range r.cfg.Services {
		for i, extra := range service.ExtraPorts {
			for _, variable := range extra.PortEnv {
				take(service.ExtraName(i), variable)
			}
		}
	}
	return ports
}

// published is where the containers publish the port of a lease "service.port"; 0 if they
// do not.
func (r *rebuilder) published(lease string) (host int) {
	for _, c := range r.containers {
		_, service := docker.ServiceOf(c.labels)
		for _, b := range c.ports {
			if lease == service+"."+strconv.Itoa(b.Container) {
				host = b.Host
			}
		}
	}
	return host
}
