package session

import (
	"errors"
	"testing"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/sagatest"
)

// Way says what recover will do in every state and mode: "" is nothing, refused
// is that it cannot be had.
func TestWay(t *testing.T) {
	const refused = EventKind("refused")
	back := saga.Progress{Direction: saga.Backward}
	reverted := saga.Progress{Direction: saga.Backward, Scope: "r"}
	for _, c := range []struct {
		name                   string
		s                      Session
		auto, resume, rollback EventKind
	}{
		{"absent", Session{State: fsm.Absent}, "", "", ""},
		{"stopped", Session{State: fsm.Stopped}, "", "", ""},
		{"active", Session{State: fsm.Active}, "", "", ""},
		{"an up that was cut off", Session{State: fsm.PendingUp}, ClaimResume, ClaimResume, ClaimRollback},
		{"a teardown that was cut off", Session{State: fsm.PendingDown, Progress: back}, ClaimResume, refused, ClaimResume},
		{"a revert that was cut off", Session{State: fsm.PendingDown, Progress: reverted}, ClaimResume, refused, ClaimResume},
		{"an up that failed and was kept", Session{State: fsm.Failed}, ClaimUp, ClaimUp, ClaimDown},
		{"a teardown that got stuck", Session{State: fsm.Failed, Progress: back}, ClaimDown, refused, ClaimDown},
		{"a repair that was reverted", Session{State: fsm.Failed, Progress: reverted, Settled: true}, ClaimUp, ClaimUp, refused},
		{"a repair that failed and was kept", Session{State: fsm.Failed, Settled: true}, ClaimUp, ClaimUp, refused},
	} {
		for mode, want := range map[Mode]EventKind{Auto: c.auto, Resume: c.resume, Rollback: c.rollback} {
			way, err := RecoverRequest{Mode: mode}.Way(c.s)
			if want == refused {
				if !errors.Is(err, ErrNotThere) || way != "" {
					t.Errorf("%s, %s: %s, %v; want a refusal", c.name, mode, way, err)
				}
			} else if way != want || err != nil {
				t.Errorf("%s, %s: %s, %v; want %s", c.name, mode, way, err, want)
			}
		}
	}
	if way, err := (RecoverRequest{Mode: Auto, Repair: true}).Way(Session{State: fsm.Active}); way != ClaimUp || err != nil {
		t.Error(way, err)
	}
}

func TestRecoverGoesTheWayOfTheRun(t *testing.T) {
	m := newMachine(t)
	u := startSlowUp(m, sagatest.Hang)
	u.die()
	u.wg.Wait()
	if s, err := m.process().recover(); err != nil || s.State != fsm.Active || s.Run.Verb != VerbUp || s.Run.Owner.Verb != VerbRecover {
		t.Errorf("%+v, %v", s.Run, err)
	}
	m.stands(fsm.Active, everything)
	log := len(m.world.Log())
	if s, err := m.process().recover(); err != nil || s.State != fsm.Active || len(m.world.Log()) != log {
		t.Error(s.State, err) // nothing was interrupted
	}

	m = newMachine(t)
	u = startSlowUp(m, sagatest.Hang)
	u.die()
	u.wg.Wait()
	p := m.process()
	if s, err := p.Recover(p.stops, RecoverRequest{Key: testKey, Mode: Rollback}); err != nil || s.State != fsm.Absent || s.Failure.Code != CodeRollback {
		t.Errorf("%+v, %v", s.Failure, err)
	}
	m.stands(fsm.Absent, "")

	m = newMachine(t)
	m.process().up()
	killed := m.process()
	m.world.Point = func(string) { killed.die() }
	killed.down()
	m.world.Point = nil
	p = m.process()
	if _, err := p.Recover(p.stops, RecoverRequest{Key: testKey, Mode: Resume}); !errors.Is(err, ErrNotThere) {
		t.Error(err)
	}
	if s, err := m.process().recover(); err != nil || s.State != fsm.Absent || s.Run.Verb != VerbDown {
		t.Error(s.State, err)
	}
	m.stands(fsm.Absent, "")
}

// An up that failed and was cut off before it had halted is finished by the next
// up, which then goes on.
func TestUpGoesOnAfterAFailureThatWasCutOff(t *testing.T) {
	m := newMachine(t)
	begun := make(chan string)
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.FailHalf}})
	m.world.Add(&sagatest.Script{Name: "db", OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
	p := m.process()
	go func() {
		<-begun
		until(t, "web has failed", func() bool { return m.record().Progress.Halted })
		p.die()
		<-begun
	}()
	p.upWith(UpRequest{Options: Options{KeepOnFailure: true}})
	if s := m.record(); s.State != fsm.PendingUp || s.Progress.Cause == nil {
		t.Fatalf("%s, %+v", s.State, s.Progress)
	}
	if _, _, err := m.process().up(); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Active, everything)
}
