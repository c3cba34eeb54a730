package steps

import (
	"context"
	"time"

	"ecluse/saga"
	"ecluse/steps/config"
	"ecluse/steps/settings"
)

// hookPair is a hook of the way up and the one of the way down that mirrors it.
// The first is the Do of a step and the second its Compensate.
type hookPair struct {
	up, down string
	// root: they run in the main worktree, and not in the session's.
	root bool
	of   func(settings.Hooks) (up, down *config.OneOrTable[settings.Hook])
}

// The hooks, in the order of an up.
var (
	preUp = hookPair{up: "pre_up", down: "post_down", root: true, of: func(h settings.Hooks) (_, _ *config.OneOrTable[settings.Hook]) {
		return h.PreUp, h.PostDown
	}}
	preSpawn = hookPair{up: "pre_spawn", of: func(h settings.Hooks) (_, _ *config.OneOrTable[settings.Hook]) {
		return h.PreSpawn, nil
	}}
	postUp = hookPair{up: "post_up", down: "pre_down", of: func(h settings.Hooks) (_, _ *config.OneOrTable[settings.Hook]) {
		return h.PostUp, h.PreDown
	}}
)

// hook runs the commands of a [hookPair].
type hook struct {
	*Target
	pair hookPair
}

var (
	_ saga.Step     = hook{}
	_ saga.Verifier = hook{}
)

// planHook adds the step of a pair of which at least one hook is configured.
func planHook(pair hookPair) func(*planner) {
	return func(p *planner) {
		up, down := pair.of(p.cfg.Hooks)
		if up == nil && down == nil {
			return
		}
		spec := saga.Spec{
			Name: "hook:" + pair.up, Kind: "hook", Cause: "hooks in .ecluse.toml",
			Does: "nothing", Reverts: "nothing", Fills: up != nil,
			Policy: saga.Policy{Backoff: time.Second},
		}
		if up != nil {
			spec.Does = "run " + up.Value.Run
			spec.Policy.Timeout, spec.Policy.Retries = up.Value.Timeout.Or(hookTimeout), up.Value.Retries
			spec.Policy.BestEffort = up.Value.BestEffort
		}
		if down != nil {
			spec.Reverse = "hook:" + pair.down
			spec.Reverts = "run " + pair.down + ": " + down.Value.Run
			spec.Policy.CompensateTimeout, spec.Policy.CompensateRetries = down.Value.Timeout.Or(hookTimeout), down.Value.Retries
		}
		p.add(spec)
	}
}

func newHook(t *Target, spec saga.Spec) saga.Step {
	for _, pair := range []hookPair{preUp, preSpawn, postUp} {
		if spec.Name == "hook:"+pair.up {
			return hook{t, pair}
		}
	}
	return hook{t, hookPair{of: func(settings.Hooks) (_, _ *config.OneOrTable[settings.Hook]) { return nil, nil }}}
}

// script is the hook of the way up, if there is one. Those of the main worktree come
// before there are ports, and after.
func (h hook) script() (script, bool) {
	s := script{Target: h.Target, What: h.pair.up, Dir: h.dir(), Early: h.pair.root}
	up, _ := h.pair.of(h.Config.Hooks)
	if up != nil {
		s.Run, s.Inputs = up.Value.Run, up.Value.Inputs
	}
	return s, up != nil
}

// Do runs the hook.
func (h hook) Do(ctx context.Context, a *saga.Attempt) error {
	s, configured := h.script()
	if !configured {
		return nil
	}
	return s.do(ctx, a, nil)
}

// Verify tells whether a hook has to run (again): when it was cut off, or when its
// inputs have changed since it succeeded.
func (h hook) Verify(ctx context.Context, a *saga.Attempt) error {
	s, configured := h.script()
	if !configured {
		return nil
	}
	if err := s.succeeded(a); err != nil {
		return err
	}
	return s.unchanged(ctx, a)
}

// Compensate runs the hook's mirror. Without a worktree there is nowhere to run
// what belongs there, and its absence must not keep a session from going.
func (h hook) Compensate(ctx context.Context, a *saga.Attempt) error {
	s, _ := h.script()
	_, down := h.pair.of(h.Config.Hooks)
	if err := s.forget(a); err != nil {
		return err
	}
	if down == nil || h.Options().NoHooks {
		return nil
	}
	if !h.pair.root && !exists(h.Session().Worktree) {
		a.Warn("%s was not run: its worktree %s is gone", h.pair.down, h.Session().Worktree)
		return nil
	}
	if err := s.exec(ctx, down.Value.Run); err != nil {
		return after(err, "; mend it and run the command again, or go on without it: ecluse down "+h.Session().Slug+" --no-hooks")
	}
	return nil
}

// dir is where the pair's hooks run.
func (h hook) dir() string {
	if h.pair.root {
		return h.Session().Root
	}
	return h.Session().Worktree
}
