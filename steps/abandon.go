package steps

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ecluse/saga/session"
)

// Leaves says in words what a step leaves that is not compensated: what it has recorded,
// and what was to be done about it. It looks at nothing else: the step is given up
// because what it made cannot be reached.
func Leaves(s session.Session, step string) []string {
	i := s.Plan.Index(step)
	if i < 0 || i >= len(s.Progress.Steps) {
		return nil
	}
	list := effects(s, i)
	if list == nil {
		facts := s.Progress.Steps[i].Facts
		for _, key := range slices.Sorted(maps.Keys(facts)) {
			list = append(list, key+": "+string(facts[key]))
		}
	}
	return append(list, "not done: "+strings.TrimSpace(s.Plan.Steps[i].Reverts))
}

// effects are what a step of a kind that has a record of its own has made; nil of
// others, and of what cannot be read.
func effects(s session.Session, i int) []string {
	switch kind := s.Plan.Steps[i].Kind; kind {
	case commandKind, "hook":
		return []string{"what came of: " + strings.TrimSpace(s.Plan.Steps[i].Does)}
	case "database":
		return databaseEffects(s, i)
	case composeStep:
		if fact, known := ComposeOf(s, i); known {
			return []string{fmt.Sprintf("containers, networks and images of compose project %s, at %s", fact.Project, fact.Place)}
		}
	case volumesKind:
		var fact volumesFact
		at, _ := placed(s)
		if recorded(s, i, volumesFactKey, &fact) {
			return []string{fmt.Sprintf("volumes of compose projects %s, at %s", strings.Join(fact.Projects, ", "), at.Place)}
		}
	case "service":
		if fact, known := ServiceOf(s, i); known {
			return []string{fmt.Sprintf("process %d, and what it has started", fact.PID)}
		}
	case "worktree":
		return []string{fmt.Sprintf("worktree %s, and branch %s", s.Worktree, s.Branch)}
	}
	return nil
}

// databaseEffects names a session's database, and what is typed to drop it.
func databaseEffects(s session.Session, i int) []string {
	var fact databaseFact
	cfg, err := ConfigOf(s)
	if err != nil || !recorded(s, i, databaseFactKey, &fact) {
		return nil
	}
	var list []string
	for _, d := range cfg.Databases {
		if databasePrefix+d.Name != s.Plan.Steps[i].Name {
			continue
		}
		server, err := database{&Target{Handle: Looking(s), Config: cfg}, d}.server(fact)
		for _, name := range []string{fact.Name, fact.Making} {
			if err == nil && name != "" {
				list = append(list, fmt.Sprintf("database %s at %s; to drop it: %s", name, server.Address(), dropCommand(server.Where(), name)))
			}
		}
	}
	return list
}
