package cli

import (
	"context"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
	"ecluse/steps/look"
	"ecluse/steps/rebuild"
	"ecluse/store"
)

// original tells of sessions that the original tool has in the repository, and how each
// becomes one of ours. Its files are only read.
func (d *doctor) original(ctx context.Context, all []session.Session) {
	repo, err := d.repository(ctx)
	if err != nil {
		return // said already
	}
	list, err := rebuild.FormerSessions(repo.Root)
	if err != nil {
		d.say("original", verdictWarn, "", "%v", err)
		return
	}
	trees, err := repo.Worktrees(ctx)
	if err != nil {
		d.say("original", verdictWarn, "", "%v", err)
		return
	}
	none := !slices.ContainsFunc(all, func(s session.Session) bool { return s.Repo == repo.CommonDir })
	since := len(d.found)
	for _, one := range list {
		key := session.Key{Repo: repo.CommonDir, Slug: one.Slug}
		there := slices.ContainsFunc(trees, func(w git.Worktree) bool {
			return git.Same(w.Path, one.Worktree) && w.Branch == one.Branch && exists(w.Path)
		})
		if !there || d.wasOurs(key, all) {
			continue // it is ours by now, or was, or nothing can be made of it
		}
		fix, how := "ecluse -C "+git.Quote(one.Worktree)+" up", "that adopts its worktree"
		switch {
		case none && one.Status != "pending":
			fix, how = "ecluse -C "+git.Quote(repo.Root)+" doctor --rebuild", "that takes it over with its slot and ports"
		case d.runsIn(repo, one.Worktree):
			fix, how = "ecluse -C "+git.Quote(one.Worktree)+" sync", "that adopts it with what runs there"
		}
		if one.Project != "" {
			how += "; remove its containers before with: docker compose -p " + git.Quote(one.Project) + " down"
		}
		d.say("original", verdictWarn, fix, "the original tool has a session %s; %s", one.Slug, how).of(key)
	}
	if len(list) > 0 {
		d.well(since, "original", "no session of the original tool waits to become ours; delete %s when nothing of it is needed any more", rebuild.FormerPath(repo.Root))
	}
}

// wasOurs reports whether a session of that name is ours, or was.
func (d *doctor) wasOurs(key session.Key, all []session.Session) bool {
	if slices.ContainsFunc(all, func(s session.Session) bool { return s.Key == key }) {
		return true
	}
	past, err := d.store.History(store.Filter{Repo: key.Repo, Slug: key.Slug})
	return err == nil && len(past) > 0
}

// runsIn reports whether services of the configuration run in a worktree.
func (d *doctor) runsIn(repo git.Repo, worktree string) bool {
	cfg, err := steps.LoadConfig(repo.Root)
	if err != nil {
		return false
	}
	found, _, err := look.Discover(cfg, worktree)
	return err == nil && len(found) > 0
}
