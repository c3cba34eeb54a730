package look

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"ecluse/steps/docker"
)

// blindFor is how long a place that cannot be asked is told of after the last session was
// there. It may be gone for good, and then nobody can do anything about it.
const blindFor = 30 * 24 * time.Hour

// Spot is a place where sessions had containers.
type Spot struct {
	docker.Place
	// Left is when the last session there ended; zero while there is one that names it.
	Left time.Time
}

// PlaceError is a place that could not be asked what it has.
type PlaceError struct {
	Spot
	Err error
}

// Error names the place.
func (e *PlaceError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PlaceError) Unwrap() error { return e.Err }

// Matters reports whether it is still to be told: a session names the place, or was there
// not long ago.
func (e *PlaceError) Matters(now time.Time) bool { return e.Left.IsZero() || now.Before(e.Until()) }

// Until is when it is told of no more, unless a session names it.
func (e *PlaceError) Until() time.Time { return e.Left.Add(blindFor) }

// asked is a place of containers, and what it answered.
type asked struct {
	Spot // zero for the one of this environment
	// engine is nil, too, for one that was asked at another place already.
	engine *docker.Engine
	id     string
	marked docker.Resources
	err    error
}

// Docker finds containers, networks, volumes and images, at every place where sessions
// had any. The error joins those of the places that could not be asked; they wrap
// [docker.ErrMissing] or [docker.ErrUnreachable], and are a *[PlaceError] unless it is the
// place of this environment.
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
	for _, spot := range s.Places {
		known := slices.ContainsFunc(list, func(a *asked) bool { return a.Place == spot.Place })
		if !known && (err != nil || spot.Place != here) {
			list = append(list, &asked{Spot: spot})
		}
	}
	var asking sync.WaitGroup
	for _, at := range list {
		asking.Go(func() {
			if at.err = at.answer(ctx, len(list) > 1); at.err != nil && at.Place != (docker.Place{}) {
				at.err = &PlaceError{Spot: at.Spot, Err: at.err}
			}
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

// answer asks one place; who it is, too, where several are asked.
func (a *asked) answer(ctx context.Context, several bool) (err error) {
	if a.engine, err = docker.OpenAt(ctx, a.Place); err != nil {
		return err
	}
	if several {
		if a.id, err = a.engine.Identity(ctx); err != nil {
			return err
		}
	}
	a.marked, err = a.engine.Marked(ctx)
	return err
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
			if at.Place != (docker.Place{}) {
				r.Where = at.Place.String()
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
