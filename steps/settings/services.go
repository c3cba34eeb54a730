package settings

import (
	"fmt"
	"slices"
	"strings"

	"ecluse/steps/config"
)

// Service is something that runs, or that only needs a port.
type Service struct {
	// Name is the key of its port, and the name of its window and log. With
	// run = "docker" it is the name of the service in the compose file.
	Name string `toml:"name" json:"name" schema:"required;pattern=^[a-z0-9][a-z0-9_-]*$"`
	// BasePort is the port of slot 0; slot n gets base_port + n * slot_stride.
	// With run = "docker" it is also the port inside the container. Without it a
	// native service, such as a worker, has no port, and one in Docker publishes
	// what the compose file says.
	BasePort int `toml:"base_port" json:"base_port,omitempty" schema:"min=1;max=65535"`
	// Run is native (the default) or docker.
	Run string `toml:"run" json:"run,omitempty" schema:"enum=native,docker"`
	// HostPort is where host ports count from when that is not base_port.
	HostPort int `toml:"host_port" json:"host_port,omitempty" schema:"min=0;max=65535"`
	// Command is handed to `sh -c` in the worktree. Without one the service
	// only gets a port.
	Command string `toml:"command" json:"command,omitempty"`
	// PortEnv names further variables that hold the port: a string or an array.
	PortEnv config.Strings `toml:"port_env" json:"port_env,omitempty" schema:"pattern=^[A-Za-z_][A-Za-z0-9_]*$"`
	// ExtraPorts are further ports, which count like base_port.
	ExtraPorts []ExtraPort `toml:"extra_ports" json:"extra_ports,omitempty"`
	// PublishPrimary says whether base_port is published, with run = "docker".
	// Without it, it is unless an extra port has a container_port.
	PublishPrimary *bool `toml:"publish_primary" json:"publish_primary,omitempty"`
	// Compose is the compose file that the service is in, with run = "docker",
	// if that is not the one of compose.file. Each such file is a project, and
	// a step, of its own.
	Compose string `toml:"compose" json:"compose,omitempty"`
	// Ready says when it counts as up; by default when its port answers, and
	// without a port when it has run for a moment.
	Ready Ready `toml:"ready" json:"ready"`
	// DebugPort is an extra port in the variable ECLUSE_<NAME>_DEBUG_PORT, as it
	// was said before there were extra ports.
	DebugPort int `toml:"debug_port" json:"-" config:"deprecated" schema:"min=0;max=65535"`
}

// ExtraPort is a further port of a service.
type ExtraPort struct {
	// BasePort is the port of slot 0.
	BasePort int `toml:"base_port" json:"base_port" schema:"required;min=1;max=65535"`
	// PortEnv names the variables that hold the port.
	PortEnv config.Strings `toml:"port_env" json:"port_env,omitempty" schema:"pattern=^[A-Za-z_][A-Za-z0-9_]*$"`
	// ContainerPort is the port inside the container, if it differs.
	ContainerPort int `toml:"container_port" json:"container_port,omitempty" schema:"min=0;max=65535"`
}

// Ready says when a service counts as up: when all that it names holds. Without
// any condition it is its port that must answer; one that has none must run, and
// go on to.
type Ready struct {
	// HTTP is a path (or URL) that must answer with a status from 200 to 399. It may
	// refer to variables as ${NAME}.
	HTTP string `toml:"http" json:"http,omitempty"`
	// TCP waits for the port to accept connections.
	TCP bool `toml:"tcp" json:"tcp,omitempty"`
	// Log is a regular expression that a line of the service's log matches.
	Log string `toml:"log" json:"log,omitempty"`
	// Command is handed to `sh -c` in the worktree and must end with status 0.
	Command string `toml:"command" json:"command,omitempty"`
	// Timeout bounds the wait; the default is one minute.
	Timeout *config.Duration `toml:"timeout" json:"timeout,omitempty"`
}

// Native reports whether the service is not one of the compose file.
func (s Service) Native() bool { return s.Run != RunDocker }

// Ported reports whether the configuration gives the service a port of its own.
func (s Service) Ported() bool { return s.BasePort != 0 }

// HostBase is the host port of slot 0, 0 if the service has none.
func (s Service) HostBase() int {
	if s.HostPort != 0 {
		return s.HostPort
	}
	return s.BasePort
}

// ExtraName is the lease name of the service's extra port j.
func (s Service) ExtraName(j int) string {
	if names := s.ExtraPorts[j].PortEnv; len(names) > 0 {
		return s.Name + "." + strings.ToLower(names[0])
	}
	return fmt.Sprintf("%s.%d", s.Name, j+1)
}

// Publishes reports whether the service's own port is published: not when only
// others are, see PublishPrimary. A native service has its port in any case, and of
// one without a base_port it is the compose file that says so.
func (s Service) Publishes() bool {
	if s.Native() || !s.Ported() {
		return true
	}
	if s.PublishPrimary != nil {
		return *s.PublishPrimary
	}
	return !slices.ContainsFunc(s.ExtraPorts, func(e ExtraPort) bool { return e.ContainerPort != 0 })
}

// fallbackApp is the service that a repository without native services gets, so
// that a session has a port to offer unless its services want none.
var fallbackApp = Service{Name: "app", BasePort: 3000}

// Natives are the services that are not of the compose file, the fallback among
// them where there are none.
func (c Config) Natives() []Service {
	var list []Service
	for _, s := range c.Services {
		if s.Native() {
			list = append(list, s)
		}
	}
	if len(list) == 0 && c.Mode != ModeContainer {
		list = append(list, fallbackApp)
	}
	return list
}

// Spawned are the native services that are started.
func (c Config) Spawned() []Service {
	if c.Manager() == ManagerNone {
		return nil
	}
	var list []Service
	for _, s := range c.Services {
		if s.Native() && s.Command != "" && c.Choice.Runs(s.Name) {
			list = append(list, s)
		}
	}
	return list
}

// leases are the names of the ports of a service that is not in a compose file.
func (s Service) leases() []string {
	var names []string
	if s.Ported() {
		names = append(names, s.Name)
	}
	for i := range s.ExtraPorts {
		names = append(names, s.ExtraName(i))
	}
	return names
}

// Native reports whether a name is that of a service that does not run in Docker.
func (c Config) Native(name string) bool {
	return slices.ContainsFunc(c.Services, func(s Service) bool { return s.Name == name && s.Native() })
}

// NativeLeases are the names of the leases of native services.
func (c Config) NativeLeases() []string {
	var names []string
	for _, s := range c.Natives() {
		names = append(names, s.leases()...)
	}
	return names
}

// Lease is the name of the port that stands for a service: its own, or the first
// other one if its own is not published.
func (s Service) Lease() string {
	if !s.Publishes() && len(s.ExtraPorts) > 0 {
		return s.ExtraName(0)
	}
	return s.Name
}

// NeedsPort reports whether a service is up only when its port answers.
func (r Ready) NeedsPort() bool {
	return r.TCP || r.HTTP != "" || r.Log == "" && r.Command == ""
}
