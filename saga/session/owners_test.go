package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/sagatest"
)

// slowUp is a process whose up hangs in web until it is released or stopped.
type slowUp struct {
	*process
	begun   chan string
	release chan struct{}
	err     error
	wg      sync.WaitGroup
}

func startSlowUp(m *machine, act sagatest.Act) *slowUp {
	u := &slowUp{process: m.process(), begun: make(chan string, 9), release: make(chan struct{})}
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{act}, Begun: u.begun, Release: u.release})
	u.wg.Go(func() { _, _, u.err = u.up() })
	<-u.begun
	until(m.t, "db is done", func() bool { return m.record().Progress.Steps[2].Phase == saga.Done })
	return u
}

// await returns when an attempt of a step is half-way.
func (u *slowUp) await(step string) {
	for <-u.begun != step {
	}
}

func TestBusyAtOnceAndByWhom(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Deaf)
	p := m.process()
	for name, do := range map[string]func() error{
		"up":      func() error { _, _, err := p.up(); return err },
		"recover": func() error { _, err := p.recover(); return err },
	} {
		var busy *BusyError
		if err := do(); !errors.As(err, &busy) || busy.Owner.PID != u.pid || busy.Owner.Verb != VerbUp || busy.Step != "2/3 web" {
			t.Errorf("%s: %v", name, err)
		}
		if m.waitedFor(p.pid) > 0 {
			t.Errorf("%s has waited", name)
		}
	}
	if st, err := p.Status(m.record()); err != nil || st.Interrupted || st.Owner == nil || st.Owner.PID != u.pid {
		t.Errorf("%+v, %v", st, err)
	}
	close(u.release)
	u.wg.Wait()
	if st, err := p.Status(m.record()); err != nil || st.Interrupted || st.Owner != nil || u.err != nil {
		t.Errorf("%+v, %v, %v", st, err, u.err)
	}
	m.stands(fsm.Active, everything)
}

func TestInterruptedIsNotBusy(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Hang)
	u.die()
	u.wg.Wait()
	p := m.process()
	st, err := p.Status(m.record())
	if err != nil || !st.Interrupted || st.Owner != nil || Describe(st.Session) != "2/3 web" || Current(st.Session) != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	if _, _, err := p.up(); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Active, everything)
	if Current(m.record()) != -1 || Describe(m.record()) != "" {
		t.Error("nothing is in hand")
	}
}

// Looking says of a record what is true of it, also if it has changed since it was
// read.
func TestStatusOfAnOldRecord(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Deaf)
	old := m.record()
	close(u.release)
	u.wg.Wait()
	p := m.process()
	if st, err := p.Status(old); err != nil || st.State != fsm.Active || st.Interrupted {
		t.Errorf("%+v, %v", st, err)
	}
	p.down()
	if st, err := p.Status(old); !errors.Is(err, ErrNotFound) || st.Interrupted {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestUpWaitsAsLongAsItIsAsked(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Deaf)
	if _, _, err := m.process().upWith(UpRequest{Wait: time.Millisecond}); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	p := m.process()
	var wg sync.WaitGroup
	wg.Go(func() {
		if s, done, err := p.upWith(UpRequest{Wait: -1}); err != nil || done || s.State != fsm.Active {
			t.Error(s.State, done, err)
		}
	})
	close(u.release)
	wg.Wait()
	u.wg.Wait()

	// Ctrl-C ends the wait.
	u = startSlowUp(newMachine(t), sagatest.Deaf)
	p = u.machine.process()
	stop := &Signalled{Signal: syscall.SIGINT}
	p.soft(stop)
	if _, _, err := p.upWith(UpRequest{Wait: -1}); !errors.Is(err, stop) {
		t.Error(err)
	}
	close(u.release)
	u.wg.Wait()
}

func TestDownStopsALiveUp(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Hang)
	if s, err := m.process().down(); err != nil || s.State != fsm.Absent {
		t.Error(s.State, err)
	}
	u.wg.Wait()
	if run := runErr(t, u.err, ErrRolledBack); run.Failure.Code != CodeStopped || run.State != fsm.Absent {
		t.Errorf("%+v", run)
	}
	m.stands(fsm.Absent, "")
}

