package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// serveEnv makes the test binary a server at the port that it names, and serveDelay
// lets it begin later.
const serveEnv = "ECLUSE_STEPS_TEST_SERVE"

func init() {
	port, serve := os.LookupEnv(serveEnv)
	if !serve {
		return
	}
	fmt.Println("serving", port)
	fmt.Println(http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(nothing)))
	os.Exit(1)
}

// nothing answers 200 to everything.
func nothing(http.ResponseWriter, *http.Request) {}

// serving is a command that serves at a port, a number or "$PORT".
func serving(port string) string {
	return "export GORACE=atexit_sleep_ms=0 " + serveEnv + "=" + port + "; exec /proc/" + strconv.Itoa(os.Getpid()) + "/exe"
}

// trialStep is a step and what it has saved.
type trialStep struct {
	*rig
	step  saga.Step
	spec  saga.Spec
	facts map[string]json.RawMessage
}

// stepOf makes a step of the rig's plan.
func stepOf(t *testing.T, r *rig, name string) *trialStep {
	t.Helper()
	ts := &trialStep{rig: r, spec: r.s.Plan.Steps[r.s.Plan.Index(name)], facts: map[string]json.RawMessage{}}
	ts.build(t)
	return ts
}

// build builds the step as another process would.
func (ts *trialStep) build(t *testing.T) {
	t.Helper()
	var err error
	if ts.s.Settings, err = settings.Encode(ts.cfg); err != nil {
		t.Fatal(err)
	}
	if ts.step, err = ts.kit.Build(ts, ts.spec); err != nil {
		t.Fatal(err)
	}
}

// serviceOf makes a session with a worktree and a service at a free port.
func serviceOf(t *testing.T, s settings.Service) *trialStep {
	t.Helper()
	r := newRig(t, func(c *settings.Config) {
		s.Name, s.BasePort = "api", 33000
		c.Services = []settings.Service{s}
	})
	r.s.Ports = map[string]int{"api": freePort(t)}
	r.addWorktree(t)
	ts := stepOf(t, r, "service:api")
	t.Cleanup(func() {
		if err := ts.compensate(t); err != nil {
			t.Errorf("compensate: %v", err)
		}
		if err := r.runs("service:api", 0)(); err != nil {
			t.Error(err)
		}
	})
	return ts
}

// attempt makes an attempt as the runner would.
func (ts *trialStep) attempt(ctx context.Context, compensating bool, act func(context.Context, *saga.Attempt) error) error {
	a := saga.NewAttempt(ts.spec.Name, ts.facts, func(key string, data json.RawMessage) error {
		ts.facts = maps.Clone(ts.facts)
		ts.facts[key] = data
		return nil
	})
	a.Compensating = compensating
	prepared, finish, err := ts.kit.Prepare(ctx, ts, ts.spec, a)
	if err != nil {
		return err
	}
	return finish(act(prepared, a))
}

func (ts *trialStep) do(t *testing.T) error {
	return ts.doIn(t.Context())
}

func (ts *trialStep) doIn(ctx context.Context) error {
	return ts.attempt(ctx, false, ts.step.Do)
}

func (ts *trialStep) compensate(t *testing.T) error {
	return ts.attempt(context.WithoutCancel(t.Context()), true, ts.step.Compensate)
}

// verify looks; resumed as after a crash.
func (ts *trialStep) verify(t *testing.T, resumed ...bool) error {
	a := saga.NewAttempt(ts.spec.Name, ts.facts, nil)
	a.Resumed = len(resumed) > 0
	return ts.step.(saga.Verifier).Verify(t.Context(), a)
}

