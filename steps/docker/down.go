package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// DownOptions are a project and what is to be left of it.
type DownOptions struct {
	Project
	// Session is the random id that everything is labelled with.
	Session string
	// KeepVolumes leaves the volumes, named and anonymous.
	KeepVolumes bool
	// Keep names volumes that are left in any case, named ones.
	Keep []string
	// Doubt: an Up was cut off. The engine may still be at what it asked for,
	// so that nothing counts as gone before it has been gone for a while.
	Doubt bool
}

const (
	// settle is for how long nothing may appear any more after an Up that was
	// cut off. The engine finishes the request that it has in hand.
	settle = 2 * time.Second
	// stubborn is how often in a row removing may change nothing before it
	// is given up.
	stubborn = 8
)

// Down removes what belongs to a session or to its project: containers, networks,
// volumes, and the images that were built for it. It goes by labels, so the file
// may be gone. It returns nil only after it looked and found nothing, and names
// the volumes that it kept. The error wraps [ErrUnreachable], or is a *LeftError.
func (e *Engine) Down(ctx context.Context, o DownOptions) (kept []string, err error) {
	r, kept, err := e.all(ctx, o)
	if err != nil {
		return nil, err
	}
	anonymous, err := e.anonymousVolumes(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(r.Containers) > 0 {
		e.stop(ctx, o)
	}
	if o.KeepVolumes {
		kept, anonymous = append(kept, anonymous...), nil
	}
	return kept, e.sweep(ctx, o, anonymous)
}

// all lists what has to go, and which volumes stay. It is what belongs to the
// project, and when that is nothing, whatever else carries the session's label.
// Anonymous volumes carry no labels; they are known only through their containers.
func (e *Engine) all(ctx context.Context, o DownOptions) (r Resources, kept []string, err error) {
	r, err = e.Of(ctx, o.Name)
	if err != nil {
		return Resources{}, nil, err
	}
	if kept = o.spare(&r); !r.Empty() {
		return r, kept, nil
	}
	mine, err := e.Made(ctx, o.Session)
	for from, to := range map[*[]Resource]*[]Resource{
		&mine.Containers: &r.Containers, &mine.Networks: &r.Networks, &mine.Volumes: &r.Volumes, &mine.Images: &r.Images,
	} {
		for _, one := range *from {
			// A session may have several projects; each is taken down by itself.
			if one.Project == "" || one.Project == o.Name {
				*to = append(*to, one)
			}
		}
	}
	o.spare(&r)
	return r, kept, err
}

// spare takes out the volumes that stay, and names them.
func (o DownOptions) spare(r *Resources) (kept []string) {
	r.Volumes = slices.DeleteFunc(r.Volumes, func(v Resource) bool {
		stays := o.KeepVolumes || slices.Contains(o.Keep, v.Name)
		if stays {
			kept = append(kept, v.Name)
		}
		return stays
	})
	return kept
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
			names = append(names, c.anonymous()...)
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
func (e *Engine) stop(ctx context.Context, o DownOptions) {
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
func (e *Engine) sweep(ctx context.Context, o DownOptions, anonymous []string) error {
	var b broom
	for {
		left, err := e.left(ctx, o, anonymous)
		if err != nil {
			return err
		}
		b.look(left, time.Now())
		switch {
		case left.Empty() && (!o.Doubt || b.calm >= settle):
			return nil
		case b.unchanged >= stubborn:
			return &LeftError{Left: left, Err: b.err}
		case !left.Empty():
			if b.err = e.remove(ctx, left, o.KeepVolumes); errors.Is(b.err, ErrUnreachable) {
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

// left is what is still to be removed.
func (e *Engine) left(ctx context.Context, o DownOptions, anonymous []string) (Resources, error) {
	r, _, err := e.all(ctx, o)
	if err != nil {
		return Resources{}, err
	}
	there, err := e.there(ctx, anonymous)
	r.Volumes = append(r.Volumes, there...)
	return r, err
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
