package rebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"ecluse/saga/session"
	"ecluse/steps/git"
	"ecluse/steps/plain"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// FormerSession is a session of the original tool, as its state file has it.
type FormerSession struct {
	Slug     string         `json:"slug"`
	Mode     string         `json:"mode"`
	Slot     int            `json:"slot"`
	Branch   string         `json:"branch"`
	Worktree string         `json:"worktree_path"`
	Status   string         `json:"status"` // empty is active
	Project  string         `json:"compose_project"`
	Ports    map[string]int `json:"port_overrides"`
}

// maxFormer bounds a state file of the original tool, in megabytes.
const maxFormer = 16

// FormerPath is where the original tool keeps the sessions of a repository.
func FormerPath(root string) string { return filepath.Join(root, ".ecluse", "state.json") }

// FormerSessions are those that the original tool has in a repository. Its file is only
// read.
func FormerSessions(root string) ([]FormerSession, error) {
	path := FormerPath(root)
	data, err := plain.Read(path, maxFormer)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the original tool's state: %w", err)
	}
	var state struct {
		Sessions []FormerSession `json:"sessions"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return nil, fmt.Errorf("read the original tool's state: %s: %w", path, err)
	}
	return state.Sessions, nil
}

// former takes the sessions of the original tool as evidence: their worktrees are the
// user's, as far as we are concerned, and their slots and ports are kept.
func (g *gatherer) former(ctx context.Context, repo git.Repo) error {
	list, err := FormerSessions(repo.Root)
	if err != nil || len(list) == 0 {
		return err
	}
	all, err := repo.Worktrees(ctx)
	if err != nil {
		return err
	}
	for _, one := range list {
		key := session.Key{Repo: repo.CommonDir, Slug: one.Slug}
		if session.CheckSlug(one.Slug) != nil || g.found[key] != nil {
			continue // it is ours by now
		}
		e := &Evidence{
			Key: key, Root: repo.Root, Branch: one.Branch, Mode: one.Mode, Worktree: one.Worktree, Slot: one.Slot,
			Former: true, Found: []string{FormerPath(repo.Root)}, vars: map[string]string{}, marked: map[string][]proc.ID{},
		}
		if why := one.unusable(all); why != "" {
			g.doubt(*e, why, "")
			continue
		}
		e.takeOver(one)
		if one.Project != "" {
			g.doubt(*e, fmt.Sprintf("the containers of session %s are in the original tool's compose project %s, and hold its ports: remove them before you bring it up", one.Slug, one.Project),
				"docker compose -p "+git.Quote(one.Project)+" down")
		}
		g.found[key] = e
	}
	return nil
}

// unusable says why no session of ours can be made of one of the original tool, or
// nothing. All are the worktrees of its repository.
func (f FormerSession) unusable(all []git.Worktree) string {
	if f.Status == "pending" {
		return fmt.Sprintf("the original tool is at work on session %s, or was cut off; end it with that", f.Slug)
	}
	here := func(w git.Worktree) bool { return git.Same(w.Path, f.Worktree) && w.Branch == f.Branch }
	if f.Branch == "" || !slices.ContainsFunc(all, here) {
		return fmt.Sprintf("session %s of the original tool has no worktree of branch %s at %s any more", f.Slug, f.Branch, f.Worktree)
	}
	return ""
}

// takeOver notes the variables and the ports that a session of the original tool has.
func (e *Evidence) takeOver(f FormerSession) {
	if vars, known, err := readEnvFile(f.Worktree); err == nil && known {
		e.vars = vars
	}
	for name, port := range f.Ports {
		e.vars[portVariable(name)] = strconv.Itoa(port)
	}
}

// portVariable is the variable of a lease.
func portVariable(lease string) string { return "ECLUSE_" + settings.EnvKey(lease) + "_PORT" }
