package session

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"ecluse/fsm"
	"ecluse/saga/sagatest"
)

// hopeless makes a session that a down is stuck at: db can never be compensated.
func hopeless(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	if _, _, err := m.process().up(); err != nil {
		t.Fatal(err)
	}
	m.world.Add(&sagatest.Script{Name: "db", OnCompensate: slices.Repeat([]sagatest.Act{sagatest.Fail}, 50), Facts: []string{"x"}})
	_, err := m.process().down()
	runErr(t, err, ErrFailed)
	m.stands(fsm.Failed, "db=whole tree=whole")
	return m
}

// abandon is a down that goes on without steps.
func (p *process) abandon(steps ...string) error {
	_, err := p.Down(p.stops, DownRequest{Key: testKey, Options: Options{Abandon: steps}})
	return err
}

func TestADownGoesOnWithoutWhatItHasFailedAt(t *testing.T) {
	m := hopeless(t)
	if err := m.process().abandon("db"); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Absent, "db=whole")
}

// A compensation that kills every owner parks the teardown, whoever takes it over, and
// can be abandoned then. What it has left running is waited for before.
func TestADownIsParkedByItsOwnKindAndGoesOnWithoutTheStep(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	deaths := 0
	for ; m.record().State != fsm.Failed && deaths < 20; deaths++ {
		p := m.process()
		m.world.Point = func(string) { p.die() }
		p.down()
		m.world.Point = nil
		if m.record().State == fsm.Failed {
			break
		}
		var refusal *AbandonError
		if err := m.process().abandon("db"); !errors.As(err, &refusal) || len(refusal.Failed) > 0 {
			t.Fatalf("abandoned, and not parked: %v", err)
		}
	}
	s := m.record()
	if deaths != maxTakeovers+1 || s.State != fsm.Failed || s.Failure.Code != CodeParked || !slices.Contains(s.Uncompensated(), s.Failure.Step) {
		t.Fatalf("%s, %+v after %d deaths; %v", s.State, s.Failure, deaths, s.Uncompensated())
	}
	if haunted := s.Progress.Haunted(s.Plan); !slices.Equal(haunted, s.Uncompensated()) {
		t.Errorf("waits for %v, and not for %v", haunted, s.Uncompensated())
	}
	if err := m.process().abandon(s.Uncompensated()...); err != nil {
		t.Error(err)
	}
	if s := m.record(); s.State != fsm.Absent {
		t.Error(s.State)
	}
}

// A refusal changes nothing, and asks nobody to stop.
func TestWhatADownDoesNotAbandon(t *testing.T) {
	m := hopeless(t)
	writes := m.writes()
	for _, step := range []string{"tree", "web", "nothing"} {
		err := m.process().abandon("db", step)
		var refusal *AbandonError
		if !errors.As(err, &refusal) || !errors.Is(err, ErrNotThere) || refusal.Step != step || !slices.Equal(refusal.Failed, []string{"db"}) {
			t.Errorf("abandon %s: %v", step, err)
		}
	}
	if m.writes() != writes {
		t.Error("the refusal wrote")
	}
	m.stands(fsm.Failed, "db=whole tree=whole")

	m = newMachine(t)
	if err := m.process().abandon("db"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	begun := make(chan string)
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
	live, ended := m.process(), make(chan error)
	go func() { _, _, err := live.up(); ended <- err }()
	<-begun
	go func() { <-begun }() // of its compensation
	if err := m.process().abandon("db"); !errors.Is(err, ErrNotThere) {
		t.Error(err)
	}
	if s := m.record(); s.Run.Stop != nil || s.State != fsm.PendingUp {
		t.Errorf("the up was asked to stop, and is %s", s.State)
	}
	live.signal(syscall.SIGINT)
	<-ended
}

// Wherever the down is killed that abandons a step, it is abandoned or not, and the same
// command ends it. What recovers the run, or takes it over, keeps to it.
func TestCrashWhileAStepIsAbandoned(t *testing.T) {
	for _, after := range []string{"the same", "down", "recover"} {
		for k := 1; ; k++ {
			m := hopeless(t)
			if !crashAt(m, func(p *process) error { return p.abandon("db") }, k) {
				if k < 4 {
					t.Errorf("only %d points", k-1)
				}
				break
			}
			crashed, err := m.record(), error(nil)
			switch after {
			case "the same":
				err = m.process().abandon("db")
			case "down":
				_, err = m.process().down()
			case "recover":
				_, err = m.process().recover()
			}
			what := fmt.Sprintf("crashed at %d, then %s", k, after)
			switch {
			case crashed.State == fsm.Absent && errors.Is(err, ErrNotFound):
			case crashed.State == fsm.Failed && after != "the same":
				runErr(t, err, ErrFailed) // it came to nothing
				continue
			case err != nil:
				t.Errorf("%s: %v", what, err)
			}
			m.stands(fsm.Absent, "db=whole")
		}
	}
}
