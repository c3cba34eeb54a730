package settings

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Warnings lists what is allowed and probably not meant.
func (c Config) Warnings() []string {
	var list []string
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(c.MaxSlots > 64, "max_slots is %d: so many sessions need %d ports a service", c.MaxSlots, c.MaxSlots*(c.PortSearchRange+1))
	add(c.PortSearchRange == 0 && !c.StrictPort, "port_search_range is 0: a port that is taken fails an up, as with strict_port = true")
	add(c.Hooks.OnUp != nil && c.Hooks.OnUp != c.Hooks.PreUp, "hooks.on_up is ignored: hooks.pre_up is its new name, and there")
	add(c.Hooks.OnUp != nil && c.Hooks.OnUp == c.Hooks.PreUp, "hooks.on_up is now called pre_up")
	add(c.Hooks.OnDown != nil && c.Hooks.OnDown != c.Hooks.PreDown, "hooks.on_down is ignored: hooks.pre_down is its new name, and there")
	add(c.Hooks.OnDown != nil && c.Hooks.OnDown == c.Hooks.PreDown, "hooks.on_down is now called pre_down")
	for _, d := range c.Databases {
		add(len(d.Inputs) > 0 && !d.Managed(), "inputs of database %s are ignored: they are for a template that migrate makes once for each state of them; give it %s, or leave inputs out",
			d.Name, d.forTemplate())
	}
	setters := map[string]string{}
	for _, s := range c.Services {
		for _, name := range slices.Concat([]string(s.PortEnv), extraEnv(s)) {
			add(setters[name] != "", "%s is set by %s and by %s, and holds the port of %[3]s", name, setters[name], s.Name)
			setters[name] = s.Name
		}
		s.warn(add)
	}
	return list
}

// warn adds what is odd about one service.
func (s Service) warn(add func(wrong bool, format string, args ...any)) {
	low, high := Ephemeral()
	native := s.Native()
	add(s.Ported() && s.HostBase() >= low && s.HostBase() <= high,
		"port %d of service %s is one of those that the system gives to outgoing connections (%d to %d): one may take it before the service does, so choose a lower base_port",
		s.HostBase(), s.Name, low, high)
	add(s.Ported() && s.Publishes() && s.HostBase() < 1024, "port %d of service %s is one that only root may listen to", s.HostBase(), s.Name)
	add(s.DebugPort != 0, "debug_port of service %s is now an entry of extra_ports", s.Name)
	add(native && s.Command == "", "service %s has no command: it gets a port, and nothing is started", s.Name)
	add(native && s.Command == "" && s.Ready != Ready{}, "ready of service %s is ignored: nothing is started", s.Name)
	add(native && s.Compose != "", "compose of service %s is ignored: it does not run in docker", s.Name)
	add(native && s.PublishPrimary != nil, "publish_primary of service %s is ignored: it does not run in docker", s.Name)
	add(!native && s.Command != "", "command of service %s is ignored: the compose file has its own", s.Name)
	add(!native && s.Ready != Ready{}, "ready of service %s is ignored: give it a healthcheck in the compose file", s.Name)
	add(!native && s.PublishPrimary == nil && !s.Publishes(),
		"base_port of service %s is not published, because an extra port has a container_port; say publish_primary = true or false", s.Name)
	add(!native && s.HostPort != 0 && slices.ContainsFunc(s.ExtraPorts, func(e ExtraPort) bool { return e.ContainerPort != 0 }),
		"service %s has a host_port and an extra port with a container_port: host_port is only that of base_port", s.Name)
}

// forTemplate is what a database lacks for a template that ecluse makes.
func (d Database) forTemplate() string {
	var lacks []string
	if d.Template == "" {
		lacks = append(lacks, fmt.Sprintf("a name for that, such as template = %q", strings.ReplaceAll(d.Name, "-", "_")+"_template"))
	}
	if d.Migrate == nil {
		lacks = append(lacks, "migrate, the command that makes it")
	}
	return strings.Join(lacks, ", and ")
}

// extraEnv lists the variables of the service's extra ports.
func extraEnv(s Service) []string {
	var names []string
	for _, extra := range s.ExtraPorts {
		names = append(names, extra.PortEnv...)
	}
	return names
}

// Ephemeral is the range of ports that the kernel gives to outgoing connections, see
// ip_local_port_range in ip(7); 0 and 0 if it cannot be told.
func Ephemeral() (low, high int) {
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscan(string(data), &low, &high); err != nil {
		return 0, 0
	}
	return low, high
}
