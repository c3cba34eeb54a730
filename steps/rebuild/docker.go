package rebuild

import (
	"context"
	"errors"
	"path/filepath"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
)

// docker finds containers by their labels.
func (g *gatherer) docker(ctx context.Context) {
	engine, err := docker.Open(ctx)
	if errors.Is(err, docker.ErrMissing) {
		return // without Docker there is nothing in it
	}
	var all docker.Resources
	if err == nil {
		all, err = engine.Marked(ctx)
	}
	if err != nil {
		g.Blind = append(g.Blind, err)
		return
	}
	for _, one := range all.Containers {
		if err := g.container(ctx, one); err != nil {
			g.Blind = append(g.Blind, err)
		}
	}
}

// container takes what the labels of one container say.
func (g *gatherer) container(ctx context.Context, one docker.Resource) error {
	labels, err := docker.Labels(ctx, one.ID)
	if err != nil || labels == nil {
		return err
	}
	key := session.Key{Repo: labels[docker.LabelRepo], Slug: labels[docker.LabelSlug]}
	root := filepath.Dir(key.Repo)
	if repo, known := g.repos[key.Repo]; known {
		root = repo.Root
	}
	e := g.of(key)
	if e == nil || steps.Gone(key.Repo) || !g.identify(e, one.Session, "container "+one.Name) {
		return nil
	}
	g.open(ctx, root, key.Repo)
	if repo, known := g.repos[key.Repo]; known {
		root = repo.Root
	}
	e.tell(root, func(name string) string {
		return map[string]string{"ECLUSE_BRANCH": labels[docker.LabelBranch], "ECLUSE_SLOT": labels[docker.LabelSlot]}[name]
	})
	ports := []docker.Binding{}
	list, err := docker.Look(ctx, docker.Place{}, one.Session)
	for _, c := range list {
		if c.ID == one.ID {
			ports = c.Ports
		}
	}
	e.containers = append(e.containers, housedIn{labels, ports})
	e.Found = append(e.Found, "container "+one.Name)
	return err
}
