package rebuild

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/dotenv"
	"ecluse/steps/git"
	"ecluse/steps/plain"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// Evidence is what was found of a session without its record.
type Evidence struct {
	session.Key
	Root, Branch, Mode, Worktree string
	// Slot is 0 if nothing tells it.
	Slot int
	// ID and Run are those that its processes and containers carry; empty if there are
	// none.
	ID, Run string
	// Former: the original tool has made it, and its worktree.
	Former bool
	// Found says in words what speaks for it.
	Found []string

	// vars are the variables of its environment file, or of a process of it.
	vars map[string]string
	// file: it has an environment file.
	file       bool
	marked     map[string][]proc.ID // by step
	containers []housedIn
	// ran is the slot of what runs of it; 0 if that is not known.
	ran int
}

// housedIn is a container of a session: its labels, and what it publishes.
type housedIn struct {
	name   string
	labels map[string]string
	ports  []docker.Binding
}

// Traces is where evidence is looked for.
type Traces struct {
	// Here is the repository that the command is run in, if it is in one; its sessions
	// count also if the state folder knows nothing of them.
	Here *git.Repo
	// Sessions are records that could still be read: their repositories are looked
	// into, too.
	Sessions []session.Session
	// Known is what the state folder has of a session beside its record.
	Known func(session.Key) (private bool, runs []string)
	// Ours reports whether who has that environment uses this state folder.
	Ours func(getenv func(string) string) bool
	Home steps.Home
	// Unclaimed lists the private folders of sessions other than these; nil if nobody
	// asks for them.
	Unclaimed func([]session.Key) ([]string, error)
}

// Gathered is what there is.
type Gathered struct {
	Evidence []Evidence
	// Doubts are what contradicts itself, or belongs to who knows whom. Nothing is made
	// of it.
	Doubts []Doubt
	// Blind says what could not be looked at.
	Blind []error
}

// Doubt is something that no session was made of.
type Doubt struct {
	session.Key
	What string
	// Fix is a command that helps; empty if none does.
	Fix string
	// Lost: it has, or may have, something that runs, and the state that is to be knows
	// nothing of it.
	Lost bool
}

// gatherer collects.
type gatherer struct {
	Traces
	Gathered
	repos map[string]git.Repo // by their common directory
	found map[session.Key]*Evidence
	// others are sessions of another state folder.
	others map[session.Key]bool
}

// Gather looks for what sessions have made: processes and containers with their marks,
// environment files in the worktrees of the repositories that are known by these, and
// the state of the original tool. It changes nothing.
func (t Traces) Gather(ctx context.Context) (Gathered, error) {
	g := &gatherer{Traces: t, repos: map[string]git.Repo{}, found: map[session.Key]*Evidence{}, others: map[session.Key]bool{}}
	if t.Here != nil {
		g.repos[t.Here.CommonDir] = *t.Here
	}
	for _, s := range t.Sessions {
		g.open(ctx, s.Root, s.Repo)
	}
	if err := g.processes(ctx); err != nil {
		return Gathered{}, err
	}
	g.docker(ctx)
	for _, name := range slices.Sorted(maps.Keys(g.repos)) {
		repo := g.repos[name]
		if err := g.worktrees(ctx, repo); err != nil {
			g.Blind = append(g.Blind, err)
		}
		if err := g.former(ctx, repo); err != nil {
			g.Blind = append(g.Blind, err)
		}
	}
	for _, e := range g.found {
		if e.Branch != "" { // else nothing tells what it is a session of
			g.Evidence = append(g.Evidence, *e)
		}
	}
	slices.SortFunc(g.Evidence, func(a, b Evidence) int { return byName(a.Key, b.Key) })
	g.contradictions()
	return g.Gathered, nil
}

// open makes a repository one to be looked into, if it is the one that is meant.
func (g *gatherer) open(ctx context.Context, root, commonDir string) {
	if _, known := g.repos[commonDir]; known || root == "" {
		return
	}
	if repo, err := git.Open(ctx, root); err == nil && (commonDir == "" || repo.CommonDir == commonDir) {
		g.repos[repo.CommonDir] = repo
	}
}

