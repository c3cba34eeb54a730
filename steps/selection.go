package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ecluse/steps/docker"
)

// selection is the part of the group's services that runs in Docker in this session.
func (c Config) selection(g composeGroup, model *docker.Model) (docker.Selection, error) {
	all, err := c.dockerPart(g, model)
	if err != nil || len(c.Choice.names()) == 0 {
		return all, err
	}
	return c.chosenOf(all, model), nil
}

// dockerPart is the part of the group's services that runs in Docker when all do. In
// hybrid mode it is those that the configuration names, else all but the one that is
// labelled as the application.
func (c Config) dockerPart(g composeGroup, model *docker.Model) (docker.Selection, error) {
	var named []string
	for _, s := range g.Services {
		named = append(named, s.Name)
		if !slices.Contains(model.Services(), s.Name) && c.Mode != ModeHybrid {
			return docker.Selection{}, fmt.Errorf("service %s (run = \"docker\" in .ecluse.toml) is not in %s, which has: %s",
				s.Name, g, strings.Join(model.Services(), ", "))
		}
	}
	switch {
	case c.Mode != ModeHybrid:
		return docker.Selection{}, nil
	case len(named) > 0:
		return docker.Selection{Only: named}, nil
	default:
		return docker.Selection{Without: model.Labelled(c.AppLabel, c.AppLabelValue)}, nil
	}
}

// chosenOf is what was chosen of the part that runs in Docker. A service that the
// configuration has as a native one is that, whatever the file has of the name; any
// other may be chosen, also of a profile that is not active.
func (c Config) chosenOf(all docker.Selection, model *docker.Model) docker.Selection {
	nothing := docker.Selection{Without: model.Services()}
	here := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return c.native(name) || !model.Knows(name) || slices.Contains(all.Without, name)
		})
	}
	skip := here(c.Choice.Skip)
	chosen := docker.Selection{Only: all.Only, Without: slices.Concat(all.Without, skip)}
	switch {
	case len(c.Choice.Only) > 0:
		chosen.Only = here(c.Choice.Only)
		if len(chosen.Only) == 0 {
			return nothing
		}
	case len(all.Only) > 0:
		chosen.Only = slices.DeleteFunc(slices.Clone(all.Only), func(name string) bool { return slices.Contains(skip, name) })
		if len(chosen.Only) == 0 {
			return nothing
		}
	}
	return chosen
}

// agree refuses what was chosen and is not there, neither in the configuration nor in
// the compose files. Published is what these publish.
func (t *Target) agree(ctx context.Context, published []docker.Published) error {
	cfg := t.Config
	if cfg.Choice.String() == "" {
		return nil
	}
	var services, leases []string
	for _, p := range published {
		leases = append(leases, p.Name)
	}
	for _, g := range cfg.groups() {
		model, err := t.load(ctx, g, true)
		if err != nil {
			return err
		}
		all, err := cfg.dockerPart(g, model)
		if err != nil {
			return err
		}
		for _, name := range slices.Concat(model.Services(), cfg.Choice.names()) {
			if model.Knows(name) && !slices.Contains(all.Without, name) {
				services = append(services, name)
			}
		}
	}
	return cfg.settled(services, leases)
}
