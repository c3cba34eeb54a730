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
	// step is the step of the session that made it.
	step string
	// mounted tells of a container that it may have volumes without a name.
	mounted bool
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
	{"ps", "--all", "--no-trunc", "--format", columns(".ID", ".Names") + "\t{{.Mounts}}"},
	{"network", "ls", "--no-trunc", "--format", columns(".ID", ".Name")},
	{"volume", "ls", "--format", columns(".Name", ".Name")},
}

// columns is the format of a listing.
func columns(id, name string) string {
	return fmt.Sprintf("{{%s}}\t{{%s}}\t{{.Label %q}}\t{{.Label %q}}\t{{.Label %q}}", id, name, LabelSession, composeProject, LabelStep)
}

// labelled lists what carries all of the labels and was made for them, see own.go.
func (e *Engine) labelled(ctx context.Context, labels ...string) (Resources, error) {
	var r Resources
	filters := filtered(labels)
	var err error
	if r.Containers, err = e.composedContainers(ctx, filters); err == nil {
		err = sideBySide(
			func() (err error) {
				r.Networks, err = e.listed(ctx, append(slices.Clone(listings[1]), filters...))
				return
			},
			func() (err error) {
				r.Volumes, err = e.listed(ctx, append(slices.Clone(listings[2]), filters...))
				return
			},
			func() (err error) { r.Images, err = e.images(ctx, filters); return },
			func() (err error) { r.Containers, _, err = e.composedOnes(ctx, r.Containers); return },
		)
	}
	if err != nil {
		return Resources{}, fmt.Errorf("list what docker has with label %s: %w", strings.Join(labels, " and "), err)
	}
	return r, nil
}

// composedContainers lists the containers that pass the filters and have the mark of Compose.
func (e *Engine) composedContainers(ctx context.Context, filters []string) ([]Resource, error) {
	return e.listed(ctx, slices.Concat(listings[0], filters, filtered([]string{composeHash})))
}

// sideBySide asks several questions at once. The error joins theirs.
func sideBySide(questions ...func() error) error {
	errs := make([]error, len(questions))
	var wg sync.WaitGroup
	for i, ask := range questions {
		wg.Go(func() { errs[i] = ask() })
	}
	wg.Wait()
	return errors.Join(errs...)
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
		parts := append(strings.Split(line, "\t"), "", "", "", "", "")
		list = append(list, Resource{
			ID: parts[0], Name: parts[1], Session: parts[2], Project: parts[3], step: parts[4],
			mounted: slices.ContainsFunc(strings.Split(parts[5], ","), nameless),
		})
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