// process is the fact on record.
func (ts *trialStep) process(t *testing.T) ServiceFact {
	t.Helper()
	var fact ServiceFact
	if err := json.Unmarshal(ts.facts[factProcess], &fact); err != nil {
		t.Fatal(err)
	}
	return fact
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// within is a time-out.
func within(d time.Duration) *config.Duration {
	c := config.Duration(d)
	return &c
}

// mustSay fails unless the error has all of these words.
func mustSay(t *testing.T, err error, words ...string) {
	t.Helper()
	if err := unsaid(err, words...); err != nil {
		t.Error(err)
	}
}

// unsaid is nil if the error has all of these words.
func unsaid(err error, words ...string) error {
	if err == nil {
		return errors.New("there is no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			return fmt.Errorf("the error does not say %q: %w", word, err)
		}
	}
	return nil
}

// widen lets something that must happen within a limit try with ever wider ones: what a
// busy machine has no time for in the first is seen in a later one.
func widen(t *testing.T, limit time.Duration, try func(limit time.Duration) error) {
	t.Helper()
	err := try(limit)
	for ; err != nil && limit < 30*time.Second; err = try(limit) {
		limit *= 4
	}
	ok(t, err)
}

// takeLater lets this process listen at the service's port once the service runs. What it
// returns is closed when somebody has connected for the second time: one look at the
// port is over then.
func (ts *trialStep) takeLater(t *testing.T) <-chan struct{} {
	t.Helper()
	var visits atomic.Int32
	looked := make(chan struct{})
	number, runs, done := ts.s.Ports["api"], ts.runs("service:api", 1), make(chan struct{})
	var listener net.Listener
	go func() {
		defer close(done)
		for runs() != nil && t.Context().Err() == nil {
			time.Sleep(time.Millisecond) // a poll; the context is its deadline
		}
		listener = listen(t, number, func() {
			if visits.Add(1) == 2 {
				close(looked)
			}
		})
	}()
	t.Cleanup(func() {
		<-done
		if listener != nil {
			listener.Close()
		}
	})
	return looked
}

// listen serves at a port from this process, and tells of each connection.
func listen(t *testing.T, number int, visited func()) net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(number))
	if err != nil {
		t.Error(err)
		return nil
	}
	server := http.Server{Handler: http.HandlerFunc(nothing), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			visited()
		}
	}}
	go server.Serve(listener)
	return listener
}

// awaitServer returns when somebody listens at a port, or at the end of ctx.
func awaitServer(ctx context.Context, number int) {
	for len(proc.Listener(number)) == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond) // a poll; the context is its deadline
	}
}

func TestAServiceIsNotReadyWhenAStrangerAnswersAtItsPort(t *testing.T) {
	for name, ready := range map[string]settings.Ready{"tcp": {}, "http": {HTTP: "/"}, "url": {HTTP: "http://localhost:${PORT}/x"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			elsewhere := freePort(t)
			ts := serviceOf(t, settings.Service{Command: serving(strconv.Itoa(elsewhere)), Ready: ready})
			number := ts.s.Ports["api"]
			looked := ts.takeLater(t)
			ctx, enough := context.WithCancel(t.Context())
			go func() {
				<-looked
				awaitServer(ctx, elsewhere)
				enough()
			}()
			mustSay(t, ts.doIn(ctx), fmt.Sprintf("port %d is answered by pid %d", number, os.Getpid()), fmt.Sprintf("it listens on port %d, not on %d", elsewhere, number))
		})
	}
}

