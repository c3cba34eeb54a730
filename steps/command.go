package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecluse/saga"
	"ecluse/steps/run"
	"ecluse/steps/settings"
)

const (
	// commandKind is the kind of the steps of the user's own.
	commandKind = "command"
	// undoRetries is how often an undo that fails is run again, if it does not say.
	undoRetries = 2
	// checkTimeout bounds one run of a check.
	checkTimeout = time.Minute
)

// command is a step of the user's own.
type command struct {
	script
	user settings.UserStep
}

var (
	_ saga.Step     = command{}
	_ saga.Verifier = command{}
)

// planCommands places the steps of the user's own among those that are planned. What
// comes later needs all of them.
func planCommands(p *planner) {
	if len(p.cfg.Steps) == 0 {
		return
	}
	needs, err := builtIn(p.cfg).needs()
	if err != nil {
		p.err = fmt.Errorf("[[steps]] in .ecluse.toml: %w", err)
		return
	}
	waiting, have := p.steps, map[string]bool{}
	for _, spec := range waiting {
		have[spec.Name] = true
	}
	users := make([]saga.Spec, 0, len(p.cfg.Steps))
	for _, u := range p.cfg.Steps {
		users = append(users, spec(u))
		have[u.StepName()] = true
	}
	waiting = slices.Concat(users, waiting) // each as early as it can be
	for i, spec := range waiting {
		var list []string
		for _, need := range needs[spec.Name] {
			list = append(list, present(needs, have, need)...)
		}
		slices.Sort(list)
		waiting[i].Needs = slices.Compact(list)
	}
	p.steps, p.layer = nil, nil
	placed := map[string]bool{}
	for len(waiting) > 0 {
		i := slices.IndexFunc(waiting, func(s saga.Spec) bool {
			return !slices.ContainsFunc(s.Needs, func(need string) bool { return !placed[need] })
		})
		if i < 0 {
			p.err = fmt.Errorf("[[steps]] in .ecluse.toml: step %s waits for itself", waiting[0].Name)
			return
		}
		p.steps = append(p.steps, waiting[i])
		placed[waiting[i].Name] = true
		waiting = slices.Delete(waiting, i, i+1)
	}
	p.layer = graph{steps: p.steps}.leaves()
}

// spec describes the step.
func spec(u settings.UserStep) saga.Spec {
	spec := saga.Spec{
		Name: u.StepName(), Kind: commandKind, Cause: "[[steps]] in .ecluse.toml",
		Does: "run " + strings.TrimSpace(u.Do), Reverts: "nothing: it has no undo",
		Fills: u.Check == "", // else it can see for itself
		Policy: saga.Policy{
			Timeout: u.Timeout.Or(hookTimeout), CompensateTimeout: u.UndoTimeout.Or(hookTimeout),
			Retries: u.Retries, CompensateRetries: undoRetries,
			Backoff: u.Backoff.Or(time.Second), BestEffort: u.BestEffort,
		},
	}
	if u.Check != "" {
		spec.Does += ", then check " + strings.TrimSpace(u.Check)
	}
	if u.Undo != "" {
		spec.Reverts = "run " + strings.TrimSpace(u.Undo)
		if u.Check != "" {
			spec.Reverts += ", then look that the check fails"
		}
	}
	if u.UndoRetries != nil {
		spec.Policy.CompensateRetries = *u.UndoRetries
	}
	return spec
}

func newCommand(t *Target, spec saga.Spec) saga.Step {
	c := command{user: settings.UserStep{Name: strings.TrimPrefix(spec.Name, settings.CommandPrefix)}}
	for _, u := range t.Config.Steps {
		if u.StepName() == spec.Name {
			c.user = u
		}
	}
	s := t.Session()
	needs := map[string][]string{}
	for _, other := range s.Plan.Steps {
		needs[other.Name] = other.Needs
	}
	c.script = script{
		Target: t, What: "do", Run: c.user.Do, Dir: c.user.Folder(s.Root, s.Worktree), Inputs: c.user.Inputs,
		Early: !reaches(needs, spec.Name, "env"),
	}
	return c
}

// Do runs do, and the check.
func (c command) Do(ctx context.Context, a *saga.Attempt) error {
	if !exists(c.Dir) {
		return saga.Permanent(fmt.Errorf("the folder %s is not there; mend `dir` of step %s in .ecluse.toml", c.Dir, c.user.Name))
	}
	return c.do(ctx, a, func(ctx context.Context) error {
		if c.user.Check == "" {
			return nil
		}
		if err := c.check(ctx, a); err != nil {
			return fmt.Errorf("do succeeded, but the check fails: %w", err)
		}
		return nil
	})
}

// check runs the check.
func (c command) check(ctx context.Context, a *saga.Attempt) error {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("timed out after %s", checkTimeout))
	defer cancel()
	// Who only looks has prepared nothing.
	s := c.Session()
	own := append(Marks(s, a.Step), settings.EnvRun+"="+s.Run.ID, settings.EnvAttempt+"="+strconv.Itoa(a.Number))
	return c.exec(ctx, c.user.Check, own...)
}

// Verify asks the check. Without one a step that was cut off has to be done again, and
// one that is done is there while its folder is. What a check finds of a step with
// inputs that was cut off may be of earlier ones.
func (c command) Verify(ctx context.Context, a *saga.Attempt) error {
	if c.user.Check == "" || len(c.Inputs) > 0 {
		if err := c.succeeded(a); err != nil {
			return err
		}
	}
	if err := c.unchanged(ctx, a); err != nil {
		return err
	}
	if c.user.Check == "" {
		return nil
	}
	if err := c.check(ctx, a); err != nil {
		return fmt.Errorf("the check fails: %w", err)
	}
	return nil
}

// Compensate runs undo, after which the check must fail. Without its folder there is
// nowhere to run it, and that must not keep a session from going.
func (c command) Compensate(ctx context.Context, a *saga.Attempt) error {
	if err := c.forget(a); err != nil {
		return err
	}
	if c.user.Undo == "" {
		return nil
	}
	if !exists(c.Dir) {
		a.Warn("undo was not run: its folder %s is gone", c.Dir)
		return nil
	}
	if err := c.exec(ctx, c.user.Undo); err != nil {
		return fmt.Errorf("undo: %w", after(err, "; mend what it runs into and run the command again"))
	}
	if c.user.Check == "" {
		return nil
	}
	err := c.check(ctx, a)
	var exit *run.Error
	switch {
	case err == nil:
		return errors.New("undo succeeded, but so does the check: what do has done is still there")
	case ctx.Err() == nil && errors.As(err, &exit) && exit.Err == nil && exit.Status > 0:
		return nil
	}
	return fmt.Errorf("undo succeeded, and the check does not tell whether anything is left: %w", err)
}