// Several downs ask once: a second signal would make the owner leave its rollback.
func TestSeveralDownsAskOnce(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Hang)
	m.world.Add(&sagatest.Script{Name: "tree", OnCompensate: []sagatest.Act{sagatest.Deaf}, Begun: u.begun, Release: u.release})
	var wg sync.WaitGroup
	down := func() {
		// The first of them finds nothing left, as does who waited with it.
		if _, err := m.process().down(); err != nil {
			t.Error(err)
		}
	}
	for range 4 {
		wg.Go(down)
	}
	u.await("tree") // in the rollback, where another signal would hurt
	wg.Go(down)
	until(t, "they all wait", func() bool { return m.waiting() == 5 })
	close(u.release)
	u.wg.Wait()
	wg.Wait()
	runErr(t, u.err, ErrRolledBack)
	m.stands(fsm.Absent, "")
	if want := []string{syscall.SIGTERM.String() + " to 100"}; !slices.Equal(m.signals, want) {
		t.Error(m.signals)
	}
}

// A down that died between its word and its signal does not leave the next one
// waiting for ever. But that one has looked more than once, however much time goes by
// between two looks: on a machine that stood still the owner had none to turn back in,
// and a second signal would hurt.
func TestADownAsksAgainWhenTheOneBeforeDied(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Hang)
	first := m.process()
	first.Point = func(name string) {
		if name == "after "+string(AskStop) {
			first.die()
		}
	}
	if _, err := first.down(); err == nil {
		t.Fatal("a dead process succeeded")
	}
	if m.record().Run.Stop == nil || m.record().State != fsm.PendingUp {
		t.Fatalf("%+v", m.record().Run)
	}
	second := m.process()
	second.Now = fast()
	if _, err := second.down(); err != nil {
		t.Error(err)
	}
	if n := m.waitedFor(second.pid); n < stopLooks {
		t.Errorf("it has asked after %d looks", n)
	}
	u.wg.Wait()
	m.stands(fsm.Absent, "")
}

// fast is a clock that goes on by two seconds whenever somebody looks at it.
func fast() func() time.Time {
	var n atomic.Int64
	return func() time.Time { return time.Unix(1000+2*n.Add(1), 0) }
}

// A down of a session that is being repaired waits for the revert, and then takes
// all of it down.
func TestDownStopsALiveRepair(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	m.world.Set("web", sagatest.None)
	u := startSlowUp(m, sagatest.Hang)
	if s, err := m.process().down(); err != nil || s.State != fsm.Absent {
		t.Error(s.State, err)
	}
	u.wg.Wait()
	if run := runErr(t, u.err, ErrFailed); run.Failure.Code != CodeStopped {
		t.Errorf("%+v", run)
	}
	m.stands(fsm.Absent, "")
}

// While an up has the lock and no record yet, it is found busy; a down waits for
// it to say what it does, and asks it then.
func TestDownOfAnUpThatHasNotYetClaimed(t *testing.T) {
	m := newMachine(t)
	u := m.process()
	looking, look := make(chan struct{}), make(chan struct{})
	begun := make(chan string, 9)
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := u.upWith(UpRequest{New: func(context.Context, int) (Session, []Want, error) {
			close(looking)
			<-look
			return Session{Plan: testPlan}, nil, nil
		}})
		runErr(t, err, ErrRolledBack)
	})
	<-looking
	var busy *BusyError
	if _, _, err := m.process().up(); !errors.As(err, &busy) || busy.Owner.PID != u.pid || busy.Step != "" {
		t.Error(err)
	}
	hasty := m.process()
	hasty.Now = fast()
	if _, err := hasty.down(); !errors.Is(err, ErrBusy) {
		t.Errorf("after its patience: %v", err)
	}
	patient := m.process()
	patient.Now = fast()
	wg.Go(func() {
		if s, err := patient.Down(patient.stops, DownRequest{Key: testKey, Wait: -1}); err != nil || s.State != fsm.Absent {
			t.Error(s.State, err)
		}
	})
	until(t, "it has waited", func() bool { return m.waitedFor(patient.pid) > 3 })
	close(look)
	<-begun
	wg.Wait()
	m.stands(fsm.Absent, "")
}

// A down that takes a session down is not disturbed by another: that waits, or is
// told who is at it.
func TestDownWhileADownIsUnderWay(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	begun, release := make(chan string), make(chan struct{})
	m.world.Add(&sagatest.Script{Name: "web", OnCompensate: []sagatest.Act{sagatest.Deaf}, Begun: begun, Release: release})
	first := m.process()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := first.down(); err != nil {
			t.Error(err)
		}
	})
	<-begun
	var busy *BusyError
	if _, err := m.process().down(); !errors.As(err, &busy) || busy.Owner.PID != first.pid {
		t.Error(err)
	}
	wg.Go(func() {
		p := m.process()
		if _, err := p.Down(p.stops, DownRequest{Key: testKey, Wait: -1}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v; want that it is gone", err)
		}
	})
	close(release)
	wg.Wait()
	m.stands(fsm.Absent, "")
	if m.signals != nil {
		t.Error(m.signals)
	}
}