// The process that listens need not be the first, nor carry the mark.
func TestAServiceMayListenInAHelper(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"daemon that hides": "(env -i " + serveEnv + "=$PORT GORACE=atexit_sleep_ms=0 setsid /proc/" + strconv.Itoa(os.Getpid()) + "/exe &); exec sleep 1000",
		"helper":            "(" + serving("$PORT") + ") & exec sleep 1000",
	} {
		t.Run(name, func(t *testing.T) {
			ts := serviceOf(t, settings.Service{Command: command, Ready: settings.Ready{Timeout: within(time.Minute)}})
			ok(t, ts.do(t))
			ok(t, ts.verify(t))
			ok(t, ts.compensate(t))
			if left := proc.Listener(ts.s.Ports["api"]); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestAServiceThatRunsIsNotWholeWhenAStrangerHasItsPort(t *testing.T) {
	t.Parallel()
	ts := serviceOf(t, settings.Service{Command: "echo up; exec sleep 1000", Ready: settings.Ready{Log: "^up$"}})
	if err := ts.do(t); err != nil {
		t.Fatal(err)
	}
	defer listen(t, ts.s.Ports["api"], func() {}).Close()
	ts.cfg.Services[0].Ready = settings.Ready{TCP: true}
	ts.build(t)
	mustSay(t, ts.verify(t), "is answered by pid")
}

// A program that has written over its environment, and whose parents are gone, is
// known by its log.
func TestAServiceThatHidesIsStopped(t *testing.T) {
	ts := serviceOf(t, settings.Service{
		Command: "env -i setsid sleep 1000 & echo up; exec sleep 1000", Ready: settings.Ready{Log: "^up$"},
	})
	ok(t, ts.do(t))
	fact := ts.process(t)
	ok(t, fact.Signal(syscall.SIGKILL))
	ok(t, fact.AwaitEnd(t.Context()))
	mustSay(t, ts.verify(t), "not running")
	if left, err := proc.Writing(fact.Log); err != nil || len(left) != 1 {
		t.Fatalf("what hides: %v, %v", left, err)
	}
	ok(t, ts.compensate(t))
	if left, err := proc.Writing(fact.Log); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAServiceThatEndsSaysWhyItDid(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		want    []string
	}{
		"status":   {"echo first; echo the last words >&2; exit 3", []string{"it has exited (exit status 3); it said: the last words\n  first\n"}},
		"success":  {"exit 0", []string{"exit status 0"}},
		"signal":   {"kill -9 $$", []string{"SIGKILL"}},
		"no shell": {"exec /does/not/exist", []string{"exit status 127", "/does/not/exist"}},
	} {
		t.Run(name, func(t *testing.T) {
			ts := serviceOf(t, settings.Service{Command: test.command})
			mustSay(t, ts.do(t), test.want...)
			mustSay(t, ts.verify(t), "not running")
		})
	}
}

func TestAServiceThatTakesNotItsPort(t *testing.T) {
	t.Parallel()
	elsewhere := freePort(t)
	ts := serviceOf(t, settings.Service{Command: serving(strconv.Itoa(elsewhere))})
	widen(t, 2*time.Second, func(limit time.Duration) error {
		ts.cfg.Services[0].Ready.Timeout = within(limit)
		ts.build(t)
		return unsaid(ts.do(t), fmt.Sprintf("not ready after %s", limit), fmt.Sprintf("port %d, not on %d", elsewhere, ts.s.Ports["api"]), "$PORT")
	})
}

func TestAServiceThatIsNotReadyInTime(t *testing.T) {
	for name, ready := range map[string]settings.Ready{
		"tcp": {TCP: true}, "http": {HTTP: "/"}, "log": {Log: "never"}, "command": {Command: "false"},
		"one of two": {Log: "up", Command: "false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := serviceOf(t, settings.Service{Command: "echo up; exec sleep 1000", Ready: ready})
			widen(t, 300*time.Millisecond, func(limit time.Duration) error {
				ts.cfg.Services[0].Ready.Timeout = within(limit)
				ts.build(t)
				err := ts.do(t)
				ok(t, ts.runs("service:api", 0)()) // a failed attempt leaves nothing
				return unsaid(err, fmt.Sprintf("not ready after %s", limit), "; it said: up")
			})
		})
	}
}

func TestAServiceIsReady(t *testing.T) {
	for name, ready := range map[string]settings.Ready{
		"by default": {}, "tcp": {TCP: true}, "http": {HTTP: "/health"}, "url": {HTTP: "http://127.0.0.1:${PORT}/"},
		"log": {Log: "^serving [0-9]+$"}, "command": {Command: `test "$ECLUSE_API_PORT" = "$PORT"`},
		"all": {TCP: true, HTTP: "/", Log: "serving", Command: "true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ready.Timeout = within(time.Minute)
			ts := serviceOf(t, settings.Service{Command: serving("$PORT"), Ready: ready})
			ok(t, ts.do(t))
			ok(t, ts.verify(t))
			ok(t, ts.runs("service:api", 1)())
		})
	}
}

func TestAServiceWasKilled(t *testing.T) {
	ts := serviceOf(t, settings.Service{Command: "sleep 1000 & echo up; exec sleep 1000", Ready: settings.Ready{Log: "^up$"}})
	ok(t, ts.do(t))
	before := ts.process(t)
	ok(t, before.Signal(syscall.SIGKILL))
	ok(t, before.AwaitEnd(t.Context()))
	if fact, known := ServiceOf(session.Session{Plan: ts.s.Plan, Progress: ts.progress()}, ts.s.Plan.Index("service:api")); !known || fact.Alive() {
		t.Error("nobody says that it is dead")
	}
	mustSay(t, ts.verify(t), "not running")
	ts.build(t)
	ok(t, ts.do(t))
	ok(t, ts.verify(t))
	ok(t, ts.runs("service:api", 2)()) // what the first had started is gone
	if ts.process(t).ID == before.ID {
		t.Error("the fact is of the first")
	}
}

// progress is what the journal would have of the step.
func (ts *trialStep) progress() saga.Progress {
	p := saga.Progress{Steps: make([]saga.StepState, len(ts.s.Plan.Steps))}
	p.Steps[ts.s.Plan.Index(ts.spec.Name)] = saga.StepState{Phase: saga.Done, Facts: ts.facts}
	return p
}

func TestAllThatAServiceStartedIsStopped(t *testing.T) {
	ts := serviceOf(t, settings.Service{
		Command: `(setsid sleep 1000 &); sh -c 'trap "" TERM; setsid sleep 1000 & sleep 1000' & setsid sh -c 'sleep 1000; :' & echo up; exec sleep 1000`,
		Ready:   settings.Ready{Log: "^up$"},
	})
	ok(t, ts.do(t))
	for deadline := time.Now().Add(time.Minute); ts.runs("service:api", 7)() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(ts.runs("service:api", 7)())
		}
	}
	ok(t, ts.compensate(t))
	ok(t, ts.runs("service:api", 0)())
	ok(t, ts.compensate(t))
}

