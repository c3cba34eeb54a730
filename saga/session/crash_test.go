package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ecluse/fsm"
	"ecluse/saga/sagatest"
)

// A verb in the crash tests: how the machine is prepared for it, and the verb.
type crashing struct {
	name    string
	prepare func(*machine)
	run     func(*process) error
}

func runUpOf(p *process) error      { _, _, err := p.up(); return err }
func runDownOf(p *process) error    { _, err := p.down(); return err }
func runRecoverOf(p *process) error { _, err := p.recover(); return err }

// failingWeb makes web fail half-way, once.
func failingWeb(m *machine) {
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.FailHalf}, Facts: []string{"x"}})
}

// facts makes steps save facts, so that there are more places to crash at.
func facts(m *machine) {
	m.world.Add(&sagatest.Script{Name: "tree", Facts: []string{"x"}})
	m.world.Add(&sagatest.Script{Name: "web", Facts: []string{"y", "z"}})
}

// verbs are the runs that are crashed everywhere.
var verbs = []crashing{
	{"up", facts, runUpOf},
	{"rollback", failingWeb, runUpOf},
	{"down", func(m *machine) { facts(m); m.process().up() }, runDownOf},
	{"stop", func(m *machine) { facts(m); m.process().up() }, func(p *process) error {
		_, err := p.Down(p.stops, DownRequest{Key: testKey, Options: Options{KeepWorktree: true}})
		return err
	}},
	{"repair", func(m *machine) {
		facts(m)
		m.process().up()
		m.world.Set("tree", sagatest.Half)
		m.world.Set("db", sagatest.None)
	}, runUpOf},
	{"failing repair", func(m *machine) { m.process().up(); failingWeb(m); m.world.Set("web", sagatest.None) }, runUpOf},
	{"kept failure", failingWeb, func(p *process) error {
		_, _, err := p.upWith(UpRequest{Options: Options{KeepOnFailure: true}})
		return err
	}},
	{"recover of an up", func(m *machine) { facts(m); crashAt(m, runUpOf, 9) }, runRecoverOf},
	{"recover of a down", func(m *machine) { m.process().up(); crashAt(m, runDownOf, 4) }, runRecoverOf},
	{"recover of a rollback", func(m *machine) { failingWeb(m); crashAt(m, runUpOf, 15) }, runRecoverOf},
}

// crashAt runs a verb in a process that dies at the k-th point, and reports
// whether there was one.
func crashAt(m *machine, run func(*process) error, k int) bool {
	p := m.process()
	n := 0
	point := func(string) {
		m.mu.Lock()
		n++
		now := n == k
		m.mu.Unlock()
		if now {
			p.die()
		}
	}
	p.Point, m.world.Point = point, point
	_ = run(p)
	m.world.Point = nil
	return n >= k
}

// Whatever crashes wherever, one more command ends it, all or nothing.
func TestCrashAtEveryPoint(t *testing.T) {
	for _, verb := range verbs {
		t.Run(verb.name, func(t *testing.T) {
			points := 0
			for k := 1; ; k++ {
				m := newMachine(t)
				verb.prepare(m)
				if !crashAt(m, verb.run, k) {
					break
				}
				points++
				for _, after := range []string{"up", "down", "recover"} {
					m := newMachine(t)
					verb.prepare(m)
					crashAt(m, verb.run, k)
					m.finish(t, after, fmt.Sprintf("%s crashed at %d, then %s", verb.name, k, after))
				}
			}
			t.Logf("%d points", points)
			if points < 3 { // how many there are depends on how steps overlap
				t.Errorf("only %d points", points)
			}
		})
	}
}

// And if the command that is to end it crashes as well: at every third point,
// and at the others of those for the next first crash.
func TestCrashAtEveryPointOfWhatFinishesACrash(t *testing.T) {
	step := 3
	if testing.Short() || raceDetector {
		step = 11
	}
	runs := 0
	for _, verb := range verbs {
		for _, second := range []struct {
			name string
			run  func(*process) error
		}{{"up", runUpOf}, {"down", runDownOf}, {"recover", runRecoverOf}} {
			for k := 1; ; k++ {
				m := newMachine(t)
				verb.prepare(m)
				if !crashAt(m, verb.run, k) {
					break
				}
				for j := 1 + k%step; ; j += step {
					m := newMachine(t)
					verb.prepare(m)
					crashAt(m, verb.run, k)
					crashed := crashAt(m, second.run, j)
					runs++
					m.finish(t, []string{"up", "down", "recover"}[runs%3], fmt.Sprintf("%s crashed at %d, %s at %d", verb.name, k, second.name, j))
					if !crashed {
						break
					}
				}
			}
		}
	}
	t.Logf("%d pairs of crashes", runs)
}