// What a stop means, by who asked and which way the run goes.
func TestStopEvent(t *testing.T) {
	down := &StopRequest{By: Owner{PID: 7, Verb: VerbDown}}
	keeping := &StopRequest{By: Owner{PID: 7, Verb: VerbDown}, Halt: true}
	cause := &Signalled{Signal: syscall.SIGINT}
	for _, c := range []struct {
		asked *StopRequest
		d     saga.Direction
		kind  saga.EventKind // "" is no stop at all
		code  string
	}{
		{nil, saga.Forward, saga.Turn, CodeInterrupted},
		{nil, saga.Backward, saga.Halt, ""},
		{down, saga.Forward, saga.Turn, CodeStopped},
		{down, saga.Backward, "", ""}, // it does what the down wants
		{keeping, saga.Forward, saga.Halt, CodeStopped},
		{keeping, saga.Backward, "", ""}, // too late
	} {
		e, ok := stopEvent(c.asked, cause, c.d)
		if ok != (c.kind != "") || e.Kind != c.kind || e.Code != c.code {
			t.Errorf("%+v: %+v, %v", c, e, ok)
		}
	}
}

func TestSignalsToAnUp(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Hang)
	u.process.soft(&Signalled{Signal: syscall.SIGINT})
	u.wg.Wait()
	if run := runErr(t, u.err, ErrRolledBack); run.Failure.Code != CodeInterrupted {
		t.Errorf("%+v", run)
	}
	m.stands(fsm.Absent, "")

	// The second one: at once. What is left is for recover, which goes back, as
	// the run had turned.
	m = newMachine(t)
	u = startSlowUp(m, sagatest.Hang)
	m.world.Add(&sagatest.Script{Name: "db", OnCompensate: []sagatest.Act{sagatest.Hang}, Begun: u.begun})
	u.process.soft(&Signalled{Signal: syscall.SIGINT})
	u.await("db")
	u.process.hard(&Signalled{Signal: syscall.SIGINT})
	u.wg.Wait()
	run := runErr(t, u.err, ErrInterrupted)
	if !errors.Is(run, saga.ErrAbandoned) || run.State != fsm.PendingDown || run.Left == nil {
		t.Errorf("%+v", run)
	}
	if _, err := m.process().recover(); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Absent, "")

	// A stop before anything was decided changes nothing.
	m = newMachine(t)
	p := m.process()
	stop := &Signalled{Signal: syscall.SIGHUP}
	p.soft(stop)
	if _, _, err := p.up(); !errors.Is(err, stop) {
		t.Error(err)
	}
	m.stands(fsm.Absent, "")
}

func TestASignalToADown(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	begun, release := make(chan string), make(chan struct{})
	m.world.Add(&sagatest.Script{Name: "web", OnCompensate: []sagatest.Act{sagatest.Deaf}, Begun: begun, Release: release})
	p := m.process()
	go func() {
		<-begun
		p.soft(&Signalled{Signal: syscall.SIGTERM})
		until(t, "it halts", func() bool { return m.record().Progress.Halted })
		close(release)
	}()
	_, err := p.down()
	run := runErr(t, err, ErrInterrupted)
	if run.State != fsm.PendingDown || !slices.Contains(run.Left, "tree") {
		t.Errorf("%+v", run)
	}
	m.sound()
	if m.world.Effect("web") != sagatest.None || m.world.Effect("tree") != sagatest.Whole {
		t.Error(m.world)
	}
	if _, err := m.process().down(); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Absent, "")
}

// A lock under which something still runs is not given back.
func TestALockIsKeptWhileStepsAreStillRunning(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Deaf)
	u.process.hard(&Signalled{Signal: syscall.SIGINT})
	u.wg.Wait()
	if !errors.Is(u.err, saga.ErrUnended) {
		t.Fatal(u.err)
	}
	if _, _, err := m.process().up(); !errors.Is(err, ErrBusy) {
		t.Errorf("the session was given away: %v", err)
	}
	u.die()
	close(u.release)
	if _, _, err := m.process().up(); err != nil {
		t.Error(err)
	}
}
