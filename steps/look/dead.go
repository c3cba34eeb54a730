package look

import (
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
)

// Dead names the services of a session whose processes are gone, from what is
// recorded and from /proc alone: no program is run.
func Dead(s session.Session) []string {
	var names []string
	for i, spec := range s.Plan.Steps {
		state := s.Progress.Steps[i]
		if spec.Kind != "service" || state.Phase != saga.Done {
			continue
		}
		if fact, known := steps.ServiceOf(s, i); !known || !fact.ID.Alive() {
			names = append(names, steps.ServiceName(spec))
		}
	}
	return names
}
