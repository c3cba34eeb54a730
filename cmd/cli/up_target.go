package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// upTarget says which session an up is for.
type upTarget struct {
	key session.Key
	// branch is empty when an existing session is meant by its slug.
	branch string
	from   string
	// worktree is set when a worktree of the user's is to be adopted.
	worktree string
	// choice is for a session that does not exist yet; fits refuses one that
	// does and was made with another one.
	choice settings.Choice
	fits   func(session.Session) error
}

// hasOwnConfig reports whether the worktree that is to be adopted, or the branch, has a
// configuration that is not the main worktree's: that one is not read. A branch that is
// not here yet is not fetched to find out.
func (t upTarget) hasOwnConfig(ctx context.Context, repo git.Repo) bool {
	counts, err := os.ReadFile(filepath.Join(repo.Root, config.Name))
	if err != nil {
		return false
	}
	var own []byte
	if t.worktree != "" {
		own, err = os.ReadFile(filepath.Join(t.worktree, config.Name))
	} else {
		own, err = repo.FileAt(ctx, cmp.Or(t.from, "refs/heads/"+t.branch), config.Name)
	}
	lines := func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) }
	return err == nil && !bytes.Equal(lines(counts), lines(own))
}

// upTarget works out which session the arguments mean.
func (a *app) upTarget(ctx context.Context, repo git.Repo, args []string) (upTarget, error) {
	st, err := a.openStore()
	if err != nil {
		return upTarget{}, err
	}
	if len(args) == 1 {
		return namedTarget(ctx, st, repo, args[0])
	}
	s, ok, err := a.here(st, repo.CommonDir)
	if err != nil || ok {
		return upTarget{key: s.Key}, err
	}
	own, err := a.linked(ctx, repo)
	switch {
	case err != nil:
		return upTarget{}, err
	case own.Path == "" && a.asks():
		branch, err := a.askBranch()
		if err != nil {
			return upTarget{}, err
		}
		return namedTarget(ctx, st, repo, branch)
	case own.Path == "":
		return upTarget{}, usagef("no branch was named, and %s is no worktree of a session; pass a branch: ecluse up BRANCH", a.dir)
	case own.Branch == "":
		return upTarget{}, usagef("the worktree %s is not on a branch; switch to one, or name it", own.Path)
	}
	target, err := namedTarget(ctx, st, repo, own.Branch)
	target.worktree = own.Path
	return target, err
}

// askBranch asks in a terminal for a branch.
func (a *app) askBranch() (string, error) {
	if branch, _ := a.question("Branch? "); branch != "" {
		return branch, nil
	}
	return "", usagef("no branch was named, and nothing was made; pass a branch: ecluse up BRANCH")
}

// namedTarget is the session that a branch, or a slug, names. What is a branch and the
// slug of another branch's session means the branch.
func namedTarget(ctx context.Context, st session.Store, repo git.Repo, name string) (upTarget, error) {
	if err := git.CheckBranch(name); err != nil {
		return upTarget{}, usageError{err}
	}
	slug, err := session.Slug(name)
	if err != nil {
		return upTarget{}, err
	}
	target := upTarget{key: session.Key{Repo: repo.CommonDir, Slug: slug}, branch: name}
	s, err := st.Get(target.key)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return target, nil
	case err != nil || name != slug || s.Branch == name:
		return target, err
	}
	res, err := repo.Resolve(ctx, name, "")
	switch {
	case as[*git.CheckedOutError](err) || err == nil && res.Kind != git.KindNew:
		return target, session.Taken(s, name)
	case err != nil && !errors.Is(err, git.ErrUnborn):
		return target, err
	}
	target.branch = ""
	return target, nil
}

// reuse has an up that makes a session adopt the worktree in which its branch is checked
// out, if there is one. Of a session that exists the worktree is known.
func (a *app) reuse(ctx context.Context, repo git.Repo, t upTarget) (upTarget, error) {
	switch _, err := a.store.Get(t.key); {
	case t.worktree != "":
		return t, nil
	case !errors.Is(err, session.ErrNotFound):
		return t, err
	}
	all, err := repo.Worktrees(ctx)
	if err != nil {
		return t, err
	}
	i := slices.IndexFunc(all, func(w git.Worktree) bool { return w.Branch == t.branch && w.Path != repo.Root && exists(w.Path) })
	if i < 0 {
		return t, nil
	}
	t.worktree = all[i].Path
	by, err := a.holderOf(t.worktree)
	if err == nil && by != "" {
		err = hinted{usagef("the worktree %s has branch %s checked out, and is that of session %s", t.worktree, t.branch, by), "ecluse ls"}
	}
	return t, err
}

// holderOf is the session whose worktree that is; empty if it is none's.
func (a *app) holderOf(path string) (slug string, err error) {
	all, err := a.store.List()
	i := slices.IndexFunc(all, func(s session.Session) bool { return s.Worktree == path })
	if err != nil || i < 0 {
		return "", err
	}
	return all[i].Slug, nil
}

// hintReuse points to the worktree of the user's own that has a branch checked out.
func (a *app) hintReuse(o upOptions, err error) error {
	var out *git.CheckedOutError
	if !errors.As(err, &out) || o.from != "" || as[*session.RunError](err) || out.Gone || out.Path == out.Root {
		return err
	}
	if by, failed := a.holderOf(out.Path); failed != nil || by != "" {
		return err
	}
	return hinted{err, "ecluse up " + git.Quote(out.Branch) + " --reuse-worktree"}
}