func TestWhatAServiceSees(t *testing.T) {
	ts := serviceOf(t, settings.Service{
		Command: `echo "$A $B $C $D $ECLUSE_SLUG $ECLUSE_SESSION_ID $ECLUSE_STEP $PORT [$GIT_DIR] $(pwd) $PWD"; exec sleep 1000`,
		Ready:   settings.Ready{Log: `^\S+ `},
	})
	t.Setenv("GIT_DIR", "/hook")
	t.Setenv("D", "machine")
	ts.cfg.Env = map[string]string{"A": "table"}
	ts.build(t)
	for name, text := range map[string]string{
		".env":           "A=env\nB=env\nC=env\nECLUSE_SESSION_ID=wrong\nPORT=1\n",
		".env.local":     "B=local\nC=local\n",
		settings.EnvFile: fmt.Sprintf("C=ecluse\nPORT=%d\n", ts.s.Ports["api"]),
	} {
		ts.put(t, filepath.Join(ts.s.Worktree, name), text)
	}
	ok(t, ts.do(t))
	data, err := os.ReadFile(ts.process(t).Log)
	ok(t, err)
	want := fmt.Sprintf("env local ecluse machine feat-x %s service:api %d [] %s %[3]s\n", ts.s.ID, ts.s.Ports["api"], ts.s.Worktree)
	if string(data) != want {
		t.Errorf("it sees %s, not %s", data, want)
	}
}

func TestAPortThatIsTakenIsNoPlaceToStart(t *testing.T) {
	ts := serviceOf(t, settings.Service{Command: serving("$PORT"), Ready: settings.Ready{TCP: true}})
	defer listen(t, ts.s.Ports["api"], func() {}).Close()
	err := ts.do(t)
	mustSay(t, err, fmt.Sprintf("pid %d", os.Getpid()))
	if !saga.IsPermanent(err) || saga.CodeOf(err) != CausePortTaken {
		t.Errorf("it would be tried again, or is for %q", saga.CodeOf(err))
	}
}
