package cli

import (
	"context"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
	"ecluse/steps/look"
	"ecluse/steps/rebuild"
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
	for _, one := range list {
		key := session.Key{Repo: repo.CommonDir, Slug: one.Slug}
		if slices.ContainsFunc(all, func(s session.Session) bool { return s.Key == key }) {
			continue // it is ours by now
		}
		if !exists(one.Worktree) {
			d.say("original", verdictWarn, "", "the original tool has a session %s, whose worktree %s is gone; end it with that", one.Slug, one.Worktree).of(key)
			continue
		}
		fix, how := "ecluse -C "+git.Quote(one.Worktree)+" up", "that adopts its worktree"
		switch {
		case !d.store.Exists():
			fix, how = "ecluse -C "+git.Quote(repo.Root)+" doctor --rebuild", "that takes it over with its slot and ports"
		case d.runsIn(repo, one.Worktree):
			fix, how = "ecluse -C "+git.Quote(one.Worktree)+" sync", "that adopts it with what runs there"
		}
		if one.Project != "" {
			how += "; remove its containers before with: docker compose -p " + git.Quote(one.Project) + " down"
		}
		d.say("original", verdictWarn, fix, "the original tool has a session %s; %s", one.Slug, how).of(key)
	}
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
