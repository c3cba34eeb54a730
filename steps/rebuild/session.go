package rebuild

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/git"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// CodeRebuilt is the code of the failure of a session that was put together from what
// was found of it. Nobody knows how far it had come: up looks at every step and makes
// what is missing, and down compensates every step, done or not.
const CodeRebuilt = "rebuilt"

// rebuilder makes the record of one session.
type rebuilder struct {
	Evidence
	s    session.Session
	cfg  settings.Config
	home steps.Home
	snap *proc.Snapshot
	repo *git.Repo
	// at is where its containers were found; the zero place if there are none.
	at docker.Place
	// databases are those that are the session's own, by their keys.
	databases map[string]string
	// mark is what its worktree's mark says; empty if there is none.
	mark   steps.WorktreeMark
	doubts []Doubt
}

// Session makes the record of a session from evidence: failed, with a plan of the
// configuration, and with the facts that its steps need to compensate. Its slot is 0 if
// nothing tells it. What of it nothing is made of are doubts. It changes nothing.
func (e Evidence) Session(ctx context.Context, cfg settings.Config, home steps.Home, now time.Time) (session.Session, []Doubt, error) {
	if len(e.marked[tmuxStep]) > 0 {
		cfg.ProcessManager = settings.ManagerTmux
	} else if len(e.marked) > 0 && cfg.Manager() == settings.ManagerTmux {
		cfg.ProcessManager = settings.ManagerDetached
	}
	if e.Mode != "" && e.Mode != cfg.Mode {
		return session.Session{}, nil, fmt.Errorf("session %s was made in mode %s, and .ecluse.toml of %s says %s now; put that back, at least for the time being", e.Slug, e.Mode, e.Root, cfg.Mode)
	}
	wild := 0
	if e.Slot < 0 || e.Slot > cfg.MaxSlots {
		if e.Slot, wild = e.ran, e.Slot; e.Slot < 0 || e.Slot > cfg.MaxSlots {
			e.Slot = 0
		}
	}
	plan, err := steps.Plan(cfg)
	if err != nil {
		return session.Session{}, nil, err
	}
	data, err := settings.Encode(cfg)
	if err != nil {
		return session.Session{}, nil, err
	}
	e.Worktree = cmp.Or(e.Worktree, placeOf(cfg, e))
	r := &rebuilder{Evidence: e, cfg: cfg, home: home, s: session.Session{
		Key: e.Key, Root: e.Root, Branch: e.Branch, Mode: cfg.Mode, Worktree: e.Worktree, Slot: e.Slot,
		State: fsm.Failed, Settled: true, CreatedAt: now, UpdatedAt: now, Plan: plan, Settings: data,
		Run: session.Run{ID: cmp.Or(e.Run, rand.Text()), Verb: session.VerbUp, From: fsm.Absent, StartedAt: now},
		Failure: &session.Failure{
			Code:    CodeRebuilt,
			Message: "it was put together from what was found of it (" + strings.Join(e.Found, ", ") + "), and nothing tells how far it had come",
		},
	}}
	if wild != 0 {
		r.doubt(fmt.Sprintf("session %s says that it has slot %d, and there are 1 to %d: it gets one of these", e.Slug, wild, cfg.MaxSlots), "")
	}
	if err := r.look(ctx); err != nil {
		return session.Session{}, nil, err
	}
	r.s.Ports = r.ports(ctx)
	r.unaccounted()
	r.own()
	if r.ID = cmp.Or(r.ID, r.mark.Session); r.ID == "" && !r.Former { // nothing runs; what is only known by the id would be left
		r.ID = cmp.Or(r.idInDocker(ctx), r.idInDatabases(ctx))
	}
	r.s.ID = cmp.Or(r.ID, rand.Text())
	r.s.Progress = saga.NewProgress(plan)
	err = r.trace(ctx)
	return r.s, r.doubts, err
}

// own notes which databases are the session's own.
func (r *rebuilder) own() {
	r.databases = map[string]string{}
	for _, d := range r.cfg.Databases {
		r.databases[d.Name] = r.databaseOf(d)
	}
}

// look looks at what the facts are about.
func (r *rebuilder) look(ctx context.Context) (err error) {
	if repo, err := git.Open(ctx, r.Root); err == nil {
		r.repo = &repo
		if r.mark, err = steps.MarkOf(repo, r.Worktree); err != nil {
			return err
		}
	}
	if len(r.containers) > 0 {
		if r.at, err = docker.Here(ctx); err != nil {
			return err
		}
	}
	r.snap, err = proc.Snap()
	return err
}

// placeOf is where a session's worktree is, if it is not one of the user's.
func placeOf(cfg settings.Config, e Evidence) string {
	return filepath.Join(e.Root, cfg.WorktreeDir, e.Slug)
}

