package rebuild

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/git"
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
	if steps.Gone(key.Repo) && key.Repo != "" {
		if private, runs := g.Known(key); private || len(runs) > 0 {
			g.Doubts = append(g.Doubts, Doubt{Key: key, Fix: "docker rm --force " + git.Quote(one.Name), Lost: true, What: fmt.Sprintf(
				"container %s is of session %s of %s, which is gone: nothing is made of it; put it back before the state is made anew, or remove the container", one.Name, key.Slug, key.Repo)})
		}
		return nil
	}
	if e == nil || !g.identify(e, one.Session, "container "+one.Name) {
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
	e.containers = append(e.containers, housedIn{one.Name, labels, ports})
	e.Found = append(e.Found, "container "+one.Name)
	return err
}

// idInDocker is the id that networks and volumes of a session carry, whose containers are
// gone. Volumes may be of an earlier session that has left them; where two have, nobody
// can tell.
func (r *rebuilder) idInDocker(ctx context.Context) string {
	engine, err := docker.Open(ctx)
	if err != nil {
		return "" // who asks for containers has told of it
	}
	all, err := engine.Named(ctx, r.Repo, r.Slug)
	if err != nil {
		return ""
	}
	for _, list := range [][]docker.Resource{all.Networks, all.Volumes} {
		ids := map[string]bool{}
		for _, one := range list {
			ids[one.Session] = true
		}
		for id := range ids {
			if len(ids) == 1 {
				return id
			}
		}
	}
	return ""
}
