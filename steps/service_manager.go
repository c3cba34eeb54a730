package steps

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ecluse/steps/proc"
	"ecluse/steps/run"
	"ecluse/steps/settings"
	"ecluse/steps/tmux"
)

// manager starts native services, and knows what there is of them beside their
// processes. Who they are, whether they are ready and how they end is the same under
// all.
type manager interface {
	// start makes a process that waits, see [started]; its output goes to the log.
	start(ctx context.Context, log *os.File, env []string) (started, error)
	// whole fails if something is missing that the process runs in.
	whole(ctx context.Context, fact ServiceFact) error
	// clear takes away what is left of a service whose processes are gone.
	clear(ctx context.Context) error
	// settle waits until what a process said before its end is in the log.
	settle(ctx context.Context, log string)
}

// started is a process that waits to be told to go.
type started struct {
	id proc.ID
	// server is the process that it runs in, if it does in one.
	server proc.ID
	run    func() error
	abort  func()
	// ended tells how it ends, once it runs.
	ended func(context.Context) <-chan error
}

// manager is that of the service.
func (s service) manager() manager {
	if s.Config.Manager() == settings.ManagerTmux {
		return inTmux{s, s.serverOf()}
	}
	return detached{s}
}

// CheckManager looks whether the programs are there that the process manager needs. The
// error wraps [tmux.ErrMissing] or [tmux.ErrOld].
func CheckManager(ctx context.Context, c settings.Config) error {
	if c.Manager() != settings.ManagerTmux || len(c.Spawned()) == 0 {
		return nil
	}
	return tmux.Check(ctx)
}

// detached runs services in sessions of their own, without a terminal.
type detached struct{ service }

func (d detached) start(ctx context.Context, log *os.File, env []string) (started, error) {
	p, err := proc.Start(ctx, proc.Spec{Dir: d.Session().Worktree, Command: d.spec.Command, Log: log, Env: env})
	if err != nil {
		return started{}, err
	}
	return started{id: p.ID, run: p.Go, abort: p.Abort, ended: func(context.Context) <-chan error { return endOf(p) }}, nil
}

func (detached) whole(context.Context, ServiceFact) error { return nil }
func (detached) clear(context.Context) error              { return nil }
func (detached) settle(context.Context, string)           {}

// inTmux runs services in windows of the session's tmux server, one each.
type inTmux struct {
	service
	server tmux.Server
}

func (t inTmux) start(ctx context.Context, log *os.File, env []string) (started, error) {
	p, err := t.server.Open(ctx, tmux.Spec{
		Window: t.spec.Name, Dir: t.Session().Worktree, Command: t.spec.Command, Env: env,
		Mark: Marks(t.Session(), t.step), Log: log.Name(),
	})
	if err != nil {
		return started{}, err
	}
	return started{id: p.ID, server: p.Server, run: p.Go, abort: p.Abort, ended: func(ctx context.Context) <-chan error {
		return t.endOf(ctx, p.Server, p.ID)
	}}, nil
}

// endOf tells how a window's process ends. Tmux is its parent, and knows.
func (t inTmux) endOf(ctx context.Context, server, id proc.ID) <-chan error {
	ended := make(chan error, 1)
	go func() {
		if id.AwaitEnd(ctx) != nil {
			return
		}
		exit, known := t.server.Exit(ctx, server, id)
		if !known {
			ended <- errors.New("it has exited")
			return
		}
		ended <- fmt.Errorf("it has exited (%s)", exit)
	}()
	return ended
}

// whole fails also for a service that runs, in a tmux that nobody can reach any more: the
// step tmux ends that, with all that is in it, and makes one anew in the same run.
func (t inTmux) whole(ctx context.Context, fact ServiceFact) error {
	if fact.Adopted {
		return nil
	}
	server, err := t.server.Process(ctx)
	switch {
	case !fact.Server.Alive(), err == nil && server != fact.Server:
		return errors.New("the tmux that it was started in is gone")
	case tmux.ErrNone(err):
		return fmt.Errorf("the tmux that it runs in cannot be reached: %w", err)
	}
	return nil
}

// clear closes the window. What is no more, or cannot be asked, has no windows that
// matter: the processes are gone already.
func (t inTmux) clear(ctx context.Context) error {
	if err := t.server.Close(ctx, t.spec.Name); err != nil && !errors.Is(err, tmux.ErrMissing) {
		return err
	}
	return nil
}

func (inTmux) settle(ctx context.Context, log string) { tmux.Settle(ctx, log) }

// lastWords is the end of what a service has said since it was started.
func (s service) lastWords(ctx context.Context, fact ServiceFact) string {
	if fact.Log == "" {
		return ""
	}
	s.manager().settle(ctx, fact.Log)
	return run.Tail(fact.Log, fact.Offset)
}