// Renewed is a record of a copy in the light of what was found of its session now. It
// stays as it is if nothing contradicts it; false if it is another session's of that
// name.
func (e Evidence) Renewed(ctx context.Context, old session.Session, home steps.Home) (session.Session, bool, error) {
	// What is checked out in its worktree is the user's affair.
	branched := (e.file || e.ID != "") && e.Branch != old.Branch
	if e.ID != "" && e.ID != old.ID || e.Slot != 0 && e.Slot != old.Slot || branched {
		return old, false, nil
	}
	cfg, err := steps.ConfigOf(old)
	if err != nil {
		return old, false, err
	}
	e.Worktree = cmp.Or(e.Worktree, old.Worktree)
	r := &rebuilder{Evidence: e, cfg: cfg, home: home, s: old}
	if err := r.look(ctx); err != nil {
		return old, false, err
	}
	ports := r.ports(ctx)
	same := git.Same(e.Worktree, old.Worktree) && e.file == (old.State == fsm.Active)
	for name, port := range ports {
		same = same && old.Ports[name] == port
	}
	if same && (old.State == fsm.Active || old.State == fsm.Stopped) && r.current() {
		return old, true, nil
	}
	for name, port := range old.Ports {
		if ports[name] == 0 {
			ports[name] = port
		}
	}
	r.s.Worktree, r.s.Ports = e.Worktree, ports
	r.own()
	Doubtful(&r.s, "it is of a copy of the state, and has changed since")
	return r.s, true, r.trace(ctx)
}

// current reports whether the processes that run are those of the record.
func (r *rebuilder) current() bool {
	for i, spec := range r.s.Plan.Steps {
		leader := r.leader(spec.Name)
		if fact, known := steps.ServiceOf(r.s, i); leader.PID != 0 && spec.Kind == "service" && (!known || fact.ID != leader && !fact.Alive()) {
			return false
		}
	}
	return true
}

// Doubtful makes a record that may be out of date one of a session that failed.
func Doubtful(s *session.Session, why string) {
	s.State, s.Settled = fsm.Failed, true
	s.Failure = &session.Failure{Code: CodeRebuilt, Message: why}
	s.Progress.Direction, s.Progress.Scope, s.Progress.Kept, s.Progress.Cause, s.Progress.Halted = saga.Forward, "", nil, nil, false
	s.Progress.Steps = slices.Clone(s.Progress.Steps)
	for i := range s.Progress.Steps {
		if step := &s.Progress.Steps[i]; step.Phase != saga.Done {
			step.Phase, step.Resumed, step.Permanent = saga.Failed, true, false
		}
	}
}

// trace notes of each step what is there of it. A step that nothing speaks for may have
// been begun all the same, so that it is compensated, too.
func (r *rebuilder) trace(ctx context.Context) error {
	for i, spec := range r.s.Plan.Steps {
		state := &r.s.Progress.Steps[i]
		facts, there := r.facts(ctx, i, spec)
		if state.Facts == nil {
			state.Facts = map[string]json.RawMessage{}
		}
		for key, fact := range facts {
			if _, known := state.Facts[key]; known && spec.Kind != "service" { // a process that runs is newer
				continue
			}
			data, err := json.Marshal(fact)
			if err != nil {
				return fmt.Errorf("note what step %s has made: %w", spec.Name, err)
			}
			state.Facts[key] = data
		}
		if there {
			state.Phase, state.Resumed, state.Err = saga.Done, false, ""
		} else if state.Phase != saga.Done {
			state.Phase, state.Resumed = saga.Failed, true
		}
		state.Run = cmp.Or(state.Run, r.s.Run.ID)
	}
	return nil
}

// tmuxStep is the name of the step that starts tmux, and its kind. It is a part of
// journals, so it stays.
const tmuxStep = "tmux"

// facts are what a step would have saved, and whether its effect is there.
func (r *rebuilder) facts(ctx context.Context, i int, spec saga.Spec) (facts steps.Facts, there bool) {
	switch spec.Kind {
	case "worktree":
		return r.worktreeFact(ctx)
	case "env":
		return steps.EnvFacts(r.links()), r.file
	case "ports":
		return r.placeFact(ctx), false
	case "volumes":
		facts := steps.VolumesFacts(r.projects(), r.s.Run.ID)
		maps.Copy(facts, r.placeFact(ctx))
		return facts, len(r.containers) > 0
	case "compose":
		fact, there := r.composeFact(i, spec)
		if fact.Project == "" {
			return nil, false
		}
		return fact.Facts(), there
	case "database":
		return r.databaseFact(spec)
	case tmuxStep:
		return steps.TmuxFacts(r.Worktree), r.leader(spec.Name).PID != 0
	case "service":
		fact, found := r.serviceFact(spec)
		if !found {
			return nil, false
		}
		return fact.Facts(), true
	default: // hooks and steps of the user's own: nobody can tell whether they have run
		return nil, false
	}
}

