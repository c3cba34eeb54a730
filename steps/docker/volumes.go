package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Volumes say whose volumes are meant: those of compose projects, whoever made
// them, and those that are labelled with a session.
type Volumes struct {
	Projects []string
	// Session is the random id; empty is none.
	Session string
	// But names volumes that are not meant.
	But []string
}

// Volumes lists the named volumes that are meant.
func (e *Engine) Volumes(ctx context.Context, v Volumes) ([]string, error) {
	// One question for all of them: filters are joined by "and".
	list, err := e.listed(ctx, listings[2])
	if err != nil {
		return nil, fmt.Errorf("list the volumes of %s: %w", strings.Join(v.Projects, ", "), err)
	}
	var names []string
	for _, one := range list {
		ours := one.Project != "" && slices.Contains(v.Projects, one.Project) || one.Session != "" && one.Session == v.Session
		if ours && !slices.Contains(v.But, one.Name) {
			names = append(names, one.Name)
		}
	}
	return names, nil
}

// RemoveVolumes removes the named volumes that are meant. It returns nil only after
// it looked and found none. The error wraps [ErrUnreachable], or is a *LeftError.
func (e *Engine) RemoveVolumes(ctx context.Context, v Volumes) error {
	return e.sweep(ctx, false, func() (Resources, error) {
		names, err := e.Volumes(ctx, v)
		var left Resources
		for _, name := range names {
			left.Volumes = append(left.Volumes, Resource{ID: name, Name: name, Session: v.Session})
		}
		return left, err
	})
}
