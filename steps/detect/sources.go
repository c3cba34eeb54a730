package detect

import (
	"strings"

	"ecluse/steps/settings"
)

// Source is something that a configuration says, and where it was found.
type Source struct {
	// What is service, hook or variable.
	What string `json:"what"`
	Name string `json:"name"`
	From string `json:"from"`
	// Doubt says why it is only suggested; empty if it is in force.
	Doubt string `json:"doubt,omitempty"`
}

// Sources lists where everything was found that is written for a mode.
func (l Look) Sources(mode string) []Source {
	list := []Source{}
	for _, f := range l.Found(mode) {
		list = append(list, Source{"service", f.Name, f.From, f.Doubt})
	}
	if l.prepares(mode) {
		for _, p := range l.Prepare {
			list = append(list, Source{"hook", "pre_spawn: " + p.Run, strings.Join(p.Inputs, ", "), ""})
		}
	}
	for _, v := range l.Env {
		if v.in(mode) {
			list = append(list, Source{"variable", v.Name, v.From, ""})
		}
	}
	for _, f := range l.Found(mode) {
		for _, v := range f.Env {
			if v.in(mode) {
				list = append(list, Source{"variable", v.Name + " of " + f.Name, v.From, f.Doubt})
			}
		}
	}
	return list
}

// prepares reports whether what a fresh worktree needs is in force.
func (l Look) prepares(mode string) bool {
	return len(l.Prepare) > 0 && mode != settings.ModeContainer && l.runs()
}
