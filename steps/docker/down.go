package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// DownOptions say what is to go.
type DownOptions struct {
	Project
	// Session is the random id that everything is labelled with, Step the step
	// of the session that made it; empty is any.
	Session, Step string
	// Doubt: an Up was cut off. The engine may still be at what it asked for,
	// so that nothing counts as gone before it has been gone for a while.
	Doubt bool
	// Stays is told of each image that something which is not the session's needs,
	// and that stays therefore. May be nil.
	Stays func(image string)
}

const (
	// settle is for how long nothing may appear any more after an Up that was
	// cut off. The engine finishes the request that it has in hand.
	settle = 2 * time.Second
	// again is the time between two looks.
	again = 250 * time.Millisecond
	// stubborn is how often in a row removing may change nothing before it
	// is given up.
	stubborn = 8
)

// Down removes what belongs to a project, or to a step of a session: containers
// with their anonymous volumes, networks, and the images that were built for it.
// Named volumes stay, see [Engine.RemoveVolumes]. It goes by labels, so the file may
// be gone. It returns nil only after it looked and found nothing, but for images that
// something else needs. The error wraps [ErrUnreachable], or is a *LeftError.
func (e *Engine) Down(ctx context.Context, o DownOptions) error {
	r, committed, err := e.all(ctx, o)
	if err != nil {
		return err
	}
	anonymous, err := e.anonymousVolumes(ctx, r.Containers)
	if err != nil {
		return err
	}
	if len(r.Containers) > 0 {
		e.stop(ctx, o, r.Containers, committed)
	}
	seen := false
	err = e.sweep(ctx, o.Doubt, func() (Resources, error) {
		if !seen { // that was the first look
			seen = true
			return r, nil
		}
		left, _, err := e.all(ctx, o)
		if err != nil {
			return left, err
		}
		left.Volumes, err = e.there(ctx, anonymous)
		return left, err
	})
	images, only := needed(err)
	if !only || context.Cause(ctx) != nil {
		return err
	}
	for _, image := range images {
		if o.Stays != nil {
			o.Stays(image.Name)
		}
	}
	return nil
}

// all lists what has to go: what belongs to the project, and whatever else carries the
// labels of the session and the step. Anonymous volumes carry no labels; they are known
// only through their containers. It tells whether images were committed, see own.go.
func (e *Engine) all(ctx context.Context, o DownOptions) (r Resources, committed bool, err error) {
	defer func() {
		if err != nil {
			r, err = Resources{}, fmt.Errorf("list what docker has of project %s: %w", o.Name, err)
		}
	}()
	// Filters are joined by "and", so both are told apart here, with one question.
	if r.Containers, err = e.composedContainers(ctx, nil); err != nil {
		return r, false, err
	}
	r.Containers = slices.DeleteFunc(r.Containers, o.spares)
	err = sideBySide(
		func() (err error) { r.Containers, committed, err = e.composedOnes(ctx, r.Containers); return },
		func() (err error) { r.Networks, err = e.listed(ctx, listings[1]); return },
		func() (err error) {
			r.Images, err = e.images(ctx, filtered([]string{composeProject + "=" + o.Name}))
			return
		},
	)
	r.Networks = slices.DeleteFunc(r.Networks, o.spares)
	if err != nil || !r.Empty() {
		return r, committed, err
	}
	// Of images a listing does not show the labels. What Compose builds has both.
	labels := []string{LabelSession + "=" + o.Session}
	if o.Step != "" {
		labels = append(labels, LabelStep+"="+o.Step)
	}
	r.Images, err = e.images(ctx, filtered(labels))
	r.Images = slices.DeleteFunc(r.Images, func(one Resource) bool { return one.Project != "" && one.Project != o.Name })
	return r, committed, err
}

// spares reports whether something is neither the project's nor made by the step. A
// session may have several projects; each is taken down by itself.
func (o DownOptions) spares(one Resource) bool {
	if one.Project != "" {
		return one.Project != o.Name
	}
	return one.Session == "" || one.Session != o.Session || o.Step != "" && one.step != o.Step
}

