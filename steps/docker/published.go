package docker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Publish changes what a service publishes: it names or adds a port, or takes one
// away.
type Publish struct {
	Service string
	// Container is the port inside the container, of the protocol: tcp by
	// default.
	Container int
	Protocol  string
	// Name is the lease's, if it is not to be the one that Published gives.
	Name string
	// Base is where its host ports count from; 0 leaves what the file says.
	Base int
	// Hidden takes the port away.
	Hidden bool
}

// Published is one port that a service publishes.
type Published struct {
	// Name is the name of the port's lease: the service for its first port,
	// "service.5432" for others, by the port inside the container. TCP and UDP
	// of the same two ports share a lease; one that is only UDP ends in "/udp".
	Name    string
	Service string
	// Container is the port inside the container.
	Container int
	// Base is the host port that the file says, 0 if it leaves the choice to
	// Docker. It is never published.
	Base int
	// Protocol is tcp, udp or sctp.
	Protocol string
	// HostIP is the address that it is published on; empty is all.
	HostIP string
}

// Published lists what the active services publish, by service and in the order
// of the file. Ranges are taken apart.
func (m *Model) Published() []Published {
	var list []Published
	for _, name := range m.Services() {
		list = append(list, m.publishedBy(m.project.Services[name])...)
	}
	return list
}

// publishedBy lists what one service publishes.
func (m *Model) publishedBy(service types.ServiceConfig) []Published {
	if hostNetwork(service) || replicas(service) > 1 {
		return nil
	}
	rules := map[string]Publish{}
	for _, rule := range m.publish {
		if rule.Service == service.Name {
			rules[portKey(rule.Container, protocol(rule.Protocol))] = rule
		}
	}
	var list []Published
	for _, port := range service.Ports {
		p := Published{
			Service: service.Name, Container: int(port.Target), Base: firstPort(port.Published),
			Protocol: protocol(port.Protocol), HostIP: port.HostIP,
		}
		key := portKey(p.Container, p.Protocol)
		if rule, ok := rules[key]; ok && rule.Hidden {
			continue
		}
		list = append(list, p)
	}
	for _, rule := range m.publish {
		here := func(p Published) bool { return p.Container == rule.Container && p.Protocol == protocol(rule.Protocol) }
		if rule.Service == service.Name && !rule.Hidden && !slices.ContainsFunc(list, here) {
			list = append(list, Published{Service: service.Name, Container: rule.Container, Protocol: protocol(rule.Protocol)})
		}
	}
	named(m.lease(service.Name), list, rules)
	return list
}

// named gives the ports of one service the names of their leases, which begin with
// the given one.
func named(lease string, list []Published, rules map[string]Publish) {
	type place struct{ container, base int }
	shared, taken := map[place]string{}, map[string]bool{}
	for _, rule := range rules {
		taken[rule.Name] = rule.Name != ""
	}
	used := map[string]bool{}
	for i := range list {
		p := &list[i]
		rule := rules[portKey(p.Container, p.Protocol)]
		at := place{p.Container, p.Base}
		if rule.Base != 0 {
			p.Base = rule.Base
		}
		name, twin := shared[at]
		twin = twin && !slices.ContainsFunc(list[:i], p.bars)
		switch {
		case rule.Name != "" && !used[portKey(p.Container, p.Protocol)]:
			used[portKey(p.Container, p.Protocol)] = true
			name = rule.Name
		case !twin:
			name = unique(lease, *p, taken)
		}
		p.Name, shared[at], taken[name] = name, name, true
	}
}

// bars reports whether the engine cannot publish both of two ports at one host port:
// one is on all addresses, and the other on one of them.
func (p Published) bars(other Published) bool {
	all := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	return p.Container == other.Container && p.Protocol == other.Protocol && all(p.HostIP) != all(other.HostIP)
}

// unique is a name that no other port of the service has.
func unique(lease string, p Published, taken map[string]bool) string {
	candidates := []string{lease, fmt.Sprintf("%s.%d", lease, p.Container)}
	if p.Protocol != "tcp" {
		candidates[1] += "/" + p.Protocol
	}
	for _, name := range candidates {
		if !taken[name] {
			return name
		}
	}
	for n := 2; ; n++ {
		if name := fmt.Sprintf("%s.%d", candidates[1], n); !taken[name] {
			return name
		}
	}
}

// Labelled are the names of the active services with a label of that value.
func (m *Model) Labelled(label, value string) []string {
	var names []string
	for name, service := range m.project.Services {
		if have, ok := service.Labels[label]; ok && have == value {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Built are the names of the active services that are built here.
func (m *Model) Built() []string {
	return slices.DeleteFunc(m.Services(), func(name string) bool { return m.project.Services[name].Build == nil })
}

// is reports whether the file says it with this port. It says each once, in order.
func (p Published) is(port types.ServicePortConfig) bool {
	return int(port.Target) == p.Container && protocol(port.Protocol) == p.Protocol && port.HostIP == p.HostIP
}

// protocol is the protocol's name; tcp is what is meant when none is said.
func protocol(name string) string {
	if name == "" {
		return "tcp"
	}
	return strings.ToLower(name)
}

// portKey tells the ports of a container apart.
func portKey(container int, protocol string) string {
	return strconv.Itoa(container) + "/" + protocol
}

// firstPort is the number of a published port, the first one of a range, 0 if
// Docker is to choose.
func firstPort(published string) int {
	first, _, _ := strings.Cut(published, "-")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// hostNetwork reports whether a service's ports are the host's own.
func hostNetwork(s types.ServiceConfig) bool { return s.NetworkMode == "host" }

// replicas is how many containers the service has.
func replicas(s types.ServiceConfig) int { return s.GetScale() }
