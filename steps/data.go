package steps

import (
	"cmp"
	"encoding/json"

	"ecluse/saga"
)

// Hooks and steps of the user's own may have put something into the session's data, a
// migration's tables say. Where that data is made anew, they have to run again. A look
// finds that data is gone, and takes them along ([saga.Spec.Fills]); that it was made
// anew meanwhile they see by the run that made it, which is a fact of its step.

// needed are what each step of the session's plan needs, by name.
func (t *Target) needed() map[string][]string {
	needs := map[string][]string{}
	for _, spec := range t.Session().Plan.Steps {
		needs[spec.Name] = spec.Needs
	}
	return needs
}

// dataUnder tells by which run the data was made that a step may have filled, by the
// name of the step that holds it.
func (t *Target) dataUnder(step string) (map[string]string, error) {
	s, needs, made := t.Session(), t.needed(), map[string]string{}
	for i, spec := range s.Plan.Steps {
		if !spec.Data || !reaches(needs, step, spec.Name) {
			continue
		}
		run, err := madeBy(s.Progress.Steps[i].Facts)
		if err != nil {
			return nil, saga.Permanent(err)
		}
		made[spec.Name] = run
	}
	return made, nil
}

// filled reports whether anything may fill the data that a step holds.
func (t *Target) filled(step string) bool {
	needs := t.needed()
	for _, spec := range t.Session().Plan.Steps {
		if spec.Fills && reaches(needs, spec.Name, step) {
			return true
		}
	}
	return false
}

// madeBy is the run that made the data of a step with these facts.
func madeBy(facts map[string]json.RawMessage) (string, error) {
	if raw, ok := facts[volumesFactKey]; ok {
		var fact volumesFact
		err := json.Unmarshal(raw, &fact)
		return cmp.Or(fact.Anew, fact.Run), err
	}
	if raw, ok := facts[databaseFactKey]; ok {
		var fact databaseFact
		err := json.Unmarshal(raw, &fact)
		return fact.Run, err
	}
	return "", nil
}
