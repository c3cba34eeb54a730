package cli

import (
	"context"
	"strings"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// holding is the data that a session has: what each of its steps of that kind holds, by
// the step's place in the plan.
type holding map[int][]string

// dataOf looks what a session holds, before it is stopped and its data may go. Nothing is
// looked for where it is asked to stay, or where all goes that there is.
func dataOf(ctx context.Context, s session.Session, o session.Options) holding {
	held := holding{}
	if s.State == "" || s.State == fsm.Absent || !o.KeepWorktree || o.KeepVolumes {
		return held
	}
	for i, spec := range s.Plan.Steps {
		if !spec.Data || i >= len(s.Progress.Steps) || s.Progress.Steps[i].Phase != saga.Done {
			continue
		}
		if name, ours := strings.CutPrefix(spec.Name, "database:"); ours {
			held[i] = []string{"database " + name}
			continue
		}
		names, err := volumesOf(ctx, s)
		if err != nil {
			names = []string{"volumes"} // the down says what is wrong with Docker
		}
		if len(names) > 0 {
			held[i] = names
		}
	}
	return held
}

// volumesOf names the volumes of a session.
func volumesOf(ctx context.Context, s session.Session) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	cfg, err := steps.ConfigOf(s)
	if err != nil {
		return nil, err
	}
	if cfg.Mode == settings.ModeHost {
		return nil, nil
	}
	meant := docker.Volumes{Session: s.ID, Projects: []string{steps.Project(cfg, s)}}
	at, known := docker.Place{}, false
	for i := range s.Plan.Steps {
		if fact, there := steps.ComposeOf(s, i); there {
			at, known = fact.Place, true // all are at one place
			meant.Projects = append(meant.Projects, fact.Project)
		}
	}
	if !known {
		if at, err = docker.Here(ctx); err != nil {
			return nil, err
		}
	}
	names, err := docker.At(at).Volumes(ctx, meant)
	for i, name := range names {
		names[i] = "volume " + name
	}
	return names, err
}

// gone is what is not there any more of what was held, now that the session is stopped.
func (h holding) gone(s session.Session) []string {
	list := []string{}
	for i := range s.Progress.Steps {
		if s.State == fsm.Stopped && s.Progress.Steps[i].Phase == saga.Compensated {
			list = append(list, h[i]...)
		}
	}
	return list
}

// dataGone says of a session that is stopped what it has lost; empty if that is nothing.
func dataGone(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "its data is gone (" + strings.Join(list, ", ") + "), which --keep-volumes would have kept"
}
