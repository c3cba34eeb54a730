package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Resource is one thing that the engine keeps.
type Resource struct {
	// ID by which it is removed; for a volume its name.
	ID string
	// Name is for people.
	Name string
	// Session and Project are what it is labelled with.
	Session string
	Project string
}

// Resources are things that the engine keeps.
type Resources struct {
	Containers []Resource
	Networks   []Resource
	Volumes    []Resource
	Images     []Resource
}

// Empty reports whether there are none.
func (r Resources) Empty() bool {
	return len(r.Containers)+len(r.Networks)+len(r.Volumes)+len(r.Images) == 0
}

// String names them: "container a, container b, volume c".
func (r Resources) String() string {
	var names []string
	for _, kind := range []struct {
		name string
		list []Resource
	}{{"container", r.Containers}, {"network", r.Networks}, {"volume", r.Volumes}, {"image", r.Images}} {
		for _, one := range kind.list {
			names = append(names, kind.name+" "+one.Name)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// Made lists what was made for a session, by its random id. With an empty id it
// lists what was made for any.
func (e *Engine) Made(ctx context.Context, session string) (Resources, error) {
	label := LabelSession
	if session != "" {
		label += "=" + session
	}
	return e.labelled(ctx, label)
}

// Of lists what belongs to a compose project, whoever made it.
func (e *Engine) Of(ctx context.Context, project string) (Resources, error) {
	return e.labelled(ctx, composeProject+"="+project)
}

// listings are the questions, one a kind. Their answers have the same columns.
var listings = [][]string{
	{"ps", "--all", "--no-trunc", "--format", columns(".ID", ".Names")},
	{"network", "ls", "--no-trunc", "--format", columns(".ID", ".Name")},
	{"volume", "ls", "--format", columns(".Name", ".Name")},
}

// columns is the format of a listing.
func columns(id, name string) string {
	return fmt.Sprintf("{{%s}}\t{{%s}}\t{{.Label %q}}\t{{.Label %q}}", id, name, LabelSession, composeProject)
}

// labelled lists what carries all of the labels and was made for them, see own.go.
func (e *Engine) labelled(ctx context.Context, labels ...string) (Resources, error) {
	var r Resources
	var committed map[string]string
	filters := filtered(labels)
	var errs [5]error
	var wg sync.WaitGroup
	for i, into := range []*[]Resource{&r.Containers, &r.Networks, &r.Volumes} {
		args := append(slices.Clone(listings[i]), filters...)
		if i == 0 {
			args = append(args, filtered([]string{composeHash})...)
		}
		wg.Go(func() { *into, errs[i] = e.listed(ctx, args) })
	}
	wg.Go(func() { r.Images, errs[3] = e.images(ctx, filters) })
	wg.Go(func() { committed, errs[4] = e.committed(ctx) })
	wg.Wait()
	err := errors.Join(errs[:]...)
	if err == nil {
		r.Containers, err = e.composedOnes(ctx, r.Containers, committed)
	}
	if err != nil {
		return Resources{}, fmt.Errorf("list what docker has with label %s: %w", strings.Join(labels, " and "), err)
	}
	return r, nil
}

// filtered are the arguments by which a listing is one of what carries labels.
func filtered(labels []string) []string {
	var args []string
	for _, label := range labels {
		args = append(args, "--filter", "label="+label)
	}
	return args
}

// listed asks one of the questions.
func (e *Engine) listed(ctx context.Context, args []string) ([]Resource, error) {
	lines, err := e.lines(ctx, args...)
	var list []Resource
	for _, line := range lines {
		parts := append(strings.Split(line, "\t"), "", "", "")
		list = append(list, Resource{ID: parts[0], Name: parts[1], Session: parts[2], Project: parts[3]})
	}
	return list, err
}

// remove removes things. The anonymous volumes of a container go with it. An image
// that something else needs stays.
func (e *Engine) remove(ctx context.Context, r Resources) error {
	var errs []error
	each := func(list []Resource, args ...string) {
		if len(list) == 0 {
			return
		}
		for _, one := range list {
			args = append(args, one.ID)
		}
		if _, err := e.docker(ctx, args...); err != nil {
			errs = append(errs, err)
		}
	}
	each(r.Containers, "rm", "--force", "--volumes")
	each(r.Networks, "network", "rm")
	each(r.Volumes, "volume", "rm", "--force")
	each(r.Images, "image", "rm")
	return errors.Join(errs...)
}
