package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/git"
	"ecluse/steps/look"
	"ecluse/steps/settings"
)

func newSync(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "sync [SLUG]", GroupID: groupLife, Short: "make a session of what runs in a worktree already",
		Long: `Look for the native services of .ecluse.toml among the processes that run in a
worktree, and make a session of them: at the ports that they really listen on, and
with .env.ecluse to match. Nothing is started, and no hook is run. From then on the
session is like any other; ecluse down stops what it has adopted.

A service is found by its command: a process in the worktree, or below it, whose
command line has the same words. What is not found is warned of, and is no part of
the session until it is taken down and brought up; nor is what runs in Docker.

With a session that exists, services are adopted that were restarted by hand at
their ports. Without SLUG it is the worktree that you are in.`,
		Example: `  cd ../my-worktree && ecluse sync
  ecluse sync feat-x --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.sync(args) },
	}
}

// syncResult is what sync prints with --json: what up does, and the services.
type syncResult struct {
	upResult
	Synced []syncedView `json:"synced"`
}

type syncedView struct {
	Service string `json:"service"`
	Port    int    `json:"port"`
}

func (a *app) sync(args []string) error {
	ctx := context.Background()
	repo, err := a.repository(ctx)
	if err != nil {
		return err
	}
	cfg, err := a.config(repo)
	if err != nil {
		return err
	}
	target, err := a.syncTarget(ctx, repo, args)
	if err != nil {
		return err
	}
	if target.worktree == "" {
		return a.syncAgain(target.key)
	}
	// No lock is held while we look.
	found, missing, err := look.Discover(cfg, target.worktree)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return hinted{noError{fmt.Errorf("nothing that is a service in .ecluse.toml runs in %s", target.worktree)}, "ecluse -C " + git.Quote(target.worktree) + " up"}
	}
	for _, name := range missing {
		a.warn("service %s does not run in %s, and is left out of the session", name, target.worktree)
	}
	if contained := containedServices(cfg); len(contained) > 0 {
		a.warn("what runs in Docker is not looked for, and is left out of the session: %s", strings.Join(contained, ", "))
	}
	synced, err := look.Synced(cfg, found)
	if err != nil {
		return err
	}
	target.choice = synced.Choice
	return a.syncUp(session.UpRequest{
		Key: target.key, Branch: target.branch, MaxSlots: cfg.MaxSlots,
		Fits: func(s session.Session) error {
			return &session.BusyError{Key: s.Key, Owner: s.Run.Owner, Step: session.Describe(s)} // it was made meanwhile
		},
		New: func(ctx context.Context, slot int) (session.Session, []session.Want, error) {
			s, wants, err := draft(ctx, repo, synced, target, slot)
			look.Occupied(wants, found)
			return s, wants, err
		},
	})
}

// containedServices names the services of a configuration that run in Docker; where it
// names none, its compose files do.
func containedServices(cfg settings.Config) []string {
	if cfg.Mode == settings.ModeHost {
		return nil
	}
	var names []string
	for _, service := range cfg.Services {
		if !service.Native() {
			names = append(names, service.Name)
		}
	}
	if len(names) == 0 {
		names = []string{"all in the compose files"}
	}
	return names
}

// syncTarget works out which worktree the arguments mean: one of a session that exists,
// or else one of the user's, whose path is then set.
func (a *app) syncTarget(ctx context.Context, repo git.Repo, args []string) (upTarget, error) {
	st, err := a.openStore()
	if err != nil {
		return upTarget{}, err
	}
	slug := ""
	if len(args) == 1 {
		if slug, err = session.Slug(args[0]); err != nil {
			return upTarget{}, err
		}
		key := session.Key{Repo: repo.CommonDir, Slug: slug}
		if _, err := st.Get(key); !errors.Is(err, session.ErrNotFound) {
			return upTarget{key: key}, err
		}
	} else if s, ok, err := a.here(st, repo.CommonDir); err != nil || ok {
		return upTarget{key: s.Key}, err
	}
	return a.syncWorktree(ctx, repo, slug)
}

// syncWorktree finds the worktree of the user's that has a branch of that slug, or that
// the command is run in if there is none.
func (a *app) syncWorktree(ctx context.Context, repo git.Repo, slug string) (upTarget, error) {
	all, err := repo.Worktrees(ctx)
	if err != nil {
		return upTarget{}, err
	}
	dir, err := filepath.EvalSymlinks(a.dir)
	if err != nil {
		return upTarget{}, fmt.Errorf("resolve %s: %w", a.dir, err)
	}
	for _, w := range all {
		if w.Path == repo.Root || slug == "" && !within(dir, w.Path) {
			continue
		}
		if slug == "" && w.Branch == "" {
			return upTarget{}, usagef("the worktree %s is not on a branch; switch to one", w.Path)
		}
		name, err := session.Slug(w.Branch)
		if slug != "" && (err != nil || name != slug) {
			continue
		}
		return upTarget{key: session.Key{Repo: repo.CommonDir, Slug: name}, branch: w.Branch, worktree: w.Path}, err
	}
	if slug != "" {
		return upTarget{}, hinted{fmt.Errorf("%w, and no worktree of a branch of that name", notFound{slug: slug}), "git worktree list"}
	}
	return upTarget{}, hinted{usagef("%s is in no worktree but the main one, which is nobody's session; go to the worktree, or pass its slug", a.dir), "git worktree list"}
}

// syncAgain adopts what runs in the place of services of a session that is up.
func (a *app) syncAgain(key session.Key) error {
	s, err := a.active([]string{key.Slug})
	if err != nil {
		return err
	}
	yes, no, err := look.Adoptable(s)
	if err != nil {
		return err
	}
	switch {
	case len(no) > 0 && len(yes) > 0:
		return hinted{noError{fmt.Errorf("%s can be adopted, but %s must be started; up does both", strings.Join(yes, ", "), strings.Join(no, ", "))}, "ecluse up " + s.Slug}
	case len(no) > 0:
		return hinted{noError{fmt.Errorf("nothing runs in the place of %s", strings.Join(no, ", "))}, "ecluse up " + s.Slug}
	case len(yes) == 0:
		return a.showSync(s, false)
	}
	return a.syncUp(session.UpRequest{Key: key})
}

// syncUp brings the session up, which adopts.
func (a *app) syncUp(req session.UpRequest) error {
	stops := a.listen()
	m, err := a.manager()
	if err != nil {
		return err
	}
	s, changed, err := m.Up(stops, req)
	if err != nil {
		return err
	}
	return a.showSync(s, changed)
}

// showSync prints the session, and what it has adopted.
func (a *app) showSync(s session.Session, changed bool) error {
	a.sink() // for the warnings
	var list []syncedView
	for _, name := range look.AdoptedOf(s) {
		list = append(list, syncedView{name, s.Ports[name]})
	}
	if a.json {
		up, err := a.resultOf(s, changed)
		if err != nil {
			return err
		}
		return writeJSON(a.Stdout, syncResult{up, append([]syncedView{}, list...)})
	}
	if err := a.showUp(s, changed); err != nil {
		return err
	}
	for _, one := range list {
		if err := a.print("  adopted   %s at port %d\n", one.Service, one.Port); err != nil {
			return err
		}
	}
	return nil
}

// warn shows a warning, and keeps it for the result.
func (a *app) warn(format string, args ...any) {
	a.sink().Notify(saga.Notice{Time: time.Now(), Warning: true, Message: fmt.Sprintf(format, args...)})
}
