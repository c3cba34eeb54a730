package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ecluse/saga/session"
	"ecluse/steps/git"
	"ecluse/steps/rebuild"
	"ecluse/steps/settings"
	"ecluse/store"
)

// takeOver makes sessions of ours of those that the original tool has in the repository,
// if that has none of ours yet. The state is sound, and no other record in it changes;
// else it is not a thing to be rebuilt.
func (a *app) takeOver(ctx context.Context, o doctorOptions, st *store.Store) error {
	sound := hinted{usagef("%s can be read, all of it: nothing is to be rebuilt", st.Path()), "ecluse doctor"}
	repo, err := a.repository(ctx)
	if err != nil {
		return sound
	}
	list, err := rebuild.FormerSessions(repo.Root)
	if err != nil || len(list) == 0 {
		return sound
	}
	all, err := st.List()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(s session.Session) bool { return s.Repo == repo.CommonDir }) {
		return hinted{usagef("%s can be read, all of it, and %s has sessions in it: those of the original tool become ours one by one", st.Path(), repo.Root), "ecluse doctor"}
	}
	rows, result, err := a.surveyFormer(ctx, st, repo, all)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return a.showRebuilt(result, "no session of the original tool can be taken over")
	}
	if result.DryRun = o.dryRun; o.dryRun {
		return a.showRebuilt(result, "nothing was changed")
	}
	if agreed, err := a.agreeRebuild(o, result, "Add these sessions to the state?"); err != nil || !agreed {
		return err
	}
	if err := st.Add(repo.CommonDir, rows); err != nil {
		return err
	}
	text := fmt.Sprintf("%d of the original tool were taken over; all else in %s is as it was", len(rows), st.Path())
	if a.asks() && !o.yes {
		return a.print("%s\n", text) // the rest was seen
	}
	return a.showRebuilt(result, text)
}

// surveyFormer looks what the original tool's sessions in a repository would be, beside
// all that there are. It changes nothing.
func (a *app) surveyFormer(ctx context.Context, st *store.Store, repo git.Repo, all []session.Session) ([]session.Session, rebuildResult, error) {
	ours := func(func(string) string) bool { return true }
	traces := rebuild.Traces{Here: &repo, Known: st.Known, Home: st, Ours: ours}
	gathered, err := traces.Gather(ctx)
	if err != nil {
		return nil, rebuildResult{}, err
	}
	gathered.Evidence = slices.DeleteFunc(gathered.Evidence, func(e rebuild.Evidence) bool { return !e.Former })
	gathered.Doubts = slices.DeleteFunc(gathered.Doubts, func(d rebuild.Doubt) bool { return d.Repo != repo.CommonDir })
	traces.Sessions = all
	r := rebuild.Rebuilding{Traces: traces, Now: time.Now(), Config: func(root string) (settings.Config, error) {
		return a.config(git.Repo{Root: root})
	}}
	rows, doubts, err := r.Rows(ctx, gathered)
	if err != nil {
		return nil, rebuildResult{}, err
	}
	rows = slices.DeleteFunc(rows, func(row rebuild.Rebuilt) bool { return row.From != rebuild.FromFormer })
	sessions := make([]session.Session, len(rows))
	for i, row := range rows {
		sessions[i] = row.Session
	}
	return sessions, resultOf(st, rows, doubts, gathered.Blind), nil
}
