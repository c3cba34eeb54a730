package docker

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

// Finds reports whether a file of this name is one that Compose finds by itself, in
// the folder that it looks in.
func Finds(file string) bool { return slices.Contains(cli.DefaultFileNames, filepath.Clean(file)) }

// Qualify gives the leases of services other names than the services have: a session
// may have several compose files, and a service of one name in each. The names are
// by service; those that Publish gives stay.
func (m *Model) Qualify(names map[string]string) {
	m.leases = maps.Clone(names)
}

// lease is what the names of a service's leases begin with.
func (m *Model) lease(service string) string { return either(m.leases[service], service) }

// Knows reports whether the files have a service, be it one of a profile that is not
// active.
func (m *Model) Knows(service string) bool { return m.knows(service) }

// AllServices are the names of all services, also of profiles that are not active.
func (m *Model) AllServices() []string {
	names := slices.Concat(m.project.ServiceNames(), m.project.DisabledServiceNames())
	slices.Sort(names)
	return names
}

// Ports are the ports inside the container of an active service that its file knows
// of: those that it publishes, then those that it exposes to others.
func (m *Model) Ports(service string) (published, exposed []int) {
	s := m.project.Services[service]
	for _, port := range s.Ports {
		published = append(published, int(port.Target))
	}
	for _, entry := range s.Expose {
		ports, _, _ := strings.Cut(entry, "/")
		from, to, isRange := strings.Cut(ports, "-")
		first, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(to); err != nil || last > maxPort {
				continue
			}
		}
		for port := first; port <= last; port++ {
			exposed = append(exposed, port)
		}
	}
	slices.Sort(published)
	return slices.Compact(published), exposed
}

// maxPort is the highest port.
const maxPort = 1<<16 - 1

// Names are the paths of the files that the model was read from, relative to the
// worktree.
func (m *Model) Names() []string {
	var names []string
	for _, file := range m.Files {
		if rel, err := filepath.Rel(m.dir, file); err == nil {
			file = rel
		}
		names = append(names, file)
	}
	return names
}
