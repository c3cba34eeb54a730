package steps

import (
	"fmt"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/settings"
)

// section is one place in the order in which a session is made: the kind of its
// steps, what adds them to a plan, and what builds one of them again from a plan
// that was stored.
type section struct {
	kind  string
	plan  func(*planner)
	build func(*Target, saga.Spec) saga.Step
}

// registry is that order. A new kind of step is one line here, one file, and one
// fixture in the conformance suite.
func registry() []section {
	return []section{
		{"hook", planHook(preUp), newHook},
		{"worktree", planWorktree, newWorktree},
		{"ports", planPorts, newPorts},
		{"env", planEnv, newEnv},
		{volumesKind, planVolumes, newVolumes},
		{"compose", planCompose, newCompose},
		{"database", planDatabases, newDatabase},
		{"hook", planHook(preSpawn), newHook},
		{tmuxKind, planTmux, newTmux},
		{"service", planServices, newService},
		{commandKind, planCommands, newCommand},
		{"hook", planHook(postUp), newHook},
	}
}

// planner collects the steps of a plan, layer by layer: a step needs every step
// of the layer before it.
type planner struct {
	cfg   settings.Config
	steps []saga.Spec
	layer []string
	// err is why there can be no plan.
	err error
}

// add adds a layer. What does not bound itself gets the house's patience.
func (p *planner) add(specs ...saga.Spec) {
	var names []string
	for _, spec := range specs {
		spec.Needs = p.layer
		p.steps = append(p.steps, spec)
		names = append(names, spec.Name)
	}
	if len(names) > 0 {
		p.layer = names
	}
}

// Plan makes the plan of a session of this configuration.
func Plan(cfg settings.Config) (saga.Plan, error) {
	p := &planner{cfg: cfg}
	for _, s := range registry() {
		s.plan(p)
	}
	plan := saga.Plan{Steps: p.steps}
	if p.err != nil {
		return plan, p.err
	}
	return plan, plan.Validate()
}

// Target is what the steps of one session work on.
type Target struct {
	session.Handle
	// Config is the configuration that the session was made from.
	Config settings.Config
	// Dir is the session's private folder.
	Dir string
	// LogFile is where Do writes what its programs say.
	LogFile string
}

// Options are what the user asked of the run.
func (t *Target) Options() session.Options { return t.Session().Run.Options }

// build makes the step of a stored spec.
func build(t *Target, spec saga.Spec) (saga.Step, error) {
	for _, s := range registry() {
		if s.kind == spec.Kind {
			return s.build(t, spec), nil
		}
	}
	return nil, fmt.Errorf("step %s is of kind %q, which this ecluse does not know; use the one that made the session", spec.Name, spec.Kind)
}

// ConfigOf is the configuration that a session was made from.
func ConfigOf(s session.Session) (settings.Config, error) {
	cfg, err := settings.Decode(s.Settings)
	if err != nil {
		return cfg, fmt.Errorf("decode the configuration that session %s was made from: %w", s.Slug, err)
	}
	return cfg, nil
}
