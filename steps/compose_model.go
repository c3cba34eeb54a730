package steps

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// models reads the compose files of the worktree, each group's with the services that
// run in Docker in this mode. Shallow leaves their env files unread.
func (t *Target) models(ctx context.Context, shallow bool) ([]*docker.Model, error) {
	groups := groups(t.Config)
	names := namesOfLeases(t.Config)
	var models []*docker.Model
	for _, g := range groups {
		model, err := t.load(ctx, g, shallow)
		if err != nil {
			return nil, err
		}
		qualified := names.of(g, model.AllServices())
		if model, err = t.selected(g, model); err != nil {
			return nil, err
		}
		model.Qualify(qualified)
		models = append(models, model)
	}
	return models, nil
}

// model is the step's own of these.
func (c compose) model(ctx context.Context, shallow bool) (*docker.Model, error) {
	i := slices.IndexFunc(groups(c.Config), func(g composeGroup) bool { return g.Step == c.group.Step })
	if i < 0 {
		return nil, fmt.Errorf("step %s is not one of the configuration that the session was made from; take the session down and up again", c.group.Step)
	}
	models, err := c.models(ctx, shallow)
	if err != nil {
		return nil, err
	}
	return models[i], nil
}

// load reads the files of a group.
func (t *Target) load(ctx context.Context, g composeGroup, shallow bool) (*docker.Model, error) {
	vars, err := t.composeVars()
	if err != nil {
		return nil, err
	}
	s, cfg := t.Session(), t.Config
	model, err := docker.Load(ctx, docker.LoadOptions{
		Dir: s.Worktree, Project: g.project(cfg, s), Files: g.Files, Profiles: cfg.Compose.Profiles,
		Env: vars, Shallow: shallow, StandIns: t.standIns(), Publish: g.publish(),
	})
	if err != nil {
		return nil, err
	}
	return model, g.found(model)
}

// selected is the part of a group's model that runs in Docker.
func (t *Target) selected(g composeGroup, model *docker.Model) (*docker.Model, error) {
	cfg := t.Config
	selection, err := selection(cfg, g, model)
	if err != nil {
		return nil, err
	}
	whole := model
	if model, err = model.Select(selection); err != nil {
		return nil, err
	}
	if cfg.Mode == settings.ModeHybrid && len(selection.Only)+len(selection.Without) == 0 {
		for _, name := range model.Built() {
			model.Warn("service %s is built and runs in Docker; if it is what runs natively, give it the label %s=%s", name, cfg.AppLabel, cfg.AppLabelValue)
		}
	}
	g.doubts(model)
	warning, err := leftOut(cfg, g, whole)
	if warning != "" {
		model.Warn("%s", warning)
	}
	return model, err
}

// composeVars are what variables in a compose file may refer to. Before all ports are
// leased neither [env] nor the databases can be worked out.
func (t *Target) composeVars() (map[string]string, error) {
	if vars, err := Environment(t.Config, t.Session()); err == nil {
		return vars, nil
	}
	return Environment(t.Config.Early(), t.Session())
}

// standIns are the files of the main worktree that the session will inherit, by
// where they will be.
func (t *Target) standIns() map[string]string {
	s, files := t.Session(), map[string]string{}
	for _, entry := range t.Config.InheritEnv {
		files[filepath.Join(s.Worktree, entry.Value.File)] = filepath.Join(s.Root, entry.Value.File)
	}
	return files
}

// leaseNames are names that are given to leases, as parts of the names of variables:
// two services never share a port, nor a variable.
type leaseNames struct {
	taken map[string]bool
	// later are names of native services that start nothing. The group of the
	// root may have them: there the container is what the port is for.
	later []string
}

// namesOfLeases are the names that services of the configuration have. They keep them
// whatever the compose files are like.
func namesOfLeases(c settings.Config) *leaseNames {
	names := &leaseNames{taken: map[string]bool{}}
	for _, s := range slices.Concat(c.Natives(), c.Services) {
		if s.Native() && s.Command == "" {
			names.later = append(names.later, settings.EnvKey(s.Name))
		} else {
			names.taken[settings.EnvKey(s.Name)] = true
		}
	}
	return names
}

// of gives the next group its names: those by service that the services cannot have
// themselves. All that are in the files count, also those that do not run in Docker,
// or not in this session: a name is to be the same in every session.
func (n *leaseNames) of(g composeGroup, services []string) map[string]string {
	label, others := g.Label, map[string]string{}
	if label == "" {
		label = composeStep
	}
	own := maps.Clone(n.taken)
	for _, service := range services {
		switch {
		case slices.ContainsFunc(g.Services, func(s settings.Service) bool { return s.Name == service }):
			continue
		case n.taken[settings.EnvKey(service)]:
			name := label + "-" + service
			for i := 2; own[settings.EnvKey(name)] || slices.Contains(services, name); i++ {
				name = fmt.Sprintf("%s-%s-%d", label, service, i)
			}
			others[service], own[settings.EnvKey(name)] = name, true
		default:
			own[settings.EnvKey(service)] = true
		}
	}
	n.taken = own
	for _, name := range n.later {
		n.taken[name] = true
	}
	return others
}
