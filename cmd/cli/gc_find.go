package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/git"
	"ecluse/steps/look"
	"ecluse/store"
)

// ground is where leftovers are looked for.
type ground struct {
	look.Search
	repos []git.Repo
	// blind names what could not be looked at, and why; lost are docker contexts of
	// earlier sessions that there are no more, which is not a fault.
	blind []error
	lost  []*look.PlaceError
}

// ground is the repository, or the whole machine. It writes nothing.
func (a *app) ground(ctx context.Context, o gcOptions) (*ground, error) {
	st, err := a.openStore()
	if err != nil {
		return nil, err
	}
	g := &ground{Search: look.Search{
		Former: map[string]look.Former{}, Age: time.Duration(o.olderThan), TrashAge: time.Duration(o.trash), Now: time.Now(),
	}}
	if !o.all {
		if g.Repo, err = a.commonDir(ctx, st); err != nil {
			return nil, err
		}
	}
	// What sessions there were is read first: one that begins meanwhile is none of them.
	runs, err := st.Runs(store.Filter{})
	if err != nil && runs == nil {
		return nil, err
	}
	if g.Sessions, err = st.List(); err != nil {
		if g.Unreadable = store.Unreadable(err); len(g.Unreadable) == 0 {
			return nil, err
		}
		g.blind = append(g.blind, err)
	}
	roots := g.remember(runs)
	for repo, root := range roots {
		if (g.Repo == "" || g.Repo == repo) && exists(repo) {
			g.open(ctx, root, repo)
		}
	}
	if _, known := roots[g.Repo]; g.Repo != "" && !known {
		g.open(ctx, a.dir, g.Repo) // there was no session in it yet
	}
	if err := g.places(st); err != nil {
		return nil, err
	}
	slices.SortFunc(g.repos, func(a, b git.Repo) int { return cmp.Compare(a.Root, b.Root) })
	return g, nil
}

// places notes where sessions have, or had, their containers.
func (g *ground) places(st *store.Store) error {
	for _, s := range g.Sessions {
		place, known := steps.PlaceOf(s)
		g.at(place, known, time.Time{})
	}
	entries, err := st.History(store.Filter{Repo: g.Repo})
	if err != nil && entries == nil {
		return err
	}
	for _, entry := range entries {
		place, known := steps.PlaceIn(entry)
		when := entry.Time
		if f, ended := g.Former[entry.ID]; ended && f.Ended.After(when) {
			when = f.Ended
		}
		g.at(place, known, when)
	}
	return nil
}

// remember notes the sessions that there were, and returns the main worktrees of their
// repositories.
func (g *ground) remember(runs []store.Run) (roots map[string]string) {
	roots = map[string]string{}
	for _, run := range runs {
		ended := run.EndedAt
		if ended.IsZero() {
			ended = run.StartedAt
		}
		g.Former[run.Session] = look.Former{Key: run.Key, Ended: ended}
		roots[run.Repo] = run.Root
	}
	return roots
}

// at adds a place where a session had containers, once, with when the last one was there:
// zero for one that there is.
func (g *ground) at(place docker.Place, known bool, when time.Time) {
	if !known || place == (docker.Place{}) {
		return
	}
	i := slices.IndexFunc(g.Places, func(s look.Spot) bool { return s.Place == place })
	switch {
	case i < 0:
		g.Places = append(g.Places, look.Spot{Place: place, Left: when})
	case !g.Places[i].Left.IsZero() && when.After(g.Places[i].Left):
		g.Places[i].Left = when
	}
}

// unseen takes note of something that could not be asked.
func (g *ground) unseen(err error) {
	var at *look.PlaceError
	switch {
	case errors.Is(err, docker.ErrMissing): // without Docker there is nothing in it
	case !errors.As(err, &at) || at.Left.IsZero():
		g.blind = append(g.blind, err)
	case !at.Matters(g.Now): // it was told for long enough
	case errors.Is(err, docker.ErrNoContext):
		g.lost = append(g.lost, at)
	default:
		g.blind = append(g.blind, err)
	}
}

// open adds a repository.
func (g *ground) open(ctx context.Context, dir, repo string) {
	switch r, err := git.Open(ctx, dir); {
	case err != nil:
		g.blind = append(g.blind, err)
	case r.CommonDir == repo:
		g.repos = append(g.repos, r)
	}
}

