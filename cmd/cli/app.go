package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/term"

	"ecluse/cmd/display"
	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/config"
	"ecluse/steps/git"
	"ecluse/steps/settings"
	"ecluse/store"
)

// app is what the verbs share: the global flags, and what is wired together out
// of them once it is needed.
type app struct {
	Program

	json, quiet, verbose bool
	mode                 display.Mode
	dir                  string
	started              string      // where ecluse was started; -C leads elsewhere
	parsed               bool        // the command line was understood
	outer                steps.Outer // the session that ecluse was started in

	store   *store.Store
	answers *bufio.Reader // what is typed, see question
	stops   *stopper
	several bool // sessions are worked on at once
	display *display.Display
	heard   *warnings
	told    *told
}

// warnings collects what a run warned of, for JSON results.
type warnings struct {
	mu   sync.Mutex // guards list
	list []string
}

// Notify implements [saga.Sink].
func (w *warnings) Notify(n saga.Notice) {
	if !n.Warning {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, n.Message)
}

// all returns what was collected; never nil, so that JSON shows a list.
func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.list...)
}

// repository is the one that the command works on.
func (a *app) repository(ctx context.Context) (git.Repo, error) {
	if info, err := os.Stat(a.dir); err != nil || !info.IsDir() {
		return git.Repo{}, usagef("%s is not a directory", a.dir)
	}
	return git.Open(ctx, a.dir)
}

// commonDir is the repository by which sessions are found. One that is gone, or no
// repository any more, is found by where its sessions say that it was.
func (a *app) commonDir(ctx context.Context, st *store.Store) (string, error) {
	repo, err := a.repository(ctx)
	if err == nil {
		return repo.CommonDir, nil
	}
	all, listed := st.List()
	if listed != nil {
		return "", err
	}
	for _, s := range all {
		if s.Root == a.dir || s.Repo == a.dir {
			return s.Repo, nil
		}
	}
	return "", err
}

// config is the repository's configuration, with what the user's own says.
func (a *app) config(repo git.Repo) (settings.Config, error) {
	cfg, err := steps.LoadConfig(repo.Root)
	if err != nil {
		return cfg, configError{err}
	}
	user, err := settings.LoadUser(a.Getenv)
	if err != nil {
		return cfg, configError{err}
	}
	cfg.ProcessManager = user.ProcessManager
	return cfg, nil
}

// openStore finds the state of this machine's user. It touches nothing.
func (a *app) openStore() (*store.Store, error) {
	if a.store == nil {
		dir, err := store.DefaultDir(a.Getenv)
		if err != nil {
			return nil, misplaced(err)
		}
		a.store = store.New(dir)
	}
	return a.store, nil
}

// recorded looks up the session that ecluse was started in.
func (a *app) recorded(id, worktree string) (session.Session, bool) {
	st, err := a.openStore()
	if err != nil {
		return session.Session{}, false
	}
	all, _ := st.List() // what is wrong with it the command itself will say
	i := slices.IndexFunc(all, func(s session.Session) bool {
		return s.ID == id || id == "" && s.Worktree == worktree
	})
	if i < 0 {
		return session.Session{}, false
	}
	return all[i], true
}

// listen begins to take signals as wishes to stop.
func (a *app) listen() session.Stops {
	sink := a.sink()
	if a.stops == nil {
		a.stops = newStopper(func(sig os.Signal) {
			sink.Notify(saga.Notice{Time: time.Now(), Warning: true,
				Message: fmt.Sprintf("%s: stopping in good order; once more to leave at once", sig)})
		})
	}
	return a.stops.Stops
}

// sink shows what the engine tells.
func (a *app) sink() saga.Sink {
	if a.display == nil {
		o := display.Detect(a.Stderr, a.Getenv)
		o.Verbose, o.Sessions, o.Log = a.verbose, a.several, a.logOfNotice
		a.heard, a.display = &warnings{}, display.New(a.mode, o)
		a.told = &told{mode: a.mode, failures: map[string]bool{}}
	}
	return saga.SinkFunc(func(n saga.Notice) {
		a.heard.Notify(n)
		a.display.Notify(a.told.note(n))
	})
}

// logOfNotice is the log of the step that a notice is about.
func (a *app) logOfNotice(n saga.Notice) string {
	if a.store == nil || n.Index == 0 {
		return ""
	}
	return steps.LogOf{
		Key: session.Key{Repo: n.Repo, Slug: n.Session}, Run: n.Run, Step: n.Step, Index: n.Index,
		Compensating: slices.Contains([]saga.Phase{saga.Compensating, saga.Compensated, saga.CompensationFailed}, n.Phase),
	}.Path(a.store)
}

// manager wires a session manager.
func (a *app) manager() (*session.Manager, error) {
	st, err := a.openStore()
	if err != nil {
		return nil, err
	}
	return &session.Manager{
		Store: st, Locker: st, Steps: steps.Kit{Home: st, Point: a.Point}, Processes: steps.Processes{},
		Sink: a.sink(), Now: time.Now, NewID: rand.Text, Point: a.Point,
	}, nil
}

