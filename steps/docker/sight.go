package docker

import (
	"context"
	"slices"
)

// sight is what a watch has seen last: what a listing told, and how the containers were
// after that.
type sight struct {
	rows []Container
	list []container
}

// see looks at the containers, and closely only where that may tell something new:
// that is a second process. It tells whether it did.
func (e *Engine) see(ctx context.Context, w *watch, s *sight) (closely bool, err error) {
	if w.upEnded && w.ripe > 0 { // nothing is made any more
		if list, err := e.inspected(ctx, ids(s.rows)); err == nil {
			s.list = list
			return true, nil
		}
	}
	label := composeProject + "=" + w.Name
	rows, err := e.look(ctx, label)
	switch {
	case err != nil:
		return false, err
	case s.same(w, rows):
		return len(rows) == 0, nil
	}
	s.rows = rows
	if s.list, err = e.inspected(ctx, ids(rows)); err != nil && vanished(err) {
		s.list, err = e.containers(ctx, label)
	}
	return true, err
}

// same reports whether a listing shows that a closer look would tell nothing new, as
// far as that could be what is waited for.
func (s *sight) same(w *watch, rows []Container) bool {
	starting := len(rows) == 0
	for _, c := range rows {
		switch {
		case c.State == "running" && c.Health == "starting":
			starting = true
		case c.State == "running" && c.Health != "unhealthy", c.State == "exited":
		default:
			return false // its error, or how often it failed, is told nowhere else
		}
	}
	equal := func(a, b Container) bool {
		return a.ID == b.ID && a.State == b.State && a.Health == b.Health && a.ExitCode == b.ExitCode
	}
	return slices.EqualFunc(rows, s.rows, equal) && (starting || !w.upEnded)
}

// ids are those of containers.
func ids(list []Container) []string {
	var all []string
	for _, c := range list {
		all = append(all, c.ID)
	}
	return all
}