// of is the evidence of a session. It is nil if the session is another state folder's:
// what nothing in this one speaks for counts only in the repository that was named.
func (g *gatherer) of(key session.Key) *Evidence {
	if e := g.found[key]; e != nil {
		return e
	}
	private, runs := g.Known(key)
	here := g.Here != nil && g.Here.CommonDir == key.Repo && !g.others[key]
	if session.CheckSlug(key.Slug) != nil || !private && len(runs) == 0 && !here {
		return nil
	}
	e := &Evidence{Key: key, marked: map[string][]proc.ID{}}
	g.found[key] = e
	return e
}

// processes finds those that carry a session's mark. What they were started with says
// of which, and whose.
func (g *gatherer) processes(ctx context.Context) error {
	snap, err := proc.Snap()
	if err != nil {
		return err
	}
	ours := snap.Line(os.Getpid())
	for id, pids := range snap.Marked(settings.EnvSession) {
		pids = slices.DeleteFunc(pids, func(p proc.ID) bool { return slices.Contains(ours, p) || proc.Container(p.PID) != "" })
		// A shell that somebody has open is nothing that a session has made.
		i := slices.IndexFunc(pids, func(p proc.ID) bool {
			slug, _ := proc.Variable(p.PID, "ECLUSE_SLUG")
			step, _ := proc.Variable(p.PID, settings.EnvStep)
			return slug != "" && step != ""
		})
		if id == "" || i < 0 {
			continue
		}
		getenv := func(name string) string {
			value, _ := proc.Variable(pids[i].PID, name)
			return value
		}
		repo, err := git.Open(ctx, getenv("ECLUSE_ROOT"))
		if err != nil {
			g.unopened(getenv, pids)
			continue
		}
		key := session.Key{Repo: repo.CommonDir, Slug: getenv("ECLUSE_SLUG")}
		if !g.Ours(getenv) {
			g.others[key] = true
			continue
		}
		e := g.of(key)
		if e == nil || !g.identify(e, id, "process "+proc.Describe(pids[i])) {
			continue
		}
		g.repos[repo.CommonDir] = repo
		e.tell(repo.Root, getenv)
		for _, p := range pids {
			step, _ := proc.Variable(p.PID, settings.EnvStep)
			if step != "" {
				e.marked[step] = append(e.marked[step], p)
			}
		}
		e.Run = getenv(settings.EnvRun)
		e.Found = append(e.Found, "process "+proc.Describe(pids[i]))
	}
	return nil
}

// unopened tells of processes of a session whose repository is moved, or not mounted.
func (g *gatherer) unopened(getenv func(string) string, pids []proc.ID) {
	if !g.Ours(getenv) {
		return
	}
	g.Doubts = append(g.Doubts, Doubt{
		Key: session.Key{Repo: getenv("ECLUSE_ROOT"), Slug: getenv("ECLUSE_SLUG")}, Fix: kill(pids), Lost: true,
		What: fmt.Sprintf("%s is of session %s of %s, which is no repository that can be opened: nothing is made of it; put it back before the state is made anew, or end what runs",
			proc.Describe(pids[0]), getenv("ECLUSE_SLUG"), getenv("ECLUSE_ROOT")),
	})
}

// kill is the command that ends processes.
func kill(pids []proc.ID) string {
	text := "kill"
	for _, id := range pids {
		text += " " + strconv.Itoa(id.PID)
	}
	return text
}

// identify notes the id that something of a session carries. Two ids are two sessions
// of one name; which of them it is nobody can tell.
func (g *gatherer) identify(e *Evidence, id, what string) bool {
	if e.ID == "" {
		e.ID = id
	}
	if e.ID != id {
		g.doubt(*e, fmt.Sprintf("%s is of another session of the name %s than the rest; it is left alone, end it yourself", what, e.Slug), "")
	}
	return e.ID == id
}

