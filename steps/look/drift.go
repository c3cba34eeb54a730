package look

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
)

// Drift is a step whose effect is not what it was when it was done.
type Drift struct {
	Step    string
	Problem string
}

// driftLimit bounds the look at all steps together.
const driftLimit = 30 * time.Second

// Drifts asks every done step of a session whether its effect is still there, whole
// and the session's own: what `up` would mend. It changes nothing, but a service with
// ready.command is asked by it. What was seen of the services is taken for granted,
// and completed: one that runs and is not ready is not healthy. If the worktree is gone,
// only that is told.
func Drifts(ctx context.Context, kit steps.Kit, s session.Session, services []Service) []Drift {
	ctx, cancel := context.WithTimeoutCause(ctx, driftLimit, fmt.Errorf("no answer within %s", driftLimit))
	defer cancel()
	lost := saga.Verify(ctx, s.Plan, s.Progress, func(spec saga.Spec) (saga.Step, error) {
		for _, v := range services {
			if v.Native && v.Step == spec.Name && !v.Healthy {
				return judged{problem: errors.New(v.Problem)}, nil
			}
		}
		return kit.Build(steps.Looking(s), spec)
	})
	if err := lost[steps.WorktreeStep]; err != nil && steps.Gone(s.Worktree) {
		return []Drift{{steps.WorktreeStep, err.Error()}} // what else is amiss follows from it
	}
	var list []Drift
	for _, spec := range s.Plan.Steps {
		if err := lost[spec.Name]; err != nil {
			list = append(list, Drift{spec.Name, err.Error()})
			account(services, spec.Name, err)
		}
	}
	return list
}

// account makes a service unhealthy whose step says so.
func account(services []Service, step string, err error) {
	var failed *docker.ServiceError
	named := errors.As(err, &failed)
	for i := range services {
		v := &services[i]
		if v.Step != step || !v.Healthy || !v.Native && !(named && failed.Service == v.Name) {
			continue
		}
		v.Healthy, v.Problem = false, err.Error()
		if v.Native {
			v.State = NotReady
		}
	}
}

// judged is a step of which it is known what is wrong.
type judged struct {
	saga.Step
	problem error
}

// Verify implements [saga.Verifier].
func (j judged) Verify(context.Context, *saga.Attempt) error { return j.problem }
