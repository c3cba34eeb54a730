package steps

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecluse/saga/sagatest"
	"ecluse/saga/session"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
	"ecluse/steps/tmux"
)

// tmuxFixtures are those of the server, and of a service in it.
var tmuxFixtures = []sagatest.Fixture{
	{Name: "tmux", New: func(t *testing.T) sagatest.Trial {
		r := newTmuxRig(t, settings.Service{Command: "true"})
		trial := r.trial(t, tmuxKind, r.tmuxRuns(true), r.tmuxRuns(false))
		trial.Damage = map[string]func() error{"killed": func() error {
			id, err := r.server().Process(t.Context())
			return errors.Join(err, id.Signal(syscall.SIGKILL), id.AwaitEnd(t.Context()))
		}}
		return trial
	}},
	{Name: "service in tmux", New: func(t *testing.T) sagatest.Trial {
		r := newTmuxRig(t, settings.Service{Command: "echo up; exec sleep 1000", Ready: settings.Ready{Log: "^up$"}})
		r.startTmux(t)
		trial := r.trial(t, "service:api", r.runs("service:api", 1), r.runs("service:api", 0))
		trial.Damage = map[string]func() error{"window gone": func() error {
			// One that is about to end carries nothing any more, and is not dead yet.
			ids, err := proc.Carrying(Marks(r.s, "service:api")...)
			err = errors.Join(err, r.server().Close(t.Context(), "api"))
			for _, id := range ids {
				err = errors.Join(err, id.AwaitEnd(t.Context()))
			}
			return err
		}}
		return trial
	}},
}

// newTmuxRig makes a session with a worktree and one service, in tmux.
func newTmuxRig(t *testing.T, s settings.Service) *rig {
	t.Helper()
	r := newRig(t, func(c *settings.Config) {
		s.Name, s.BasePort = "api", 33000
		c.Services, c.ProcessManager = []settings.Service{s}, settings.ManagerTmux
	})
	r.s.Ports = map[string]int{"api": freePort(t)}
	r.addWorktree(t)
	return r
}

// server is the session's tmux.
func (r *rig) server() tmux.Server {
	return (&Target{Handle: r, Dir: r.home.Dir(r.s.Key)}).serverOf()
}

// tmuxRuns looks for the server, or for anything that is left of it.
func (r *rig) tmuxRuns(want bool) func() error {
	return func() error {
		ids, err := proc.Carrying(Marks(r.s, tmuxKind)...)
		_, missing := os.Stat(r.server().Socket())
		if err == nil && (want != (len(ids) > 0) || want != (missing == nil)) {
			err = fmt.Errorf("tmux is %d processes, and its socket is there: %t", len(ids), missing == nil)
		}
		return err
	}
}

// startTmux does the step tmux, until the test ends.
func (r *rig) startTmux(t *testing.T) *trialStep {
	t.Helper()
	ts := stepOf(t, r, tmuxKind)
	ok(t, ts.do(t))
	t.Cleanup(func() {
		ok(t, ts.compensate(t))
		ok(t, r.tmuxRuns(false)())
	})
	return ts
}

// tmuxServiceOf is [serviceOf] in a tmux that runs.
func tmuxServiceOf(t *testing.T, s settings.Service) *trialStep {
	t.Helper()
	r := newTmuxRig(t, s)
	r.startTmux(t)
	ts := stepOf(t, r, "service:api")
	t.Cleanup(func() {
		ok(t, ts.compensate(t))
		ok(t, r.runs("service:api", 0)())
	})
	return ts
}

func TestAServiceInTmuxThatEndsSaysWhyItDid(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		want    []string
	}{
		"status": {"echo first; echo the last words >&2; exit 3", []string{"it has exited (exit status 3); it said: the last words\n"}},
		"signal": {"kill -9 $$", []string{"SIGKILL"}},
	} {
		t.Run(name, func(t *testing.T) {
			ts := tmuxServiceOf(t, settings.Service{Command: test.command})
			mustSay(t, ts.do(t), test.want...)
			mustSay(t, ts.verify(t), "not running")
		})
	}
}

