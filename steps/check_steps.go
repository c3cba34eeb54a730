package steps

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ecluse/steps/config"
)

// userSteps checks the names of the steps of the user's own against those of the
// others, and the graph that they make with them.
func (c checker) userSteps() {
	graph := builtIn(c.Validator.Config)
	kinds := []string{"post_up"}
	for _, s := range registry() {
		kinds = append(kinds, s.kind)
	}
	for _, s := range graph.steps {
		kinds = append(kinds, s.Name)
	}
	for i, u := range c.Steps {
		if slices.Contains(kinds, u.Name) {
			c.Invalid(fmt.Sprintf("steps.%d.name", i), u.Name+" is what a built-in step is called; give this one another name")
		}
	}
	if c.stepsFound(graph) {
		c.stepsInOrder(graph)
	}
}

// stepsFound reports whether all that is named in needs and before is there.
func (c checker) stepsFound(graph graph) bool {
	sound := true
	for i, u := range c.Steps {
		for _, list := range []struct {
			key   string
			names config.Strings
		}{{"needs", u.NeedNames()}, {"before", u.Before}} {
			for j, name := range list.names {
				key := fmt.Sprintf("steps.%d.%s.%d", i, list.key, j)
				if !c.Has(key) { // it is one string
					key = fmt.Sprintf("steps.%d.%s", i, list.key)
				}
				if _, err := graph.find(name); err != nil {
					sound = false
					c.Invalid(key, c.meant(err, name, graph))
				}
			}
		}
	}
	return sound
}

// meant words that a name leads to no step, and which one was probably meant.
func (c checker) meant(err error, name string, graph graph) string {
	var unknown *unplaced
	if errors.As(err, &unknown) && unknown.have != "" {
		if near := config.Suggest(name, graph.names()); near != "" && len(name) > 2 {
			return unknown.why + "; did you mean " + near + "?"
		}
		return fmt.Sprintf("%s in mode %s%s", unknown.why, c.Mode, unknown.have)
	}
	return err.Error()
}

// stepsInOrder reports steps that wait for themselves.
func (c checker) stepsInOrder(graph graph) {
	needs, err := graph.needs()
	if err != nil {
		return // and it was reported
	}
	told := map[string]bool{}
	for i, u := range c.Steps {
		way := circle(needs, u.StepName())
		if way == nil || told[u.StepName()] {
			continue
		}
		for _, name := range way {
			told[name] = true
		}
		key := fmt.Sprintf("steps.%d.needs", i)
		if !c.Has(key) {
			key = fmt.Sprintf("steps.%d.before", i)
		}
		c.Sayf(key, "step %s waits for itself: %s", u.Name, strings.Join(way, " needs "))
	}
}