// anonymousVolumes are the volumes without a name of the given containers.
func (e *Engine) anonymousVolumes(ctx context.Context, containers []Resource) ([]string, error) {
	var ids, names []string
	for _, one := range containers {
		if one.mounted {
			ids = append(ids, one.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := e.inspected(ctx, ids)
	if err != nil && !vanished(err) {
		return nil, err
	}
	for _, c := range list {
		names = append(names, c.anonymous()...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// stop ends the containers in good order, as Compose does: by dependency, with
// the hooks of the file if it is there, and with the time that each asks for. It
// removes none: an anonymous volume is lost sight of unless it goes together with
// its container. That stopping fails decides nothing; the sweep that follows does.
func (e *Engine) stop(ctx context.Context, o DownOptions, list []Resource, committed bool) {
	// Compose takes what runs from a committed image for one of the project's.
	if committed {
		args := []string{"stop"}
		for _, one := range list {
			args = append(args, one.ID)
		}
		_, _ = e.docker(ctx, args...)
		return
	}
	projects := []Project{{Name: o.Name}}
	if isFile(o.File) {
		if _, err := os.Stat(o.Dir); err != nil {
			o.Dir = anywhere
		}
		projects = []Project{o.Project, {Name: o.Name}}
	}
	// That Compose is not what it most often is shows, without a question for just that.
	tried := foundOrPlugin()
	if e.stopBy(ctx, tried, projects) {
		return
	}
	if command, err := e.compose(ctx); err == nil && !slices.Equal(command, tried) {
		e.stopBy(ctx, command, projects)
	}
}

// stopBy stops the first of the projects with which a command that is Docker Compose can.
func (e *Engine) stopBy(ctx context.Context, command []string, projects []Project) bool {
	return slices.ContainsFunc(projects, func(p Project) bool { return e.by(command, p, "stop").Run(ctx) == nil })
}

// sweep removes whatever is left and looks again until nothing is, and nothing
// more appears.
func (e *Engine) sweep(ctx context.Context, doubt bool, look func() (Resources, error)) error {
	var b broom
	for {
		left, err := look()
		if err != nil {
			return err
		}
		b.look(left)
		switch {
		case left.Empty() && (!doubt || b.calm >= settle):
			return nil
		case b.unchanged >= stubborn:
			return &LeftError{Left: left, Err: e.explained(ctx, left, b.err)}
		case !left.Empty():
			if b.err = e.remove(ctx, left); errors.Is(b.err, ErrUnreachable) {
				return b.err
			}
		}
		rest, begun := b.pause(), time.Now()
		select {
		case <-ctx.Done():
			return &LeftError{Left: left, Err: context.Cause(ctx)}
		case <-time.After(rest):
			b.proven = proof(rest, time.Since(begun))
		}
	}
}

// broom remembers how a sweep is getting on.
type broom struct {
	last      string
	unchanged int           // looks in a row at the same things
	empty     bool          // there is nothing
	calm      time.Duration // for how long that was so
	proven    time.Duration // what the last pause adds to that
	err       error         // of the last removal
}

// look takes in what is left.
func (b *broom) look(left Resources) {
	switch {
	case !left.Empty():
		b.empty, b.calm = false, 0
		b.unchanged++
	case b.empty:
		b.calm += b.proven
	default:
		b.empty = true
	}
	if text := left.String(); left.Empty() || text != b.last {
		b.last, b.unchanged = text, 0
	}
}

// pause is the time to the next look: none after a first removal, which is most
// often all there is to do. While nothing is there it grows: the last look decides.
func (b *broom) pause() time.Duration {
	switch {
	case b.empty:
		return min(max(b.calm, settle/4), max(settle-b.calm, 0))
	case b.unchanged == 0:
		return 0
	default:
		return again
	}
}

// there are those of the volumes that exist.
func (e *Engine) there(ctx context.Context, names []string) ([]Resource, error) {
	if len(names) == 0 {
		return nil, nil
	}
	all, err := e.lines(ctx, "volume", "ls", "--quiet")
	if err != nil {
		return nil, fmt.Errorf("list the volumes: %w", err)
	}
	var list []Resource
	for _, name := range names {
		if slices.Contains(all, name) {
			list = append(list, Resource{ID: name, Name: name})
		}
	}
	return list, nil
}
