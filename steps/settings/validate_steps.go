package settings

import (
	"fmt"
	"path/filepath"
	"strings"
)

// userSteps checks the steps of the user's own, one by one.
func (v Validator) userSteps() {
	names := map[string]bool{}
	for i, u := range v.Steps {
		at := fmt.Sprintf("steps.%d.", i)
		switch {
		case u.Name == "" && !v.Has(at+"name"):
			v.Invalid(at+"name", "a step needs a name")
		case !NamePattern.MatchString(u.Name):
			v.Sayf(at+"name", "%q cannot name a step; it takes a-z, 0-9, - and _, and begins with a letter or digit", u.Name)
		case names[u.Name]:
			v.Sayf(at+"name", "two steps are named %s", u.Name)
		}
		names[u.Name] = true
		v.stepCommands(at, u)
		v.say(at+"retries", beyond("retries", u.Retries, 0, maxRetries))
		if u.UndoRetries != nil {
			v.say(at+"undo_retries", beyond("undo_retries", *u.UndoRetries, 0, maxRetries))
		}
		v.stepFolder(at, u)
	}
}

// stepCommands checks what the step runs.
func (v Validator) stepCommands(at string, u UserStep) {
	if u.Do == "" && !v.Has(at+"do") {
		v.Sayf(at+"do", "step %s has no do; give it the command that it is for", u.Name)
	}
	for _, c := range []struct{ key, command string }{{"do", u.Do}, {"undo", u.Undo}, {"check", u.Check}} {
		v.zero(at+c.key, c.command)
		if v.Has(at+c.key) && strings.TrimSpace(c.command) == "" {
			v.Sayf(at+c.key, "%s is empty; give it a command or remove it", c.key)
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
func (v Validator) stepFolder(at string, u UserStep) {
	dir, root := u.InRoot()
	if !root {
		dir = u.Dir
	}
	v.zero(at+"dir", dir)
	switch {
	case strings.Contains(dir, "${"):
		v.Sayf(at+"dir", "dir is %q; it takes no variable but %s, at its beginning", u.Dir, RootPrefix)
	case dir != "" && !filepath.IsLocal(dir):
		v.Sayf(at+"dir", "dir is %q; it takes a folder inside the worktree, or of the main worktree as %q", u.Dir, RootPrefix+"/tools")
	}
	for i, input := range u.Inputs {
		key := fmt.Sprintf("%sinputs.%d", at, i)
		v.zero(key, input)
		if !filepath.IsLocal(input) {
			v.Sayf(key, "%q does not stay inside the folder of the step", input)
		}
	}
}