func TestWhatAServiceInTmuxSees(t *testing.T) {
	ts := tmuxServiceOf(t, settings.Service{
		Command: `echo "$A $B $ECLUSE_SESSION_ID $ECLUSE_STEP $PORT [$STALE] $(pwd)"; test -t 1 && test -n "$TMUX" && echo "$LONG" | wc -c; exec sleep 1000`,
		Ready:   settings.Ready{Log: `^\d+\d\d\d$`},
	})
	long := strings.Repeat("it's \"$HOME\" \\ \n", 7_000)
	ts.cfg.Env = map[string]string{"A": "table", "B": `'"$x`, "LONG": strings.ReplaceAll(long, "$", "$$")}
	ts.cfg.Env["B"] = `'"$$x`
	ts.build(t)
	ok(t, ts.do(t))
	fact := ts.process(t)
	data, err := os.ReadFile(fact.Log)
	ok(t, err)
	want := fmt.Sprintf("table '\"$x %s service:api %d [] %s\n%d\n", ts.s.ID, ts.s.Ports["api"], ts.s.Worktree, len(long)+1)
	if string(data) != want {
		t.Errorf("it sees %q, not %q", data, want)
	}
	line, err := os.ReadFile("/proc/" + strconv.Itoa(fact.PID) + "/cmdline")
	if err != nil || strings.Contains(string(line), "table") {
		t.Errorf("its command line shows its environment: %q, %v", line, err)
	}
	for _, file := range []string{ts.server().Socket(), filepath.Join(ts.server().Dir, "api.sh")} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", file, err)
		}
	}
}

// Everything that a service in tmux has started goes with it, however it hides.
func TestAllThatAServiceInTmuxStartedIsStopped(t *testing.T) {
	ts := tmuxServiceOf(t, settings.Service{
		Command: `(setsid sleep 1000 &); sh -c 'trap "" TERM HUP; sleep 1000' & echo up; exec sleep 1000`,
		Ready:   settings.Ready{Log: "^up$"},
	})
	ok(t, ts.do(t))
	ok(t, ts.verify(t))
	ok(t, ts.compensate(t))
	ok(t, ts.runs("service:api", 0)())
	ok(t, ts.compensate(t))
}

func TestAServiceWhoseTmuxWasKilled(t *testing.T) {
	r := newTmuxRig(t, settings.Service{Command: "trap '' HUP; " + serving("$PORT")})
	server := r.startTmux(t)
	ts := stepOf(t, r, "service:api")
	ok(t, ts.do(t))
	before := ts.process(t)
	id, err := r.server().Process(t.Context())
	ok(t, err)
	ok(t, id.Signal(syscall.SIGKILL))
	ok(t, id.AwaitEnd(t.Context()))
	if server.verify(t) == nil {
		t.Error("tmux is there")
	}
	// It lives on, in a terminal that nobody will ever see.
	mustSay(t, ts.verify(t), "tmux")
	ok(t, server.do(t))
	ts.build(t)
	ok(t, ts.do(t))
	ok(t, ts.verify(t))
	if before.Alive() {
		t.Error("there are two")
	}
	ok(t, ts.compensate(t))
}

// What the user does with respawn-pane is a restart by hand.
func TestAServiceThatWasRespawnedIsAdopted(t *testing.T) {
	ts := tmuxServiceOf(t, settings.Service{Command: serving("$PORT")})
	ok(t, ts.do(t))
	before := ts.process(t)
	attach := ts.server().Attach()
	ok(t, exec.Command("tmux", "-S", attach[3], "respawn-pane", "-k", "-t", "="+ts.server().Session+":=api").Run())
	eventuallyListens(t, ts.s.Ports["api"], before.ID)
	mustSay(t, ts.verify(t), "not running")
	if fact, known := ServiceOf(session.Session{Plan: ts.s.Plan, Progress: ts.progress()}, ts.s.Plan.Index("service:api")); !known || fact.Alive() {
		t.Error("nobody says that it is dead")
	}
	ts.build(t)
	ok(t, ts.do(t))
	ok(t, ts.verify(t))
	if after := ts.process(t); !after.Adopted || after.ID == before.ID {
		t.Errorf("it was not adopted: %+v", after)
	}
	ok(t, ts.compensate(t))
	if left := proc.Listener(ts.s.Ports["api"]); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A process that waits at its gate, and whose owner is no more, is in nobody's way.
func TestAWindowWhoseOwnerDied(t *testing.T) {
	ts := tmuxServiceOf(t, settings.Service{Command: serving("$PORT")})
	log := filepath.Join(ts.s.Root, "l%o#{g} '")
	p, err := ts.server().Open(t.Context(), tmux.Spec{
		Window: "api", Dir: ts.s.Worktree, Command: "sleep 1000", Mark: Marks(ts.s, "service:api"), Log: log,
	})
	ok(t, err)
	ok(t, ts.runs("service:api", 1)())
	for deadline := time.Now().Add(time.Minute); fileIs(log, true) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("its log was not begun")
		}
	}
	ok(t, ts.do(t))
	if p.ID.Alive() {
		t.Error("it waits")
	}
	ok(t, ts.verify(t))
	ok(t, ts.runs("service:api", 1)())
}

// eventuallyListens waits until another process than one listens at a port.
func eventuallyListens(t *testing.T, number int, before proc.ID) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		ids := proc.Listener(number)
		if len(ids) == 1 && ids[0] != before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("at port %d there is %v", number, ids)
		}
	}
}
