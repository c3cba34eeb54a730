package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/proc"
	"ecluse/steps/run"
)

// ErrNothingToWatch is that no service of the session has develop.watch.
var ErrNothingToWatch = errors.New("no service in Docker has develop.watch in its compose file")

// Watch lets Compose carry changes of a session's worktree into its containers, one
// watcher for each compose project, until ctx ends or one of them does. What they say
// goes to out, which may be written to by several at once. They carry the marks of
// their steps: whoever takes these down ends them. Once now is closed they get no time
// to end by themselves.
func Watch(ctx context.Context, now <-chan struct{}, s session.Session, out io.Writer) error {
	cfg, err := ConfigOf(s)
	if err != nil {
		return err
	}
	var watchers []func(context.Context) error
	t := &Target{Handle: Looking(s), Config: cfg}
	for i, spec := range s.Plan.Steps {
		if spec.Kind != composeStep {
			continue
		}
		var fact ComposeFact
		if err := json.Unmarshal(s.Progress.Steps[i].Facts[composeFactKey], &fact); err != nil {
			return fmt.Errorf("read what step %s of session %s has noted: %w", spec.Name, s.Slug, err)
		}
		names, err := docker.Watched(fact.File)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			step := compose{t, groupOf(cfg, spec.Name)}
			watchers = append(watchers, func(ctx context.Context) error { return step.watch(ctx, spec.Name, fact, out) })
		}
	}
	if len(watchers) == 0 {
		return ErrNothingToWatch
	}
	return sideBySide(proc.Hurry(ctx, now), watchers)
}

// watch is the watcher of one project.
func (c compose) watch(ctx context.Context, step string, fact ComposeFact, out io.Writer) error {
	made, err := c.rewrite(ctx, fact, step) // for the variables that secrets are taken from
	if err != nil {
		return err
	}
	// One that was killed has left its watcher behind.
	if err := c.unwatch(ctx, step); err != nil {
		return err
	}
	ctx = run.With(ctx, run.Inherit{Env: Marks(c.Session(), step), Grace: Grace})
	engine, err := docker.OpenAt(ctx, fact.Place)
	if err != nil {
		return err
	}
	return engine.Watch(ctx, c.upOptions(fact, made.Env).Project, out)
}

// sideBySide runs all until the first of them ends, and then ends the others.
func sideBySide(ctx context.Context, all []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(all))
	for _, one := range all {
		go func() { ended <- one(ctx) }()
	}
	first := <-ended
	cancel()
	for range len(all) - 1 {
		<-ended //nolint:errcheck // it is because the first has ended
	}
	return first
}
