package steps

import (
	"fmt"
	"slices"
	"strings"

	"ecluse/saga"
	"ecluse/steps/settings"
)

// graph places the steps of the user's own among the others, whose order is that of
// the registry.
type graph struct {
	steps []saga.Spec
	users []settings.UserStep
}

// builtIn is the plan without steps of the user's own and without post_up, which waits
// for all of them; and whatever was chosen for one session.
func builtIn(c settings.Config) graph {
	c.Choice = settings.Choice{}
	p := &planner{cfg: c}
	for _, s := range registry() {
		if s.kind == commandKind {
			break
		}
		s.plan(p)
	}
	return graph{p.steps, c.Steps}
}

// unplaced is a name in `needs` or `before` that does not lead to a step.
type unplaced struct{ why, have string }

// Error says what is wrong, and what is there.
func (e *unplaced) Error() string { return e.why + e.have }

// find lists the steps that a name means: a step of the user's, a built-in one, or all
// of a kind.
func (g graph) find(name string) ([]string, error) {
	for _, u := range g.users {
		if name == u.Name || name == u.StepName() {
			return []string{u.StepName()}, nil
		}
	}
	var kind []string
	for _, s := range g.steps {
		if s.Name == name {
			return []string{name}, nil
		}
		if s.Kind == name && name != "hook" {
			kind = append(kind, s.Name)
		}
	}
	switch {
	case len(kind) > 0:
		return kind, nil
	case name == "hook:"+postUp.up || name == postUp.up:
		return nil, &unplaced{"hook:post_up comes after every other step", ""}
	}
	return nil, &unplaced{fmt.Sprintf("there is no step %q", name), "; there are: " + strings.Join(g.names(), ", ")}
}

// names are those of all steps, as a configuration names them.
func (g graph) names() []string {
	var names []string
	for _, s := range g.steps {
		names = append(names, s.Name)
	}
	for _, u := range g.users {
		names = append(names, u.Name)
	}
	return names
}

// needsOf are the steps that a step of the user's waits for.
func (g graph) needsOf(u settings.UserStep) ([]string, error) {
	var needs []string
	if u.Needs == nil && len(u.Before) == 0 {
		needs = g.leaves()
	}
	for _, name := range u.NeedNames() {
		found, err := g.find(name)
		if err != nil {
			return nil, err
		}
		needs = append(needs, found...)
	}
	if _, root := u.InRoot(); !root {
		needs = append(needs, "env")
	} else if first := "hook:" + preUp.up; len(g.steps) > 0 && g.steps[0].Name == first {
		needs = append(needs, first) // which says that it is the first of all
	}
	slices.Sort(needs)
	return slices.Compact(needs), nil
}

// leaves are the built-in steps that no other one needs.
func (g graph) leaves() []string {
	needed := map[string]bool{}
	for _, s := range g.steps {
		for _, need := range s.Needs {
			needed[need] = true
		}
	}
	var names []string
	for _, s := range g.steps {
		if !needed[s.Name] {
			names = append(names, s.Name)
		}
	}
	return names
}

// needs are what every step needs, by name, with what the user's steps add.
func (g graph) needs() (map[string][]string, error) {
	all := map[string][]string{}
	for _, s := range g.steps {
		all[s.Name] = slices.Clone(s.Needs)
	}
	for _, u := range g.users {
		needs, err := g.needsOf(u)
		if err != nil {
			return nil, err
		}
		all[u.StepName()] = append(all[u.StepName()], needs...)
		for _, name := range u.Before {
			found, err := g.find(name)
			if err != nil {
				return nil, err
			}
			for _, later := range found {
				all[later] = append(all[later], u.StepName())
			}
		}
	}
	return all, nil
}

// circle is a way from a step along what it needs back to it, both ends with it; nil if
// there is none.
func circle(needs map[string][]string, from string) []string {
	seen := map[string]bool{}
	var walk func(name string) []string
	walk = func(name string) []string {
		for _, need := range needs[name] {
			if need == from {
				return []string{name, from}
			}
			if seen[need] {
				continue
			}
			seen[need] = true
			if way := walk(need); way != nil {
				return append([]string{name}, way...)
			}
		}
		return nil
	}
	return walk(from)
}

// reaches reports whether a step waits, directly or through others, for another one.
func reaches(needs map[string][]string, from, to string) bool {
	seen := map[string]bool{}
	var walk func(name string) bool
	walk = func(name string) bool {
		if name == to {
			return true
		}
		if seen[name] {
			return false
		}
		seen[name] = true
		return slices.ContainsFunc(needs[name], walk)
	}
	return walk(from)
}

// present are the steps of a plan that stand for a need: itself, or, of one that was
// not chosen for the session, what it would have waited for.
func present(needs map[string][]string, have map[string]bool, need string) []string {
	if have[need] {
		return []string{need}
	}
	var list []string
	for _, further := range needs[need] {
		list = append(list, present(needs, have, further)...)
	}
	return list
}

// Runs reports whether what a step makes runs: services and containers.
func Runs(spec saga.Spec) bool { return spec.Kind == "service" || spec.Kind == composeStep }
