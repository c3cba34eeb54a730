package steps

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/proc"
	"ecluse/steps/run"
	"ecluse/steps/settings"
	"ecluse/steps/tmux"
)

// tmuxServer starts the tmux server in whose windows the session's services run. It is
// the session's alone: whatever is done to it, no other session notices.
type tmuxServer struct{ *Target }

var (
	_ saga.Step     = tmuxServer{}
	_ saga.Verifier = tmuxServer{}
)

// tmuxKind is the kind of the step, and its name.
const tmuxKind = "tmux"

func planTmux(p *planner) {
	if p.cfg.Manager() != settings.ManagerTmux || len(p.cfg.Spawned()) == 0 {
		return
	}
	p.add(saga.Spec{
		Name: tmuxKind, Kind: tmuxKind, Cause: "process_manager in the user's configuration",
		Does: "start a tmux server for the services", Reverts: "end it with all that runs in it",
		Policy: saga.Policy{Timeout: time.Minute, CompensateTimeout: time.Minute, CompensateRetries: 2, Backoff: time.Second},
	})
}

func newTmux(t *Target, _ saga.Spec) saga.Step { return tmuxServer{t} }

// tmuxFact is what the server was started for, on disk before it is.
type tmuxFact struct {
	Place string `json:"place"`
}

// factTmux is the key of a [tmuxFact].
const factTmux = "server"

// serverOf is the session's tmux server. Its folder is in the session's private one.
func (t *Target) serverOf() tmux.Server {
	s := t.Session()
	return tmux.Server{Dir: filepath.Join(t.Dir, "tmux"), Session: "ecluse-" + s.Slug + "_" + mark(s.Repo)}
}

// Do starts the server, after what an earlier attempt may have left of one.
func (t tmuxServer) Do(ctx context.Context, a *saga.Attempt) error {
	if err := t.end(ctx); err != nil {
		return err
	}
	s := t.Session()
	vars, err := ProgramEnvironment(t.Config, s)
	if err != nil {
		return err
	}
	if err := a.Save(factTmux, tmuxFact{Place: place(s.Worktree)}); err != nil {
		return err
	}
	// The mark comes last: a file of variables must not change it.
	return t.serverOf().Start(ctx, s.Worktree, append(list(vars), run.From(ctx).Env...))
}

// Verify looks whether the server runs, for the worktree that there is.
func (t tmuxServer) Verify(ctx context.Context, a *saga.Attempt) error {
	var fact tmuxFact
	if _, err := a.Load(factTmux, &fact); err != nil {
		return err
	}
	if fact.Place != place(t.Session().Worktree) {
		return errors.New("tmux runs in a worktree that is no more")
	}
	_, err := t.serverOf().Process(ctx)
	return err
}

// Compensate ends the server, and with it whatever the user has started in it.
func (t tmuxServer) Compensate(ctx context.Context, _ *saga.Attempt) error { return t.end(ctx) }

// end ends whatever carries the step's mark: the server, and what runs in windows that
// are no service's. It needs no tmux for that, which may not be there any more.
func (t tmuxServer) end(ctx context.Context) error {
	find := func() ([]proc.ID, error) { return proc.Carrying(Marks(t.Session(), tmuxKind)...) }
	if err := proc.Stop(ctx, Grace, find); err != nil {
		return fmt.Errorf("end tmux: %w", err)
	}
	return t.serverOf().Remove()
}

// TmuxOf is the command that shows a session's tmux in a terminal, and the socket that
// it is at; false if the session has none that runs. Dir is the session's private folder.
func TmuxOf(ctx context.Context, s session.Session, dir string) (attach []string, socket string, ok bool) {
	if s.Plan.Index(tmuxKind) < 0 {
		return nil, "", false
	}
	server := (&Target{Handle: Looking(s), Dir: dir}).serverOf()
	_, err := server.Process(ctx)
	return server.Attach(), server.Socket(), err == nil
}

// TmuxName is the name of a session's tmux session; empty if it has none.
func TmuxName(s session.Session) string {
	if s.Plan.Index(tmuxKind) < 0 {
		return ""
	}
	return (&Target{Handle: Looking(s)}).serverOf().Session
}
