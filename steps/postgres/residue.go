package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrInUse is wrapped by the error for a database that is left because somebody uses it.
var ErrInUse = errors.New("it is in use")

// TemplateOf says for whom a template was made, and when it was last used; ok is false
// if the database is no template of ours.
func TemplateOf(info Info) (repo string, used time.Time, ok bool) {
	label, ok := labelOf(info)
	return label.Repo, label.Used, ok
}

// Making is the name of the template that a database was to become, as which it was
// being made for t or for another state of the same base; ok is false if it is none.
func (t Template) Making(name string) (template string, ok bool) {
	rest, ok := strings.CutPrefix(name, t.base())
	match := makingPattern.FindStringSubmatch(rest)
	if !ok || match == nil {
		return "", false
	}
	return t.base() + match[1], true
}

// Free reports whether nobody is at work on the database of a name.
func (c *Conn) Free(ctx context.Context, name string) (bool, error) {
	free, err := c.TryLock(ctx, name)
	if err != nil || !free {
		return false, err
	}
	return true, c.Unlock(ctx, name)
}

// Discard drops a database that nobody needs, as it was seen: it is left if its comment
// is another by now, if somebody is at work on one of the names, or connected to it. The
// error then wraps [ErrInUse]. The names are its own, and those that it stands for.
func (c *Conn) Discard(ctx context.Context, seen Info, names ...string) (err error) {
	inUse := func(why string) error {
		return fmt.Errorf("drop database %s at %s: %s: %w", seen.Name, c.Address(), why, ErrInUse)
	}
	for _, name := range names {
		free, err := c.TryLock(ctx, name)
		if err != nil {
			return err
		}
		if !free {
			return inUse("another session works on " + name)
		}
		defer func() { err = errors.Join(err, c.Unlock(ctx, name)) }()
	}
	now, there, err := c.Look(ctx, seen.Name)
	if err != nil || !there {
		return err
	}
	users, err := c.Users(ctx, seen.Name)
	switch {
	case err != nil:
		return err
	case now.Comment != seen.Comment:
		return inUse("somebody has used it meanwhile")
	case len(users) > 0:
		return inUse(users[0].String() + " is connected")
	}
	if err := c.briefly(ctx, func() error { return c.Drop(ctx, seen.Name) }); err != nil {
		return err
	}
	if _, there, err = c.Look(ctx, seen.Name); err == nil && there {
		err = inUse("somebody is copying it")
	}
	return err
}
