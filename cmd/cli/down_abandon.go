package cli

import (
	"slices"
	"strings"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
)

// abandoned is a step that a down went on without.
type abandoned struct {
	Step string `json:"step"`
	// Error is what its compensation had failed with.
	Error string `json:"error"`
	// Leaves says in words what is left, for whoever takes care of it.
	Leaves []string `json:"leaves"`
}

// stepsNamed are the steps that are meant by what people call them on the way down. A
// name that means none stays, to be refused.
func stepsNamed(s session.Session, names []string) []string {
	var list []string
	for _, name := range names {
		for _, spec := range s.Plan.Steps {
			if spec.Title(saga.CompensationFailed) == name {
				name = spec.Name
			}
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// abandoning tells of steps that are given up, before the session is gone that knows
// of them.
func abandoning(s session.Session, names []string) []abandoned {
	list := []abandoned{}
	for _, name := range names {
		if i := s.Plan.Index(name); i >= 0 {
			list = append(list, abandoned{
				Step: s.Plan.Steps[i].Title(saga.CompensationFailed), Error: s.Progress.Steps[i].Err, Leaves: steps.Leaves(s, name),
			})
		}
	}
	return list
}

// tellAbandoned says of each what it leaves. It is a warning: nobody will see to it.
func (a *app) tellAbandoned(list []abandoned) {
	for _, one := range list {
		a.warn("%s is abandoned, and leaves: %s", one.Step, strings.Join(one.Leaves, "; "))
	}
}

// withoutHint is the command that goes on without what a down has failed at; empty if
// there is nothing of the kind. Hooks have a flag of their own.
func withoutHint(s session.Session) string {
	var flags string
	var names []string
	for _, name := range s.Progress.Uncompensated(s.Plan) {
		if s.Plan.Steps[s.Plan.Index(name)].Kind == "hook" && !s.Run.Options.NoHooks {
			flags = " --no-hooks"
		} else {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		flags += " --abandon " + strings.Join(names, ",")
	}
	if flags == "" {
		return ""
	}
	return "ecluse down " + s.Slug + flags
}
