package look

import (
	"slices"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// Listening lists the TCP ports on which the native services of sessions listen, by the
// names of those that run. It is one look at /proc for all of them, and none where no
// service was started.
func Listening(list []session.Session) (map[session.Key]map[string][]int, error) {
	found := map[session.Key]map[string][]int{}
	started := func(s session.Session) bool { return len(startedServices(s)) > 0 }
	if !slices.ContainsFunc(list, started) {
		return found, nil
	}
	snap, err := proc.Snap()
	if err != nil {
		return nil, err
	}
	marked := snap.Marked(settings.EnvSession) // those of all sessions
	for _, s := range list {
		services := map[string][]int{}
		for name, root := range startedServices(s) {
			members := snap.Brood(root)
			for _, id := range marked[s.ID] {
				if step, _ := proc.Variable(id.PID, settings.EnvStep); step == steps.ServiceStep(name) {
					members = append(members, id)
				}
			}
			if len(members) > 0 {
				services[name] = snap.Listening(members)
			}
		}
		found[s.Key] = services
	}
	return found, nil
}

// startedServices are the first processes of the native services of a session, by name,
// whether they still run or not.
func startedServices(s session.Session) map[string]proc.ID {
	roots := map[string]proc.ID{}
	for i, spec := range s.Plan.Steps {
		if fact, known := steps.ServiceOf(s, i); known && spec.Kind == "service" && s.Progress.Steps[i].Phase == saga.Done {
			roots[steps.ServiceName(spec)] = fact.ID
		}
	}
	return roots
}
