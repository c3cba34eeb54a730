package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// upTarget says which session an up is for.
type upTarget struct {
	key session.Key
	// branch is empty when an existing session is meant by its slug; had is that
	// session's, for when it is gone by the time it is to be brought up.
	branch, had string
	from        string
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
	counts, err := config.Read(filepath.Join(repo.Root, config.Name))
	if err != nil {
		return false
	}
	var own []byte
	if t.worktree != "" {
		own, err = config.Read(filepath.Join(t.worktree, config.Name))
	} else {
		own, err = repo.FileAt(ctx, cmp.Or(t.from, "refs/heads/"+t.branch), config.Name)
	}
	lines := func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) }
	return err == nil && !bytes.Equal(lines(counts), lines(own))
}

// upTarget works out which session the arguments mean. Where --from says where a branch
// begins, it is the branch of the very name.
func (a *app) upTarget(ctx context.Context, repo git.Repo, args []string, from string) (upTarget, error) {
	st, err := a.openStore()
	if err != nil {
		return upTarget{}, err
	}
	if len(args) == 1 {
		return a.branchTarget(ctx, st, repo, args[0], from)
	}
	s, ok, err := a.here(st, repo.CommonDir)
	if err != nil || ok {
		return upTarget{key: s.Key, had: s.Branch}, err
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
		return a.branchTarget(ctx, st, repo, branch, from)
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
		return upTarget{}, hintSlug(ctx, repo, name, err)
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
	target.branch, target.had = "", s.Branch
	return target, nil
}

// hintSlug names a branch that would do in place of one that no slug can be made of, such
// as "a": one that begins at it, if it is there. A branch of the user's is not renamed.
func hintSlug(ctx context.Context, repo git.Repo, name string, err error) error {
	letters := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	other := "feat-" + cmp.Or(letters, "1")
	if taken, failed := repo.HasBranch(ctx, other); failed != nil || taken {
		return err
	}
	hint := "ecluse up " + other
	res, failed := repo.Resolve(ctx, name, "")
	switch {
	case as[*git.CheckedOutError](failed) || failed == nil && res.Kind == git.KindLocal:
		hint += " --from " + git.Quote(name)
	case failed == nil && res.Kind != git.KindNew:
		return err // what begins at a remote's branch would follow it
	}
	return hinted{err, hint}
}

// branchTarget is the session that the user has named. A slug, of which there is neither
// a session nor a branch, means the branch that has this slug: so ls and down name it.
func (a *app) branchTarget(ctx context.Context, st session.Store, repo git.Repo, name, from string) (upTarget, error) {
	target, err := namedTarget(ctx, st, repo, name)
	if err != nil || name != target.key.Slug || from != "" {
		return target, err
	}
	if _, err := st.Get(target.key); !errors.Is(err, session.ErrNotFound) {
		return target, err
	}
	if res, err := repo.Resolve(ctx, name, ""); err != nil || res.Kind != git.KindNew {
		return target, nil //nolint:nilerr // whoever makes the session says it
	}
	alike, err := repo.BranchesThat(ctx, func(branch string) bool {
		slug, err := session.Slug(branch)
		return err == nil && slug == name && git.CheckBranch(branch) == nil
	})
	switch {
	case err != nil || len(alike) == 0:
		return target, err
	case len(alike) > 1:
		var hints []string
		for _, branch := range alike {
			hints = append(hints, "ecluse up "+git.Quote(branch))
		}
		return target, advised{usagef("there is no branch %s, and it is the slug of several: %s; pass one of them", name, strings.Join(alike, ", ")), hints}
	}
	target.branch = alike[0]
	a.warn("there is no branch %s; it is the slug of branch %s, and that is taken (`--from HEAD` would begin a new branch %[1]s)", name, alike[0])
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
	switch by, failed := a.holderOf(out.Path); {
	case failed != nil:
		return err
	case by != "": // somebody has renamed its branch, or switched to another one
		return hinted{inSession{out, by}, "ecluse status " + by}
	}
	return hinted{reusable{out}, "ecluse up " + git.Quote(out.Branch) + " --reuse-worktree"}
}

// reusable is a branch that is checked out in a worktree which a session can adopt.
type reusable struct{ *git.CheckedOutError }

// Error names that way first.
func (e reusable) Error() string {
	return fmt.Sprintf("branch %s is checked out in %s; --reuse-worktree makes a session of that, or free the branch with: git -C %s switch --detach",
		e.Branch, e.Path, git.Quote(e.Path))
}

func (e reusable) Unwrap() error { return e.CheckedOutError }

// inSession is a branch that is checked out in the worktree of a session.
type inSession struct {
	*git.CheckedOutError
	by string
}

// Error names the session: to free the branch would take it from under who works there.
func (e inSession) Error() string {
	return fmt.Sprintf("branch %s is checked out in %s, the worktree of session %s: use that, or switch to another branch there first",
		e.Branch, e.Path, e.by)
}

func (e inSession) Unwrap() error { return e.CheckedOutError }
