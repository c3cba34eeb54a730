package detect

import (
	"cmp"
	"strings"

	"ecluse/steps/settings"
)

// Source is something that a configuration says, and where it was found.
type Source struct {
	// What is service, hook, variable or file.
	What string `json:"what"`
	Name string `json:"name"`
	From string `json:"from"`
	// Doubt says why it is only suggested; empty if it is in force.
	Doubt string `json:"doubt,omitempty"`
	// Line is where it is in the configuration, if it is only suggested.
	Line int `json:"line,omitempty"`
}

// Place finds the lines of a configuration in which those are that are only suggested.
func Place(text string, list []Source) {
	lines := strings.Split(text, "\n")
	for i, s := range list {
		want := []string{"#" + s.Name + " = "}
		if s.What == "service" {
			want = []string{"#[[services]]", "#name = " + quote(s.Name)}
		}
		for at := 0; s.Doubt != "" && list[i].Line == 0 && at+len(want) <= len(lines); at++ {
			if strings.HasPrefix(lines[at], want[0]) && strings.HasPrefix(lines[at+len(want)-1], want[len(want)-1]) {
				list[i].Line = at + 1
			}
		}
	}
}

// Sources lists where everything was found that is written for a mode.
func (l Look) Sources(mode string) []Source {
	list := []Source{}
	for _, f := range l.Found(mode) {
		list = append(list, Source{What: "service", Name: f.Name, From: f.From, Doubt: f.Doubt})
	}
	if l.prepares(mode) {
		for _, p := range l.Prepare {
			list = append(list, Source{What: "hook", Name: "pre_spawn: " + p.Run, From: strings.Join(p.Inputs, ", ")})
		}
	}
	for _, file := range l.Inherit {
		list = append(list, Source{What: "file", Name: file, From: file})
	}
	for _, v := range l.Env {
		if v.in(mode) {
			list = append(list, Source{What: "variable", Name: v.Name, From: v.From, Doubt: v.Doubt})
		}
	}
	for _, f := range l.Found(mode) {
		for _, v := range f.Env {
			if v.in(mode) {
				list = append(list, Source{What: "variable", Name: v.Name + " of " + f.Name, From: v.From, Doubt: cmp.Or(f.Doubt, v.Doubt)})
			}
		}
	}
	return list
}

// prepares reports whether what a fresh worktree needs is in force.
func (l Look) prepares(mode string) bool {
	return len(l.Prepare) > 0 && mode != settings.ModeContainer && l.runs()
}
