package steps

import (
	"context"
	"path/filepath"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// What the step ports will find, and the compose steps will start, is foreseen here by
// the compose files of some folder: the session's own are the branch's, and those are
// mostly the same.

// foreseen is a session's target with the compose files of a folder.
func foreseen(cfg settings.Config, s session.Session, dir string) *Target {
	s.Worktree = filepath.Clean(dir)
	if s.Root == "" {
		s.Root = s.Worktree
	}
	return &Target{Handle: Looking(s), Config: cfg}
}

// FurtherWants lists the ports that a session would lease beside those that it has, for
// what the compose files in dir publish.
func FurtherWants(ctx context.Context, cfg settings.Config, s session.Session, dir string) ([]session.Want, error) {
	if cfg.Mode == settings.ModeHost {
		return nil, nil
	}
	list, err := ports{foreseen(cfg, s, dir)}.published(ctx)
	if err != nil {
		return nil, err
	}
	at, err := here(ctx)
	if err != nil {
		return nil, err
	}
	taken, err := docker.At(at.Place).PublishedPorts(ctx)
	if err != nil {
		return nil, err
	}
	return unleased(ctx, cfg, list, s, taken, docker.NewProbe(at.Host)), nil
}

// Unchosen names the services that do not run because others were chosen, by the
// configuration and, as far as these can be read, the compose files in dir.
func Unchosen(ctx context.Context, cfg settings.Config, dir string) []string {
	if len(cfg.Choice.Names()) == 0 {
		return nil
	}
	whole := cfg
	whole.Choice.Only, whole.Choice.Skip = nil, nil
	var names []string
	for _, s := range whole.Spawned() {
		if !cfg.Choice.Runs(s.Name) {
			names = append(names, s.Name)
		}
	}
	t := foreseen(cfg, session.Session{Mode: cfg.Mode}, dir)
	for _, g := range groups(cfg) {
		model, err := t.load(ctx, g, true)
		if err != nil {
			continue
		}
		all, err := startedOf(whole, g, model)
		if err != nil {
			continue
		}
		some, err := startedOf(cfg, g, model)
		if err != nil {
			continue
		}
		names = append(names, slices.DeleteFunc(all, func(name string) bool { return slices.Contains(some, name) })...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// startedOf are the services of a group that run in Docker.
func startedOf(c settings.Config, g composeGroup, model *docker.Model) ([]string, error) {
	chosen, err := selection(c, g, model)
	if err != nil {
		return nil, err
	}
	part, err := model.Select(chosen)
	if err != nil {
		return nil, err
	}
	return part.Services(), nil
}
