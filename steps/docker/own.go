package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Labels alone do not tell what was made for a session. Its images hand theirs on: to
// what somebody builds from them, and to the containers that somebody runs of them. So
// a container counts only with a label that Compose gives to containers and that it has
// not from its image, and an image only by a name that a session gave it.

// composeHash is on every container that Compose makes, and on no image that it builds.
// An image that was committed from such a container has it, too.
const composeHash = "com.docker.compose.config-hash"

// OwnImage reports whether an image that carries the label of a compose project has a
// name that it was given as the project's own: "project-service:latest".
func OwnImage(project, name string) bool {
	name, latest := strings.CutSuffix(name, ":latest")
	return latest && project != "" && strings.HasPrefix(name, plainName(project)+"-")
}

// committed are the images that were committed from containers that Compose made, and
// the hashes of those containers. There are hardly ever any.
func (e *Engine) committed(ctx context.Context) (map[string]string, error) {
	ids, err := e.lines(ctx, append([]string{"image", "ls", "--no-trunc", "--quiet"}, filtered([]string{composeHash})...)...)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return e.pairs(ctx, "{{.Id}}\t"+labelOf(composeHash), append([]string{"image", "inspect"}, ids...))
}

// labelOf is a label in a format. One that is not there is empty; docker would write
// "<no value>" of some things, and nothing of others.
func labelOf(name string) string {
	return fmt.Sprintf("{{with index .Config.Labels %q}}{{.}}{{end}}", name)
}

// pairs asks for two columns. What has vanished meanwhile is left out.
func (e *Engine) pairs(ctx context.Context, format string, args []string) (map[string]string, error) {
	lines, err := e.lines(ctx, append(args[:2:2], append([]string{"--format", format}, args[2:]...)...)...)
	if err != nil && !strings.Contains(strings.ToLower(said(err)), "no such") {
		return nil, err
	}
	found := map[string]string{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "\t")
		found[key] = value
	}
	return found, nil
}

// composedOnes leaves out the containers that have their hash from an image, and tells
// whether there are such images at all.
func (e *Engine) composedOnes(ctx context.Context, list []Resource) (left []Resource, some bool, err error) {
	if len(list) == 0 {
		return nil, false, nil
	}
	committed, err := e.committed(ctx)
	if err != nil || len(committed) == 0 {
		return list, false, err
	}
	args := []string{"container", "inspect"}
	for _, one := range list {
		args = append(args, one.ID)
	}
	from, err := e.pairs(ctx, "{{.Id}}\t{{.Image}} "+labelOf(composeHash), args)
	return slices.DeleteFunc(list, func(one Resource) bool {
		image, hash, _ := strings.Cut(from[one.ID], " ")
		return hash != "" && committed[image] == hash
	}), true, err
}

// images lists the images that pass the filters by each name that was given to them for
// a session, and those that lost that name to a later build.
func (e *Engine) images(ctx context.Context, filters []string) ([]Resource, error) {
	lines, err := e.lines(ctx, append([]string{"image", "ls", "--no-trunc", "--format", "{{.ID}}\t{{.Repository}}:{{.Tag}}"}, filters...)...)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	args := []string{"image", "inspect"}
	for _, line := range lines {
		id, _, _ := strings.Cut(line, "\t")
		args = append(args, id)
	}
	format := "{{.Id}}\t" + labelOf(LabelSession) + "\t" + labelOf(composeProject) + "\t" + labelOf(composeHash)
	labels, err := e.pairs(ctx, format, args)
	if err != nil {
		return nil, err
	}
	var list []Resource
	for _, line := range lines {
		id, name, _ := strings.Cut(line, "\t")
		parts := append(strings.Split(labels[id], "\t"), "", "", "")
		one := Resource{ID: name, Name: name, Session: parts[0], Project: parts[1]}
		if name == "<none>:<none>" && parts[2] == "" {
			one.ID, one.Name = id, id
		} else if !OwnImage(one.Project, name) {
			continue
		}
		list = append(list, one)
	}
	return list, nil
}

// needed are the images that could not be removed because something that is not the
// session's needs them; false if anything else is left.
func needed(err error) ([]Resource, bool) {
	var left *LeftError
	if !errors.As(err, &left) || !strings.Contains(said(left.Err), "conflict: unable to") {
		return nil, false
	}
	return left.Left.Images, len(left.Left.Containers)+len(left.Left.Networks)+len(left.Left.Volumes) == 0
}
