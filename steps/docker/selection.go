package docker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Selection is a part of the services.
type Selection struct {
	// Only keeps these services and what they depend on, also those of a
	// profile that is not active. Empty keeps all.
	Only []string
	// Without leaves these services out, and those that live inside them: that
	// share their network, or their volumes.
	Without []string
}

// Select returns the model with a part of its services, and with the volumes,
// networks, secrets and configs that these use.
func (m *Model) Select(sel Selection) (*Model, error) {
	project := m.project
	if len(sel.Only) > 0 {
		for _, name := range sel.Only {
			if !m.knows(name) {
				return nil, fmt.Errorf("the compose file has no service %s; it has: %s", name, strings.Join(m.Services(), ", "))
			}
		}
		enabled, err := project.WithServicesEnabled(sel.Only...)
		if err != nil {
			return nil, fmt.Errorf("select services %s: %w", strings.Join(sel.Only, ", "), err)
		}
		if project, err = enabled.WithSelectedServices(sel.Only); err != nil {
			return nil, fmt.Errorf("select services %s: %w", strings.Join(sel.Only, ", "), err)
		}
	}
	out := *m
	out.Warnings = slices.Clone(m.Warnings)
	out.project = project
	without := slices.DeleteFunc(slices.Clone(sel.Without), func(name string) bool { return !slices.Contains(out.Services(), name) })
	// Who cannot run without them is left out with them, and so on.
	for gone := without; len(gone) > 0; without = append(without, gone...) {
		gone = slices.DeleteFunc(out.orphans(without), func(name string) bool { return slices.Contains(without, name) })
	}
	for _, name := range without {
		out.warnDependents(name, without)
	}
	out.project = out.project.WithServicesDisabled(without...)
	out.project = out.project.WithoutUnnecessaryResources()
	return &out, nil
}

// knows reports whether the file has the service, active or not.
func (m *Model) knows(name string) bool {
	_, active := m.project.Services[name]
	_, disabled := m.project.DisabledServices[name]
	return active || disabled
}

// warnDependents says which services will start without one that they depend on.
func (m *Model) warnDependents(name string, without []string) {
	for _, other := range m.Services() {
		if _, depends := m.project.Services[other].DependsOn[name]; depends && !slices.Contains(without, other) {
			m.Warn("service %s depends on %s, which does not run in Docker here; it is started without waiting", other, name)
		}
	}
}

// orphans are services that cannot run without the given ones.
func (m *Model) orphans(gone []string) []string {
	var list []string
	for _, name := range m.Services() {
		if slices.Contains(gone, name) {
			continue
		}
		for _, host := range hosts(m.project.Services[name]) {
			if slices.Contains(gone, host) {
				m.Warn("service %s is left out with %s, whose network or volumes it shares", name, host)
				list = append(list, name)
				break
			}
		}
	}
	return list
}

// hosts are the services whose namespaces or volumes a service shares.
func hosts(s types.ServiceConfig) []string {
	var list []string
	for _, mode := range []string{s.NetworkMode, s.Ipc, s.Pid, s.Uts, s.Cgroup} {
		if name, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			list = append(list, name)
		}
	}
	for _, from := range s.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			name, _, _ := strings.Cut(from, ":")
			list = append(list, name)
		}
	}
	return list
}

// byService turns references to the container of a service into references to
// the service. The container's name will not be the one in the file.
func (m *Model) byService() {
	owner := map[string]string{}
	for name, s := range m.project.Services {
		if s.ContainerName != "" {
			owner[s.ContainerName] = name
		}
	}
	for name, s := range m.project.Services {
		for _, mode := range []*string{&s.NetworkMode, &s.Ipc, &s.Pid} {
			if host, ok := owner[strings.TrimPrefix(*mode, types.ContainerPrefix)]; ok && strings.HasPrefix(*mode, types.ContainerPrefix) {
				*mode = types.ServicePrefix + host
				s.DependsOn = depending(s.DependsOn, host, true)
			}
		}
		for i, from := range s.VolumesFrom {
			container, ok := strings.CutPrefix(from, types.ContainerPrefix)
			container, access, _ := strings.Cut(container, ":")
			if host, ours := owner[container]; ok && ours {
				s.VolumesFrom[i] = strings.TrimSuffix(host+":"+access, ":")
				s.DependsOn = depending(s.DependsOn, host, false)
			}
		}
		s.ExternalLinks = slices.DeleteFunc(s.ExternalLinks, func(link string) bool {
			container, alias, _ := strings.Cut(link, ":")
			host, ours := owner[container]
			if ours {
				s.Links = append(s.Links, host+":"+either(alias, container))
				s.DependsOn = depending(s.DependsOn, host, true)
			}
			return ours
		})
		m.project.Services[name] = s
	}
}

// depending adds a dependency that was only implied, as Compose does; with restart
// who depends is started anew with the service.
func depending(on types.DependsOnConfig, service string, restart bool) types.DependsOnConfig {
	if on == nil {
		on = types.DependsOnConfig{}
	}
	if _, ok := on[service]; !ok {
		on[service] = types.ServiceDependency{Condition: types.ServiceConditionStarted, Required: true, Restart: restart}
	}
	return on
}

// either is a, or b when a is empty.
func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Warn adds a warning, once.
func (m *Model) Warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(m.Warnings, text) {
		m.Warnings = append(m.Warnings, text)
	}
}
