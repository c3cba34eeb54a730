package look

import (
	"context"
	"fmt"
	"path/filepath"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// Merged is the branch that the session's was merged into; empty if it was not, or has
// no commit of its own yet.
func Merged(ctx context.Context, repo git.Repo, s session.Session) (string, error) {
	base := ""
	if fact, _ := steps.WorktreeOf(s); fact.BranchMade {
		base = fact.Resolution.Base
	}
	return repo.MergedInto(ctx, s.Branch, base)
}

// InUse says what speaks against taking a session down that nobody asked to be taken
// down: work that is not committed, or somebody who is in its worktree. It is empty if
// nothing does.
func InUse(ctx context.Context, repo git.Repo, s session.Session) (string, error) {
	if dirty, err := repo.Dirty(ctx, s.Worktree); err != nil || dirty {
		return "its worktree holds work that is not committed", err
	}
	snap, err := proc.Snap()
	if err != nil {
		return "", err
	}
	own := map[proc.ID]bool{}
	for _, id := range snap.Marked(settings.EnvSession, settings.EnvSession+"="+s.ID)[s.ID] {
		step, _ := proc.Variable(id.PID, settings.EnvStep)
		own[id] = step != ""
	}
	for _, id := range snap.Processes() {
		cwd, ok := proc.Cwd(id.PID)
		if !ok || own[id] || proc.Container(id.PID) != "" {
			continue
		}
		if rel, err := filepath.Rel(s.Worktree, cwd); err == nil && filepath.IsLocal(rel) {
			return fmt.Sprintf("%s is at work in its worktree", proc.Describe(id)), nil
		}
	}
	return "", nil
}
