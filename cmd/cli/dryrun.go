package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
	"ecluse/steps/settings"
	"ecluse/store"
)

// showPlan prints what an up would do.
func (a *app) showPlan(ctx context.Context, repo git.Repo, cfg settings.Config, t upTarget) error {
	st, err := a.openStore()
	if err != nil {
		return err
	}
	s, err := st.Get(t.key)
	switch {
	case errors.Is(err, session.ErrNotFound):
		s, err = a.planned(ctx, st, repo, cfg, t)
	case err == nil && t.branch != "" && t.branch != s.Branch:
		err = session.Taken(s, t.branch)
	case err == nil:
		err = t.fits(s)
	}
	if err != nil {
		return err
	}
	for _, warning := range steps.LeftOut(ctx, cfg, composeDir(s)) {
		a.sink().Notify(saga.Notice{Time: time.Now(), Warning: true, Message: warning})
	}
	if had, err := steps.ConfigOf(s); err == nil {
		a.tellUnchosen(ctx, had, composeDir(s))
	}
	return a.printPlan(s)
}

// planned is the session that an up would make now, with the ports that it would
// lease.
func (a *app) planned(ctx context.Context, st *store.Store, repo git.Repo, cfg settings.Config, t upTarget) (session.Session, error) {
	held, err := st.Slots(repo.CommonDir)
	if err != nil {
		return session.Session{}, err
	}
	slot, err := session.FreeSlot(held, cfg.MaxSlots)
	if err != nil {
		return session.Session{}, err
	}
	s, wants, err := draft(ctx, repo, cfg, t, slot)
	if err != nil {
		return session.Session{}, err
	}
	leases, err := st.Leases()
	if err != nil {
		return session.Session{}, err
	}
	others := map[int]string{}
	for port, by := range leases {
		others[port] = by.Slug
	}
	s.Key, s.Slot = t.key, slot
	if s.Ports, err = session.Reserve(nil, wants, others); err != nil {
		return s, err
	}
	had, err := steps.ConfigOf(s)
	if err != nil {
		return s, err
	}
	further, err := steps.FurtherWants(ctx, had, s, composeDir(s))
	if err != nil { // up may find other files, those of the branch
		a.warn("of the ports of what runs in Docker nothing is known here: %v", err)
		return s, nil
	}
	s.Ports, err = session.Reserve(s.Ports, further, others)
	return s, err
}

// tellUnchosen says which services a session does without, because others were chosen:
// whoever misses one at work should not have to guess. The compose files are those in dir.
func (a *app) tellUnchosen(ctx context.Context, cfg settings.Config, dir string) {
	if names := steps.Unchosen(ctx, cfg, dir); len(names) > 0 {
		a.sink().Notify(saga.Notice{Time: time.Now(), Message: "not chosen: " + strings.Join(names, ", ")})
	}
}

// composeDir is where the compose files of a session are read before it has a worktree:
// that will have what the branch has, which is mostly the same.
func composeDir(s session.Session) string {
	if exists(s.Worktree) {
		return s.Worktree
	}
	return s.Root
}

// planResult is what up prints with --dry-run --json.
type planResult struct {
	Slug  string     `json:"slug"`
	Slot  int        `json:"slot"`
	Ports portMap    `json:"ports"`
	Steps []planStep `json:"steps"`
}

// planStep is a step of the plan.
type planStep struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Needs   []string `json:"needs"`
	Cause   string   `json:"cause"`
	Does    string   `json:"does"`
	Reverts string   `json:"reverts"`
	Phase   string   `json:"phase"`
}

func (a *app) printPlan(s session.Session) error {
	list := make([]planStep, 0, len(s.Plan.Steps))
	for i, spec := range s.Plan.Steps {
		step := planStep{spec.Name, spec.Kind, append([]string{}, spec.Needs...), spec.Cause, spec.Does, spec.Reverts, "planned"}
		if i < len(s.Progress.Steps) {
			step.Phase = string(s.Progress.Steps[i].Phase)
		}
		list = append(list, step)
	}
	if a.json {
		return writeJSON(a.Stdout, planResult{s.Slug, s.Slot, ports(s), list})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "plan of %s (slot %d, worktree %s)\n", s.Slug, s.Slot, s.Worktree)
	if len(s.Ports) > 0 {
		fmt.Fprintf(&b, "ports  %s\n", portList(s.Ports))
	}
	for i, step := range list {
		needs := ""
		if len(step.Needs) > 0 {
			needs = " after " + strings.Join(step.Needs, ", ")
		}
		phase := ""
		if step.Phase != "planned" {
			phase = ", now " + step.Phase
		}
		fmt.Fprintf(&b, "%2d  %s%s (%s%s)\n      do          %s\n      compensate  %s\n", i+1, step.Name, needs, step.Cause, phase, below(step.Does), below(step.Reverts))
	}
	return a.print("%s", b.String())
}

// below puts the further lines of a text, as of a script, below its first.
func below(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n                  ")
}