// looker is a manager for those who only look.
func (a *app) looker() (*session.Manager, error) {
	st, err := a.openStore()
	if err != nil {
		return nil, err
	}
	return &session.Manager{Store: st, Locker: st, Now: time.Now}, nil
}

// closeProgress ends the display, so that something else can be written.
func (a *app) closeProgress() {
	if a.display != nil {
		a.display.Close()
	}
}

// close ends progress and signals. It may be called twice.
func (a *app) close() {
	a.closeProgress()
	if a.stops != nil {
		a.stops.close()
	}
}

// find is the session that a verb works on: the one that is named, else the one
// whose worktree the command is run in. With an error that wraps
// [session.ErrNotFound] it returns the key all the same, if there can be a session of
// that name.
func (a *app) find(ctx context.Context, args []string) (session.Session, error) {
	st, err := a.openStore()
	if err != nil {
		return session.Session{}, err
	}
	repo, err := a.commonDir(ctx, st)
	if err != nil {
		return session.Session{}, err
	}
	if len(args) == 0 {
		s, ok, err := a.here(st, repo)
		if err == nil && !ok {
			err = a.nowhere(ctx)
		}
		return s, err
	}
	slug, err := session.Slug(args[0]) // the branch will do as well
	if err != nil {
		return session.Session{}, notFound{slug: args[0]} // none can have that name
	}
	key := session.Key{Repo: repo, Slug: slug}
	s, err := st.Get(key)
	if errors.Is(err, session.ErrNotFound) {
		return session.Session{Key: key}, a.missing(key)
	}
	return s, err
}

// nowhere says that no session was named, and what can be done where the command is run.
func (a *app) nowhere(ctx context.Context) error {
	repo, err := a.repository(ctx)
	if err == nil {
		var own git.Worktree
		own, err = a.linked(ctx, repo)
		if err == nil && own.Branch != "" {
			return hinted{usagef("no session was named, and the worktree %s of branch %s has none; make one of it, or pass a slug", own.Path, own.Branch), "ecluse up"}
		}
	}
	return hinted{usagef("no session was named, and %s is not in the worktree of one; pass a slug, or go there", a.dir), "ecluse ls"}
}

// linked is the worktree, beside the main one, that the command is run in; empty if it is
// run in none.
func (a *app) linked(ctx context.Context, repo git.Repo) (git.Worktree, error) {
	all, err := repo.Worktrees(ctx)
	if err != nil {
		return git.Worktree{}, err
	}
	dir, err := filepath.EvalSymlinks(a.dir)
	if err != nil {
		return git.Worktree{}, fmt.Errorf("resolve %s: %w", a.dir, err)
	}
	for _, w := range all {
		if w.Path != repo.Root && within(dir, w.Path) {
			return w, nil
		}
	}
	return git.Worktree{}, nil
}

// missing says that there is no session, and if that is because its up was rolled back,
// where to read why.
func (a *app) missing(key session.Key) error {
	runs, _ := a.store.Runs(store.Filter{Repo: key.Repo, Slug: key.Slug, Limit: 1})
	if len(runs) == 0 { // of one that was there nobody means another
		slots, _ := a.store.Slots(key.Repo)
		return notFound{slug: key.Slug, meant: config.Suggest(key.Slug, slices.Sorted(maps.Values(slots)))}
	}
	last := runs[len(runs)-1]
	if last.Verb != session.VerbUp || last.State != fsm.Absent || last.Outcome != saga.Reverted {
		return notFound{slug: key.Slug}
	}
	return hinted{notFound{slug: key.Slug, rolledBack: last.EndedAt}, "ecluse logs " + key.Slug}
}

// notFound names a session that does not exist. It wraps [session.ErrNotFound].
type notFound struct {
	slug string
	// rolledBack is when the last up of it was; zero if that did not end so.
	rolledBack time.Time
	// meant is a session of nearly that name, if there is one.
	meant string
}

func (e notFound) Error() string {
	text := "there is no session " + e.slug
	if e.meant != "" {
		text += "; did you mean " + e.meant + "?"
	}
	if e.rolledBack.IsZero() {
		return text
	}
	at := e.rolledBack.Local()
	layout := time.DateTime
	if at.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		layout = "15:04"
	}
	return text + "; its last up was rolled back at " + at.Format(layout)
}

func (e notFound) Unwrap() error { return session.ErrNotFound }

// here is the session in whose worktree the command is run.
func (a *app) here(st *store.Store, repo string) (session.Session, bool, error) {
	all, err := st.List()
	if err != nil {
		return session.Session{}, false, err
	}
	dir, err := filepath.EvalSymlinks(a.dir)
	if err != nil {
		return session.Session{}, false, fmt.Errorf("resolve %s: %w", a.dir, err)
	}
	for _, s := range all {
		if s.Repo == repo && within(dir, s.Worktree) {
			return s, true, nil
		}
	}
	return session.Session{}, false, nil
}

// within reports whether path is dir or lies in it.
func within(path, dir string) bool {
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// table makes a table for stdout.
func (a *app) table(columns ...display.Column) *display.Table {
	o := display.Detect(a.Stdout, a.Getenv)
	t := &display.Table{Color: o.Color, Columns: columns}
	if o.Width != nil {
		t.Width = o.Width()
	}
	return t
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
