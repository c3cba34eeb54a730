package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ecluse/steps/port"
)

// Choice is what the user chose when a session was made, beside its configuration.
// The session keeps it: whatever resumes, repairs or recovers it does the same.
type Choice struct {
	// Only are the services that run; empty is all. In Docker what they depend
	// on runs, too.
	Only []string `json:"only,omitempty"`
	// Skip are services that do not run.
	Skip []string `json:"skip,omitempty"`
	// Pins are the ports that leases must have, by name.
	Pins map[string]int `json:"pins,omitempty"`
	// NoInherit: nothing of the main worktree is carried over.
	NoInherit bool `json:"no_inherit,omitempty"`
	// Synced: the session was made of what ran already. Nothing was made for it: no
	// data, and what hooks make.
	Synced bool `json:"synced,omitempty"`
}

// Runs reports whether a service is chosen by its name.
func (c Choice) Runs(name string) bool {
	return (len(c.Only) == 0 || slices.Contains(c.Only, name)) && !slices.Contains(c.Skip, name)
}

// Names are the services that are named.
func (c Choice) Names() []string { return append(slices.Clone(c.Only), c.Skip...) }

// Normal is the choice in the one form in which it is kept and compared.
func (c Choice) Normal() Choice {
	for _, list := range []*[]string{&c.Only, &c.Skip} {
		*list = slices.Sorted(slices.Values(*list))
		*list = slices.Compact(*list)
	}
	return c
}

// String is the choice as the flags of up say it; empty when nothing was chosen.
func (c Choice) String() string {
	var flags []string
	if len(c.Only) > 0 {
		flags = append(flags, "--services "+strings.Join(c.Only, ","))
	}
	if len(c.Skip) > 0 {
		flags = append(flags, "--skip "+strings.Join(c.Skip, ","))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Pins)) {
		flags = append(flags, fmt.Sprintf("--port %s=%d", name, c.Pins[name]))
	}
	if c.NoInherit {
		flags = append(flags, "--no-inherit-env")
	}
	return strings.Join(flags, " ")
}

// ChoiceError is a choice that the configuration, or the compose files of the
// branch, cannot follow.
type ChoiceError struct{ text string }

// Error says which name is unknown, and which ones there are.
func (e *ChoiceError) Error() string { return e.text }

// Choose returns the configuration with what was chosen for a session. A name that
// is unknown is refused with a [ChoiceError], unless it may be one of a compose
// file: these are read in the step ports.
func (c Config) Choose(choice Choice) (Config, error) {
	c.Choice = choice.Normal()
	if c.Choice.NoInherit {
		c.InheritEnv = nil
	}
	if c.Choice.Synced {
		c.Hooks, c.Databases, c.Steps = Hooks{}, nil, nil
	}
	for _, name := range c.Choice.Only {
		if slices.Contains(c.Choice.Skip, name) {
			return c, &ChoiceError{fmt.Sprintf("service %s is both chosen and skipped", name)}
		}
	}
	numbers := map[int]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Choice.Pins)) {
		number := c.Choice.Pins[name]
		switch other := numbers[number]; {
		case number < 1 || number > port.Max:
			return c, &ChoiceError{fmt.Sprintf("port %d for %s is out of range; a port is 1 to %d", number, name, port.Max)}
		case other != "":
			return c, &ChoiceError{fmt.Sprintf("port %d is pinned for both %s and %s", number, other, name)}
		}
		numbers[number] = name
	}
	if c.Mode == ModeHost {
		return c, c.Settled(nil, nil)
	}
	return c, nil
}

// Settled refuses names that there are not. services and leases are those of the
// compose files.
func (c Config) Settled(services, leases []string) error {
	for _, s := range c.Services {
		services = append(services, s.Name)
	}
	for _, name := range c.Choice.Names() {
		if !slices.Contains(services, name) {
			return unknownName("service", name, services)
		}
	}
	leases = append(leases, c.NativeLeases()...)
	for _, name := range slices.Sorted(maps.Keys(c.Choice.Pins)) {
		if !slices.Contains(leases, name) {
			return unknownName("port", name, leases)
		}
	}
	return nil
}

// unknownName lists what there is in the place of a name that there is not.
func unknownName(kind, name string, have []string) error {
	have = slices.Compact(slices.Sorted(slices.Values(have)))
	if len(have) == 0 {
		return &ChoiceError{fmt.Sprintf("there is no %s %s: there is none at all", kind, name)}
	}
	return &ChoiceError{fmt.Sprintf("there is no %s %s; there are: %s", kind, name, strings.Join(have, ", "))}
}

// Containers reports whether, as far as the configuration tells, anything of the
// session runs in Docker: not when only native services were chosen.
func (c Config) Containers() bool {
	chosen := c.Choice.Only
	return c.Mode != ModeHost && (len(chosen) == 0 || slices.ContainsFunc(chosen, func(name string) bool { return !c.Native(name) }))
}
