package look

import (
	"context"
	"errors"
	"slices"
	"sync"

	"ecluse/steps/docker"
)

// asked is a place of containers, and what it answered.
type asked struct {
	place docker.Place // zero for the one of this environment
	// engine is nil, too, for one that was asked at another place already.
	engine *docker.Engine
	id     string
	marked docker.Resources
	err    error
}

// Docker finds containers, networks, volumes and images, at every place where sessions
// had any. The error joins those of the places that could not be asked; they wrap
// [docker.ErrMissing] or [docker.ErrUnreachable].
func (s Search) Docker(ctx context.Context) ([]Residue, error) {
	var found []Residue
	var errs []error
	for _, at := range s.ask(ctx) {
		errs = append(errs, at.err)
		if at.engine != nil && at.err == nil {
			found = append(found, s.dockerAt(at)...)
		}
	}
	return found, errors.Join(errs...)
}

// ask asks every place, side by side. Two may lead to one engine.
func (s Search) ask(ctx context.Context) []*asked {
	here, err := docker.Here(ctx)
	list := []*asked{{}}
	for _, place := range s.Places {
		known := slices.ContainsFunc(list, func(a *asked) bool { return a.place == place })
		if !known && (err != nil || place != here) {
			list = append(list, &asked{place: place})
		}
	}
	var asking sync.WaitGroup
	for _, at := range list {
		asking.Go(func() {
			if at.engine, at.err = docker.OpenAt(ctx, at.place); at.err != nil {
				return
			}
			if len(list) > 1 {
				if at.id, at.err = at.engine.Identity(ctx); at.err != nil {
					return
				}
			}
			at.marked, at.err = at.engine.Marked(ctx)
		})
	}
	asking.Wait()
	seen := map[string]bool{}
	for _, at := range list {
		if at.err == nil && at.id != "" && seen[at.id] {
			at.engine = nil
		}
		seen[at.id] = true
	}
	return list
}

// dockerAt finds what there is at one place.
func (s Search) dockerAt(at *asked) []Residue {
	var found []Residue
	for _, part := range []struct {
		kind string
		list []docker.Resource
		into func(docker.Resource) docker.Resources
	}{
		{Container, at.marked.Containers, func(r docker.Resource) docker.Resources { return docker.Resources{Containers: []docker.Resource{r}} }},
		{Network, at.marked.Networks, func(r docker.Resource) docker.Resources { return docker.Resources{Networks: []docker.Resource{r}} }},
		{Volume, at.marked.Volumes, func(r docker.Resource) docker.Resources { return docker.Resources{Volumes: []docker.Resource{r}} }},
		{Image, at.marked.Images, func(r docker.Resource) docker.Resources { return docker.Resources{Images: []docker.Resource{r}} }},
	} {
		for _, one := range part.list {
			f, ok := s.former(one.Session)
			if !ok {
				continue
			}
			r := s.of(f, part.kind, one.Name)
			r.remove = func(ctx context.Context) error { return at.engine.Remove(ctx, part.into(one)) }
			if at.place != (docker.Place{}) {
				r.Where = at.place.String()
			}
			switch {
			case s.again(f.Key):
				r.Keep = againSays(f)
			case part.kind == Volume:
				s.kept(&r, f)
			}
			found = append(found, r)
		}
	}
	return found
}
