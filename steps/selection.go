package steps

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// selection is the part of the group's services that runs in Docker in this session.
func selection(c settings.Config, g composeGroup, model *docker.Model) (docker.Selection, error) {
	all, err := dockerPart(c, g, model)
	if err != nil || len(c.Choice.Names()) == 0 {
		return all, err
	}
	return chosenOf(c, all, model), nil
}

// dockerPart is the part of the group's services that runs in Docker when all do. In
// hybrid mode it is those that the configuration names, else all but the one that is
// labelled as the application.
func dockerPart(c settings.Config, g composeGroup, model *docker.Model) (docker.Selection, error) {
	var named []string
	for _, s := range g.Services {
		named = append(named, s.Name)
		if !slices.Contains(model.Services(), s.Name) && c.Mode != settings.ModeHybrid {
			return docker.Selection{}, fmt.Errorf("service %s (run = \"docker\" in .ecluse.toml) is not in %s, which has: %s",
				s.Name, g, strings.Join(model.Services(), ", "))
		}
	}
	switch {
	case c.Mode != settings.ModeHybrid:
		return docker.Selection{}, nil
	case len(named) > 0:
		return docker.Selection{Only: named}, nil
	default:
		return docker.Selection{Without: model.Labelled(c.AppLabel, c.AppLabelValue)}, nil
	}
}

// partOf says which services of a group run in Docker, by their names where these are
// known before the compose files are.
func partOf(c settings.Config, g composeGroup) string {
	if c.Mode != settings.ModeHybrid {
		return "all services"
	}
	var names []string
	for _, s := range g.Services {
		if c.Choice.Runs(s.Name) {
			names = append(names, s.Name)
		}
	}
	unknown := slices.ContainsFunc(c.Choice.Only, func(name string) bool {
		return !slices.ContainsFunc(c.Services, func(s settings.Service) bool { return s.Name == name })
	})
	if len(names) == 0 || unknown {
		return "data services"
	}
	return strings.Join(names, ", ")
}

// leftOut warns of services of a group that nobody would miss before they are needed:
// once the configuration names one that runs in Docker, only those that it names do, and
// what they depend on. What runs natively, or was chosen away, is not missed.
func leftOut(c settings.Config, g composeGroup, whole *docker.Model) (warning string, err error) {
	all, err := dockerPart(c, g, whole)
	if err != nil || len(all.Only) == 0 {
		return "", err
	}
	started, err := whole.Select(all)
	if err != nil {
		return "", err
	}
	known := slices.Concat(started.Services(), whole.Labelled(c.AppLabel, c.AppLabelValue), c.Choice.Names())
	missed := slices.DeleteFunc(whole.Services(), func(name string) bool { return slices.Contains(known, name) || c.Native(name) })
	if len(missed) == 0 {
		return "", nil
	}
	are, them := "are", "them"
	if len(missed) == 1 {
		are, them = "is", "it"
	}
	return fmt.Sprintf("%s %s in %s and not started, because [[services]] names others with run = \"docker\": name %s, too, or give what runs natively the label %s=%s",
		strings.Join(missed, ", "), are, strings.Join(whole.Names(), " with "), them, c.AppLabel, c.AppLabelValue), nil
}

// LeftOut lists the warnings of services in the compose files in dir that a session
// would leave out, as far as these can be read.
func LeftOut(ctx context.Context, cfg settings.Config, dir string) []string {
	s := session.Session{Worktree: dir, Root: filepath.Clean(dir), Mode: cfg.Mode}
	t := &Target{Handle: Looking(s), Config: cfg}
	var list []string
	for _, g := range groups(cfg) {
		whole, err := t.load(ctx, g, true)
		if err != nil {
			continue
		}
		if warning, err := leftOut(cfg, g, whole); err == nil && warning != "" {
			list = append(list, warning)
		}
	}
	return list
}

// chosenOf is what was chosen of the part that runs in Docker. A service that the
// configuration has as a native one is that, whatever the file has of the name; any
// other may be chosen, also of a profile that is not active.
func chosenOf(c settings.Config, all docker.Selection, model *docker.Model) docker.Selection {
	nothing := docker.Selection{Without: model.Services()}
	here := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return c.Native(name) || !model.Knows(name) || slices.Contains(all.Without, name)
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
	for _, g := range groups(cfg) {
		model, err := t.load(ctx, g, true)
		if err != nil {
			return err
		}
		all, err := dockerPart(cfg, g, model)
		if err != nil {
			return err
		}
		for _, name := range slices.Concat(model.Services(), cfg.Choice.Names()) {
			if model.Knows(name) && !slices.Contains(all.Without, name) {
				services = append(services, name)
			}
		}
	}
	return cfg.Settled(services, leases)
}
