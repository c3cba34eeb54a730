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
	r, err := e.all(ctx, o)
	if err != nil {
		return err
	}
	anonymous, err := e.anonymousVolumes(ctx, r)
	if err != nil {
		return err
	}
	if len(r.Containers) > 0 {
		e.stop(ctx, o, r.Containers)
	}
	err = e.sweep(ctx, o.Doubt, func() (Resources, error) {
		left, err := e.all(ctx, o)
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

// all lists what has to go. It is what belongs to the project, and when that is
// nothing, whatever else carries the labels of the session and the step.
// Anonymous volumes carry no labels; they are known only through their containers.
func (e *Engine) all(ctx context.Context, o DownOptions) (Resources, error) {
	r, err := e.Of(ctx, o.Name)
	if err != nil {
		return Resources{}, err
	}
	if r.Volumes = nil; !r.Empty() {
		return r, nil
	}
	labels := []string{LabelSession + "=" + o.Session}
	if o.Step != "" {
		labels = append(labels, LabelStep+"="+o.Step)
	}
	mine, err := e.labelled(ctx, labels...)
	// A session may have several projects; each is taken down by itself.
	others := func(one Resource) bool { return one.Project != "" && one.Project != o.Name }
	return Resources{
		Containers: slices.DeleteFunc(mine.Containers, others), Networks: slices.DeleteFunc(mine.Networks, others),
		Images: slices.DeleteFunc(mine.Images, others),
	}, err
}

// anonymousVolumes are the volumes without a name of the given containers.
func (e *Engine) anonymousVolumes(ctx context.Context, r Resources) ([]string, error) {
	var names []string
	for _, label := range distinct(r.Containers) {
		list, err := e.containers(ctx, label)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if slices.ContainsFunc(r.Containers, func(one Resource) bool { return one.ID == c.ID }) {
				names = append(names, c.anonymous()...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// distinct are labels by which the resources are found.
func distinct(list []Resource) []string {
	var labels []string
	for _, one := range list {
		switch {
		case one.Project != "":
			labels = append(labels, composeProject+"="+one.Project)
		case one.Session != "":
			labels = append(labels, LabelSession+"="+one.Session)
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// stop ends the containers in good order, as Compose does: by dependency, with
// the hooks of the file if it is there, and with the time that each asks for. It
// removes none: an anonymous volume is lost sight of unless it goes together with
// its container. That stopping fails decides nothing; the sweep that follows does.
func (e *Engine) stop(ctx context.Context, o DownOptions, list []Resource) {
	// Compose takes what runs from a committed image for one of the project's.
	if committed, err := e.committed(ctx); err != nil || len(committed) > 0 {
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
	for _, p := range projects {
		command, err := e.composed(ctx, p, "stop")
		if err != nil {
			return
		}
		if command.Run(ctx) == nil {
			return
		}
	}
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
		b.look(left, time.Now())
		switch {
		case left.Empty() && (!doubt || b.calm >= settle):
			return nil
		case b.unchanged >= stubborn:
			return &LeftError{Left: left, Err: b.err}
		case !left.Empty():
			if b.err = e.remove(ctx, left); errors.Is(b.err, ErrUnreachable) {
				return b.err
			}
		}
		select {
		case <-ctx.Done():
			return &LeftError{Left: left, Err: context.Cause(ctx)}
		case <-time.After(b.pause()):
		}
	}
}

// broom remembers how a sweep is getting on.
type broom struct {
	last      string
	unchanged int           // looks in a row at the same things
	empty     time.Time     // since when there is nothing
	calm      time.Duration // for how long that was so
	err       error         // of the last removal
}

// look takes in what is left.
func (b *broom) look(left Resources, now time.Time) {
	if !left.Empty() {
		b.empty, b.calm = time.Time{}, 0
		b.unchanged++
	} else {
		if b.empty.IsZero() {
			b.empty = now
		}
		b.calm = now.Sub(b.empty)
	}
	if text := left.String(); left.Empty() || text != b.last {
		b.last, b.unchanged = text, 0
	}
}

// pause is the time to the next look: none after a first removal, which is most
// often all there is to do.
func (b *broom) pause() time.Duration {
	if b.empty.IsZero() && b.unchanged == 0 {
		return 0
	}
	return 250 * time.Millisecond
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
