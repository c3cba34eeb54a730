package steps

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ecluse/steps/config"
)

// userSteps checks the steps of the user's own, one by one, then the graph that they
// make with the others.
func (v validator) userSteps() {
	graph := v.builtIn()
	names := map[string]bool{}
	for i, u := range v.Steps {
		at := fmt.Sprintf("steps.%d.", i)
		v.stepName(at+"name", u.Name, graph, names)
		names[u.Name] = true
		v.stepCommands(at, u)
		v.say(at+"retries", beyond("retries", u.Retries, 0, maxRetries))
		if u.UndoRetries != nil {
			v.say(at+"undo_retries", beyond("undo_retries", *u.UndoRetries, 0, maxRetries))
		}
		v.stepFolder(at, u)
	}
	if v.stepsFound(graph) {
		v.stepsInOrder(graph)
	}
}

// stepName checks a name: it must not be one by which a built-in step is known.
func (v validator) stepName(key, name string, graph graph, taken map[string]bool) {
	kinds := []string{"post_up"}
	for _, s := range registry() {
		kinds = append(kinds, s.kind)
	}
	for _, s := range graph.steps {
		kinds = append(kinds, s.Name)
	}
	switch {
	case name == "" && !v.Has(key):
		v.Invalid(key, "a step needs a name")
	case !namePattern.MatchString(name):
		v.sayf(key, "%q cannot name a step; it takes a-z, 0-9, - and _, and begins with a letter or digit", name)
	case taken[name]:
		v.sayf(key, "two steps are named %s", name)
	case slices.Contains(kinds, name):
		v.sayf(key, "%s is what a built-in step is called; give this one another name", name)
	}
}

// stepCommands checks what the step runs.
func (v validator) stepCommands(at string, u UserStep) {
	if u.Do == "" && !v.Has(at+"do") {
		v.sayf(at+"do", "step %s has no do; give it the command that it is for", u.Name)
	}
	for _, c := range []struct{ key, command string }{{"do", u.Do}, {"undo", u.Undo}, {"check", u.Check}} {
		v.zero(at+c.key, c.command)
		if v.Has(at+c.key) && strings.TrimSpace(c.command) == "" {
			v.sayf(at+c.key, "%s is empty; give it a command or remove it", c.key)
		}
	}
	if u.Undo == "" && u.UndoRetries != nil {
		v.Invalid(at+"undo_retries", "there is no undo that could be run again")
	}
	if u.Undo == "" && u.UndoTimeout != nil {
		v.Invalid(at+"undo_timeout", "there is no undo that could take too long")
	}
}

// stepFolder checks where the step runs and what it is done from.
func (v validator) stepFolder(at string, u UserStep) {
	dir, root := u.inRoot()
	if !root {
		dir = u.Dir
	}
	v.zero(at+"dir", dir)
	if dir != "" && !filepath.IsLocal(dir) {
		v.sayf(at+"dir", "dir is %q; it takes a folder inside the worktree, or of the main worktree as %q", u.Dir, rootPrefix+"/tools")
	}
	for i, input := range u.Inputs {
		key := fmt.Sprintf("%sinputs.%d", at, i)
		v.zero(key, input)
		if !filepath.IsLocal(input) {
			v.sayf(key, "%q does not stay inside the folder of the step", input)
		}
	}
}

// stepsFound reports whether all that is named in needs and before is there.
func (v validator) stepsFound(graph graph) bool {
	sound := true
	for i, u := range v.Steps {
		for _, list := range []struct {
			key   string
			names config.Strings
		}{{"needs", u.needs()}, {"before", u.Before}} {
			for j, name := range list.names {
				key := fmt.Sprintf("steps.%d.%s.%d", i, list.key, j)
				if !v.Has(key) { // it is one string
					key = fmt.Sprintf("steps.%d.%s", i, list.key)
				}
				if _, err := graph.find(name); err != nil {
					sound = false
					v.Invalid(key, v.meant(err, name, graph))
				}
			}
		}
	}
	return sound
}

// meant words that a name leads to no step, and which one was probably meant.
func (v validator) meant(err error, name string, graph graph) string {
	var unknown *unplaced
	if errors.As(err, &unknown) && unknown.have != "" {
		if near := config.Suggest(name, graph.names()); near != "" && len(name) > 2 {
			return unknown.why + "; did you mean " + near + "?"
		}
		return fmt.Sprintf("%s in mode %s%s", unknown.why, v.Mode, unknown.have)
	}
	return err.Error()
}

// stepsInOrder reports steps that wait for themselves.
func (v validator) stepsInOrder(graph graph) {
	needs, err := graph.needs()
	if err != nil {
		return // and it was reported
	}
	told := map[string]bool{}
	for i, u := range v.Steps {
		way := circle(needs, u.step())
		if way == nil || told[u.step()] {
			continue
		}
		for _, name := range way {
			told[name] = true
		}
		key := fmt.Sprintf("steps.%d.needs", i)
		if !v.Has(key) {
			key = fmt.Sprintf("steps.%d.before", i)
		}
		v.sayf(key, "step %s waits for itself: %s", u.Name, strings.Join(way, " needs "))
	}
}