// worktreeFact is the fact of the worktree. It is ours if its mark says so, and while it
// is being made: where it lies proves nothing. That we have made its branch nothing tells,
// so that the branch stays.
func (r *rebuilder) worktreeFact(ctx context.Context) (steps.Facts, bool) {
	fact := steps.WorktreeFact{
		Made: !r.Former && r.mark.Made && r.mark.Session == r.s.ID, Finished: true,
		Resolution: git.Resolution{Kind: git.KindLocal, Branch: r.Branch, Start: r.Branch},
	}
	there := false
	if r.repo != nil {
		err := r.repo.Whole(ctx, r.Worktree, "")
		there = err == nil
		fact.Finished = !errors.Is(err, git.ErrHalfMade)
		if making, err := r.repo.Making(r.Worktree); err == nil && making && !r.Former {
			fact.Made = true
		}
		fact.Identity, _ = r.repo.Identity(r.Worktree)
		if res, err := r.repo.Resolve(ctx, r.Branch, ""); err == nil || res.Base != "" {
			fact.Resolution.Base = res.Base
		}
	}
	return fact.Facts(), there
}

// links are the inherited files that are links which the session has made: only such a
// link goes again. A copy cannot be told from a file of the user's, and stays where the
// worktree does.
func (r *rebuilder) links() []string {
	if r.Former || r.mark.Session != r.s.ID {
		return nil
	}
	return r.mark.Links
}

// placeFact is where the containers were found: whoever removes them may have another
// environment.
func (r *rebuilder) placeFact(ctx context.Context) steps.Facts {
	if len(r.containers) == 0 {
		return nil
	}
	host, _ := r.at.Remote(ctx) // who was just asked is known
	return steps.PlaceFacts(r.at, host)
}

// projects are the compose projects of the session, by its containers and by its name.
func (r *rebuilder) projects() []string {
	list := []string{steps.Project(r.cfg, r.s)}
	for _, c := range r.containers {
		project, _ := docker.ServiceOf(c.labels)
		list = append(list, project)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// composeFile is the label of the file that Compose was told to use.
const composeFile = "com.docker.compose.project.config_files"

// composeFact is the fact of a compose step: as its containers say, else, of the first,
// as its name does.
func (r *rebuilder) composeFact(i int, spec saga.Spec) (steps.ComposeFact, bool) {
	private := r.home.Dir(r.Key)
	for _, c := range r.containers {
		if c.labels[docker.LabelStep] != spec.Name {
			continue
		}
		fact := steps.ComposeFact{File: c.labels[composeFile], Run: c.labels[docker.LabelRun], Place: r.at}
		fact.Project, _ = docker.ServiceOf(c.labels)
		if filepath.Dir(fact.File) != private {
			fact.File = filepath.Join(private, "compose.yaml")
		}
		return fact, true
	}
	first := slices.IndexFunc(r.s.Plan.Steps, func(s saga.Spec) bool { return s.Kind == "compose" })
	if i != first {
		return steps.ComposeFact{}, false
	}
	return steps.ComposeFact{Project: steps.Project(r.cfg, r.s), File: filepath.Join(private, "compose.yaml"), Run: r.s.Run.ID}, false
}

// leader is the first of the processes that a step has started and that run.
func (r *rebuilder) leader(step string) proc.ID {
	var first proc.ID
	for _, id := range r.marked[step] {
		if line := r.snap.Line(id.PID); len(line) > 1 && slices.Contains(r.marked[step], line[1]) {
			continue
		}
		if r.snap.Alive(id) && (first.PID == 0 || id.Start < first.Start) {
			first = id
		}
	}
	return first
}

// serviceFact is the process of a service: one that carries the step's mark, or that
// listens in the worktree at the service's port.
func (r *rebuilder) serviceFact(spec saga.Spec) (steps.ServiceFact, bool) {
	fact := steps.ServiceFact{ID: r.leader(spec.Name), Place: steps.FolderMark(r.Worktree)}
	if fact.PID == 0 {
		id, found, err := steps.Occupant(r.s, r.s.Ports[steps.ServiceName(spec)], proc.ID{})
		fact.ID, fact.Adopted = id, true
		return fact, err == nil && found
	}
	run, _ := proc.Variable(fact.PID, settings.EnvRun)
	log := steps.LogOf{Key: r.Key, Run: run, Step: spec.Name, Index: r.s.Plan.Index(spec.Name) + 1}.Path(r.home)
	if !steps.Gone(log) {
		fact.Log = log
	}
	if r.cfg.Manager() == settings.ManagerTmux {
		fact.Server = r.leader(tmuxStep)
	}
	return fact, true
}