// tell takes what the variables of a session say, as far as it is not known yet.
func (e *Evidence) tell(root string, getenv func(string) string) {
	fill := func(into *string, name string) {
		if *into == "" {
			*into = getenv(name)
		}
	}
	e.Root = root
	fill(&e.Branch, "ECLUSE_BRANCH")
	fill(&e.Mode, "ECLUSE_MODE")
	fill(&e.Worktree, "ECLUSE_WORKTREE")
	if slot, err := strconv.Atoi(getenv("ECLUSE_SLOT")); err == nil && e.Slot == 0 {
		e.Slot = slot
	}
	if e.vars == nil {
		e.vars = map[string]string{}
	}
}

// worktrees reads the environment files of a repository's worktrees. One without such a
// file counts if the state folder knows a session of its name.
func (g *gatherer) worktrees(ctx context.Context, repo git.Repo) error {
	all, err := repo.Worktrees(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		if git.Same(w.Path, repo.Root) {
			continue
		}
		vars, known, err := readEnvFile(w.Path)
		if err != nil {
			g.Blind = append(g.Blind, err)
		}
		if !known {
			g.bare(repo, w)
			continue
		}
		g.withFile(repo, w, vars)
	}
	return nil
}

// withFile takes what the environment file of a worktree says.
func (g *gatherer) withFile(repo git.Repo, w git.Worktree, vars map[string]string) {
	key := session.Key{Repo: repo.CommonDir, Slug: vars["ECLUSE_SLUG"]}
	if vars["ECLUSE_ROOT"] == "" || vars["ECLUSE_WORKTREE"] == "" {
		return // the original's, whose state tells more
	}
	if !git.Same(vars["ECLUSE_ROOT"], repo.Root) || !git.Same(vars["ECLUSE_WORKTREE"], w.Path) {
		g.doubt(Evidence{Key: key, Worktree: w.Path}, fmt.Sprintf("%s is of the worktree %s: it was copied, or moved",
			filepath.Join(w.Path, settings.EnvFile), vars["ECLUSE_WORKTREE"]), "")
		return
	}
	e := g.of(key)
	if e == nil {
		return
	}
	e.Worktree, e.Branch, e.Mode, e.file = w.Path, "", "", true
	slot := e.Slot
	e.Slot = 0
	e.tell(repo.Root, func(name string) string { return vars[name] })
	e.vars = vars
	if git.CheckBranch(e.Branch) != nil {
		g.doubt(*e, fmt.Sprintf("its %s says branch %q, which can be none; what is checked out is taken", settings.EnvFile, e.Branch), "")
		e.Branch = w.Branch
	}
	e.ran = slot
	if slot != 0 && e.Slot != slot {
		g.doubt(*e, fmt.Sprintf("its %s says slot %d, and what runs of it says %d; that of the file is taken", settings.EnvFile, e.Slot, slot), "")
	}
	e.Found = append(e.Found, filepath.Join(w.Path, settings.EnvFile))
}

// bare is a worktree without environment file: of a session that was stopped, or cut
// off, if the state folder knows one of its name.
func (g *gatherer) bare(repo git.Repo, w git.Worktree) {
	key := session.Key{Repo: repo.CommonDir, Slug: filepath.Base(w.Path)}
	private, _ := g.Known(key)
	if !private || w.Branch == "" {
		return
	}
	if e := g.of(key); e != nil && (e.Worktree == "" || git.Same(e.Worktree, w.Path)) {
		e.Worktree, e.Branch, e.Root = w.Path, w.Branch, repo.Root
		e.Found = append(e.Found, "worktree "+w.Path)
	}
}

// readEnvFile reads the environment file of a worktree; false if there is none that
// ecluse has written.
func readEnvFile(worktree string) (map[string]string, bool, error) {
	path := filepath.Join(worktree, settings.EnvFile)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return nil, false, nil //nolint:nilerr // there is none; we make no links
	}
	data, err := plain.Read(path, 1)
	if errors.Is(err, plain.ErrNotPlain) || errors.Is(err, plain.ErrTooLarge) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", path, err)
	}
	vars, err := dotenv.Parse(data)
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", path, err)
	}
	return vars, vars["ECLUSE_SLUG"] != "", nil
}

// doubt notes what nothing is made of.
func (g *gatherer) doubt(e Evidence, what, fix string) {
	g.Doubts = append(g.Doubts, Doubt{Key: e.Key, What: what, Fix: fix})
}