// leftovers lists what belongs to no session. It writes nothing. What could not be
// looked at is said.
func (a *app) leftovers(ctx context.Context, o gcOptions) ([]*leftover, error) {
	g, err := a.ground(ctx, o)
	if err != nil {
		return nil, err
	}
	found := a.search(ctx, g)
	for _, err := range g.blind {
		if !a.quiet {
			fmt.Fprintf(a.Stderr, "warning: not looked at: %v\n", err)
		}
	}
	for _, at := range g.lost {
		if !a.quiet {
			fmt.Fprintf(a.Stderr, "note: docker has no context %s any more, where earlier sessions had containers, so nothing was looked for there; "+
				"this is told until %s, or until the context is there again\n", at.Context, at.Until().Format(time.DateOnly))
		}
	}
	return found, nil
}

// search looks for leftovers on a ground.
func (a *app) search(ctx context.Context, g *ground) []*leftover {
	var found []*leftover
	add := func(list []look.Residue, err error) {
		for _, one := range apart(err) {
			g.unseen(one)
		}
		part := make([]*leftover, 0, len(list))
		for _, r := range list {
			part = append(part, left(r))
		}
		slices.SortStableFunc(part, func(a, b *leftover) int { return cmp.Compare(a.Kind+a.Name, b.Kind+b.Name) })
		found = append(found, part...)
	}
	add(g.Processes())
	add(g.Docker(ctx))
	for _, repo := range g.repos {
		add(g.Worktrees(ctx, repo))
		add(g.SavedWork(ctx, repo))
		add(g.Databases(ctx, repo))
	}
	return append(found, a.strays(g)...)
}

// apart are the errors that errors.Join has joined, each of them something that could not
// be asked. One that only wraps several says more than they do.
func apart(err error) []error {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok && errors.Join(several.Unwrap()...).Error() == err.Error() {
		return several.Unwrap()
	}
	return []error{err}
}

// strays are files of the state that are of no session.
func (a *app) strays(g *ground) []*leftover {
	list, err := a.store.Strays()
	if err != nil && len(store.Unreadable(err)) == 0 {
		g.blind = append(g.blind, err)
	}
	var found []*leftover
	for _, stray := range list {
		l := &leftover{
			Kind: stray.Kind, Name: stray.Path, Why: "of a session that is gone", Size: stray.Size, Since: &stray.Changed,
			remove: func(context.Context) error { return a.store.RemoveStray(stray) },
		}
		known := false
		for _, f := range g.Former {
			if stray.Of(f.Key) {
				l.Repo, l.Slug, known = f.Repo, f.Slug, true
			}
		}
		switch {
		case g.Repo != "" && l.Repo != g.Repo:
			continue // of another repository, or of who knows which
		case stray.Kind == store.StrayLogs && g.Now.Sub(stray.Changed) < g.Age:
			continue // to be read by whoever wants to know how it ended
		case !known:
			l.Why = "of a session that the state knows nothing of"
		}
		found = append(found, l)
	}
	return found
}

// candidates are the sessions that may be taken down.
func (a *app) candidates(ctx context.Context, o gcOptions) ([]*leftover, error) {
	m, err := a.looker()
	if err != nil {
		return nil, err
	}
	list, err := a.sessions(ctx, o.all)
	if err != nil {
		return nil, err
	}
	var found []*leftover
	for _, s := range list {
		status, err := m.Status(s)
		if err != nil || status.Owner != nil || status.State.Pending() {
			continue // it went, or somebody works on it, or recover is to finish it
		}
		l := &leftover{
			Kind: "session", Name: s.Slug, Repo: s.Repo, Slug: s.Slug, Since: &s.UpdatedAt, session: &s,
			Why: a.spent(ctx, o, s),
		}
		if l.Why == "" {
			continue
		}
		if l.Keep, err = a.stays(ctx, s); err != nil {
			l.Keep = err.Error()
		}
		found = append(found, l)
	}
	return found, nil
}

// spent says why a session may be over; empty if nothing says so.
func (a *app) spent(ctx context.Context, o gcOptions, s session.Session) string {
	if o.merged && exists(s.Root) {
		repo, err := git.Open(ctx, s.Root)
		if err == nil {
			into, err := look.Merged(ctx, repo, s)
			if err == nil && into != "" {
				return fmt.Sprintf("branch %s is merged into %s", s.Branch, into)
			}
		}
	}
	idle := s.State == fsm.Active || s.State == fsm.Stopped
	if o.old && idle && time.Since(s.UpdatedAt) >= time.Duration(o.olderThan) {
		return fmt.Sprintf("%s, and nothing has happened to it since", s.State)
	}
	return ""
}

// stays says why a session is not taken down unasked; empty if it may be.
func (a *app) stays(ctx context.Context, s session.Session) (string, error) {
	if dir, err := filepath.EvalSymlinks(a.dir); err == nil && within(dir, s.Worktree) {
		return "you are in its worktree", nil
	}
	repo, err := git.Open(ctx, s.Root)
	if err != nil {
		return "", err
	}
	return look.InUse(ctx, repo, s)
}