// finish runs a last command and checks what promise P1 says of it.
func (m *machine) finish(t *testing.T, verb, story string) {
	t.Helper()
	m.sound()
	m.world.Add(&sagatest.Script{Name: "web"}) // it works now
	p := m.process()
	var err error
	switch verb {
	case "up":
		if _, _, err = p.up(); err != nil || m.record().State != fsm.Active || m.world.String() != everything {
			t.Errorf("%s: %v, %s, %s", story, err, m.record().State, m.world)
		}
	case "down":
		if _, err = p.down(); err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", story, err)
		}
	case "recover":
		_, err = p.Recover(p.stops, RecoverRequest{Key: testKey, Mode: Auto, Repair: true})
		s := m.record()
		switch {
		case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrFailed) && !errors.Is(err, ErrRolledBack), s.State.Pending():
			t.Errorf("%s: %v, %s", story, err, s.State)
		case s.State == fsm.Active && m.world.String() != everything, s.State == fsm.Absent && m.world.String() != "":
			t.Errorf("%s: %s with %s", story, s.State, m.world)
		}
	}
	m.sound()
	// In any case one down leaves nothing.
	if _, err := m.process().down(); err != nil && !errors.Is(err, ErrNotFound) {
		t.Errorf("%s, then down: %v", story, err)
	}
	m.stands(fsm.Absent, "")
	if t.Failed() {
		t.FailNow()
	}
}

// A rollback that a later process finishes reports the original error.
func TestTheOriginalErrorIsReportedByWhoFinishes(t *testing.T) {
	m := newMachine(t)
	failingWeb(m)
	p := m.process()
	p.Point = func(name string) {
		if name == "after journal" && m.record().State == fsm.PendingDown {
			p.die()
		}
	}
	p.up()
	if s := m.record(); s.State != fsm.PendingDown {
		t.Fatal(s.State)
	}
	s, err := m.process().recover()
	if err != nil || s.Failure == nil || s.Failure.Step != "web" || s.State != fsm.Absent {
		t.Errorf("%+v, %v", s.Failure, err)
	}
	m.stands(fsm.Absent, "")
}

// A session that kills every owner is parked and not tried for ever.
func TestAPoisonousSessionIsParked(t *testing.T) {
	m := newMachine(t)
	var deaths int
	for range 20 {
		p := m.process()
		m.world.Point = func(string) { p.die() }
		_, err := p.recover()
		if errors.Is(err, ErrNotFound) {
			p.up()
		}
		if p.dead {
			deaths++
		}
		if m.record().State == fsm.Failed {
			break
		}
	}
	m.world.Point = nil
	if s := m.record(); s.State != fsm.Failed || s.Failure.Code != CodeParked || deaths != maxTakeovers+1 {
		t.Errorf("%s, %+v after %d deaths", s.State, s.Failure, deaths)
	}
	if _, _, err := m.process().up(); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Active, everything)
}

// An up does not go on at once with what it has just parked, though it is a
// repair that only waits to be made again.
func TestAnUpThatParksSaysSo(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	m.world.Set("web", sagatest.None)
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.FailHalf}})
	for range maxTakeovers + 1 {
		p := m.process()
		p.Point = func(name string) {
			if strings.HasPrefix(name, "after") && m.record().State == fsm.PendingDown {
				p.die()
			}
		}
		p.up()
	}
	_, _, err := m.process().up()
	if run := runErr(t, err, ErrFailed); run.Failure.Code != CodeParked || !slices.Equal(run.Left, []string{"web"}) {
		t.Errorf("%+v", run)
	}
	m.process().up()
	m.stands(fsm.Active, everything)
}
