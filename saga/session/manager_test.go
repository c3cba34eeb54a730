package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/sagatest"
)

func TestUpAndDown(t *testing.T) {
	m := newMachine(t)
	s, done, err := m.process().up()
	if err != nil || !done || s.State != fsm.Active {
		t.Fatal(s.State, done, err)
	}
	m.stands(fsm.Active, everything)
	if s := m.record(); s.Slot != 1 || s.Ports["web"] != 4001 || s.ID == "" || s.Key != testKey {
		t.Errorf("%+v", s)
	}

	// All is well: nothing is written, nothing runs.
	writes, log := m.writes(), len(m.world.Log())
	s, done, err = m.process().up()
	if err != nil || done || s.State != fsm.Active || m.writes() != writes || len(m.world.Log()) != log {
		t.Error(s.State, done, err, m.writes()-writes, m.world.Log()[log:])
	}

	s, err = m.process().down()
	if err != nil || s.State != fsm.Absent {
		t.Fatal(s.State, err)
	}
	m.stands(fsm.Absent, "")
	if !slices.Equal(m.removed, []Key{testKey}) {
		t.Errorf("private folders removed: %v", m.removed)
	}
	if _, err := m.process().down(); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := m.process().recover(); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestUpMakesWhatIsMissingAndOnlyThat(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	m.world.Set("web", sagatest.Half)
	log := len(m.world.Log())
	if _, done, err := m.process().up(); err != nil || !done {
		t.Fatal(done, err)
	}
	m.stands(fsm.Active, everything)
	if got := m.world.Log()[log:]; !slices.Equal(got, []string{"do web"}) {
		t.Error(got)
	}
	// recover looks at active sessions when it is asked to repair.
	m.world.Set("db", sagatest.None)
	for _, repair := range []bool{false, true} {
		p := m.process()
		if _, err := p.Recover(p.stops, RecoverRequest{Key: testKey, Mode: Auto, Repair: repair}); err != nil {
			t.Error(err)
		}
		if got := m.world.Effect("db"); (got == sagatest.Whole) != repair {
			t.Errorf("repair %v: db is %s", repair, got)
		}
	}
	m.stands(fsm.Active, everything)
}

func TestAFailingUpIsRolledBack(t *testing.T) {
	m := newMachine(t)
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.FailHalf}})
	s, _, err := m.process().up()
	run := runErr(t, err, ErrRolledBack)
	if s.State != fsm.Absent || run.State != fsm.Absent || run.Failure.Step != "web" || run.Left != nil || run.Verb != VerbUp {
		t.Errorf("%+v", run)
	}
	m.stands(fsm.Absent, "")
	if len(m.removed) != 1 {
		t.Error("its private folder stayed")
	}
}

func TestAFailingRepairKeepsWhatWorked(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	m.world.Set("web", sagatest.None)
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.FailHalf}})
	_, _, err := m.process().up()
	run := runErr(t, err, ErrFailed)
	if run.Failure.Step != "web" || run.Left != nil || !strings.Contains(run.Error(), "rolled back") {
		t.Errorf("%v: %+v", run, run)
	}
	m.stands(fsm.Failed, "db=whole tree=whole")
	// There is nothing that a rollback could do about it, and it must not take
	// what works.
	p := m.process()
	if _, err := p.Recover(p.stops, RecoverRequest{Key: testKey, Mode: Rollback}); !errors.Is(err, ErrNotThere) {
		t.Error(err)
	}
	m.stands(fsm.Failed, "db=whole tree=whole")
	if _, err := m.process().recover(); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Active, everything)
}

func TestKeepOnFailureStaysToBeLookedAt(t *testing.T) {
	m := newMachine(t)
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.FailHalf, sagatest.FailHalf}})
	_, _, err := m.process().upWith(UpRequest{Options: Options{KeepOnFailure: true}})
	run := runErr(t, err, ErrFailed)
	if !slices.Equal(run.Left, []string{"tree", "web", "db"}) {
		t.Errorf("%+v", run)
	}
	m.stands(fsm.Failed, "db=whole tree=whole web=half")
	// recover retries with the options of the run.
	_, err = m.process().recover()
	runErr(t, err, ErrFailed)
	m.stands(fsm.Failed, "db=whole tree=whole web=half")
	again := m.process()
	if _, err := again.Recover(again.stops, RecoverRequest{Key: testKey, Mode: Resume}); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Active, everything)

	m = newMachine(t)
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.FailHalf}})
	m.process().upWith(UpRequest{Options: Options{KeepOnFailure: true}})
	p := m.process()
	if _, err := p.Recover(p.stops, RecoverRequest{Key: testKey, Mode: Rollback}); err != nil {
		t.Error(err)
	}
	m.stands(fsm.Absent, "")
}

func TestAStuckTeardown(t *testing.T) {
	for _, verb := range []string{"down", "recover", "up"} {
		m := newMachine(t)
		m.process().up()
		m.world.Add(&sagatest.Script{Name: "db", OnCompensate: []sagatest.Act{sagatest.FailHalf, sagatest.Fail}})
		for range 2 {
			_, err := m.process().down()
			run := runErr(t, err, ErrFailed)
			if !slices.Equal(run.Left, []string{"tree", "db"}) || run.Failure.Code != CodeCompensationFailed {
				t.Errorf("%+v", run)
			}
			m.stands(fsm.Failed, "db=half tree=whole")
		}
		var err error
		want, world := fsm.Absent, ""
		switch verb {
		case "down":
			_, err = m.process().down()
		case "recover":
			_, err = m.process().recover()
		case "up": // finishes it, and makes a new one
			want, world = fsm.Active, everything
			_, _, err = m.process().up()
		}
		if err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		m.stands(want, world)
	}
}

func TestDownKeepsTheWorktree(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	keep := func() {
		p := m.process()
		if s, err := p.Down(p.stops, DownRequest{Key: testKey, Options: Options{KeepWorktree: true}}); err != nil || s.State != fsm.Stopped {
			t.Fatal(s.State, err)
		}
	}
	keep()
	m.stands(fsm.Stopped, "tree=whole")
	writes := m.writes()
	keep() // nothing is left to do
	if m.writes() != writes || len(m.removed) != 0 {
		t.Error(m.writes()-writes, m.removed)
	}
	m.process().up()
	m.stands(fsm.Active, everything)
	keep()
	m.process().down()
	m.stands(fsm.Absent, "")
}

func TestWhatStandsInTheWayOfAnUp(t *testing.T) {
	m := newMachine(t)
	no := errors.New("no")
	for name, c := range map[string]struct {
		req  UpRequest
		want error
	}{
		"New refuses": {UpRequest{New: func(context.Context, int) (Session, []Want, error) { return Session{}, nil, no }}, no},
		"no slot":     {UpRequest{MaxSlots: -1}, ErrExhausted},
		"no port": {UpRequest{New: func(context.Context, int) (Session, []Want, error) {
			return Session{Plan: testPlan}, []Want{{Name: "web"}}, nil
		}}, ErrExhausted},
		"a plan that is none": {UpRequest{New: func(context.Context, int) (Session, []Want, error) {
			return Session{Plan: saga.Plan{Steps: testPlan.Steps[1:]}}, nil, nil
		}}, nil},
	} {
		_, done, err := m.process().upWith(c.req)
		if err == nil || done || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, done, err)
		}
		m.stands(fsm.Absent, "")
	}
	p := m.process()
	if _, _, err := p.Up(p.stops, UpRequest{Key: testKey}); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing to make it of: %v", err)
	}
	m.process().upWith(UpRequest{Branch: "feat/x"})
	if _, _, err := m.process().upWith(UpRequest{Branch: "feat-x"}); !errors.Is(err, ErrTaken) {
		t.Error(err)
	}
	if _, _, err := m.process().upWith(UpRequest{Branch: "feat/x"}); err != nil {
		t.Error(err)
	}
}

// Sixteen that begin at once get sixteen slots, and nobody asks the machine more
// than a few times.
func TestParallelUpsGetSlotsOfTheirOwn(t *testing.T) {
	m := newMachine(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	asked := 0
	for i := range 16 {
		wg.Go(func() {
			_, _, err := m.process().upWith(UpRequest{Key: Key{Repo: testKey.Repo, Slug: fmt.Sprint("s-", i)}, MaxSlots: 64,
				New: func(_ context.Context, slot int) (Session, []Want, error) {
					mu.Lock()
					defer mu.Unlock()
					asked++
					return Session{Plan: saga.Plan{}}, []Want{{Name: "web", Candidates: []int{4000 + slot}}}, nil
				}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m.sound()
	all, err := fakeStore{m.process()}.List()
	slots := map[int]bool{}
	for _, s := range all {
		slots[s.Slot] = true
	}
	if err != nil || len(slots) != 16 {
		t.Errorf("%d slots, %v", len(slots), err)
	}
	if asked > 16*8 {
		t.Errorf("asked the machine %d times", asked)
	}
}

// Who lost its slot several times takes one of the lowest that are free, and not
// always the same.
func TestOtherSlot(t *testing.T) {
	held := map[int]string{2: "taken"}
	seen := map[int]bool{}
	for range 1000 {
		seen[otherSlot(held, 9, 1, 3)] = true
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, []int{1, 3, 4, 5}) {
		t.Error(got)
	}
	if slot := otherSlot(held, 2, 1, 9); slot != 1 {
		t.Errorf("%d of the only one that is free", slot)
	}
	if len(held) != 1 {
		t.Errorf("what was given is now %v", held)
	}
}

func TestFreeSlot(t *testing.T) {
	if slot, err := FreeSlot(map[int]string{1: "a", 3: "b"}, 3); slot != 2 || err != nil {
		t.Error(slot, err)
	}
	if slot, err := FreeSlot(nil, 1); slot != 1 || err != nil {
		t.Error(slot, err)
	}
	if _, err := FreeSlot(map[int]string{1: "a"}, 1); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
}

// A journal that cannot be written leaves the session to a later run.
func TestAFullDisk(t *testing.T) {
	for k := 1; ; k++ {
		m := newMachine(t)
		m.applying = func(Event) error {
			if len(m.trace) >= k {
				return sagatest.ErrDisk
			}
			return nil
		}
		_, _, err := m.process().up()
		if err == nil {
			break
		}
		run := runErr(t, err, ErrInterrupted)
		if !errors.Is(err, saga.ErrJournal) || !errors.Is(err, sagatest.ErrDisk) || run.State != fsm.PendingUp {
			t.Errorf("%+v", run)
		}
		m.applying = nil
		m.sound()
		if _, _, err := m.process().up(); err != nil {
			t.Error(err)
		}
		m.stands(fsm.Active, everything)
	}
	// And when not even the first transition can be written nothing is left.
	m := newMachine(t)
	m.applying = func(Event) error { return sagatest.ErrDisk }
	if _, _, err := m.process().up(); !errors.Is(err, sagatest.ErrDisk) {
		t.Error(err)
	}
	m.stands(fsm.Absent, "")
}

// A transaction that was written although its writer heard of an error: the
// session is there, and its private folder must not go.
func TestAnErrorAfterTheWrite(t *testing.T) {
	for _, kind := range []EventKind{ClaimUp, Journal} {
		m := newMachine(t)
		m.applied = func(e Event) error {
			if e.Kind == kind {
				return sagatest.ErrDisk
			}
			return nil
		}
		if _, _, err := m.process().up(); !errors.Is(err, sagatest.ErrDisk) {
			t.Error(err)
		}
		m.sound()
		if len(m.removed) != 0 || m.record().State != fsm.PendingUp {
			t.Errorf("%v, %s", m.removed, m.record().State)
		}
		m.applied = nil
		m.process().up()
		m.stands(fsm.Active, everything)
	}
}

// What an owner that died left running is waited for before anything is done,
// step by step, also by the second that comes after it.
func TestOrphansAreWaitedFor(t *testing.T) {
	m := newMachine(t)
	m.process().up()
	m.world.Set("tree", sagatest.None)
	killed := m.process()
	m.world.Point = func(string) { killed.die() }
	killed.up() // tree is started again, and its git goes on
	m.world.Point = nil
	second := m.process()
	second.Point = func(name string) {
		if name == "after claim-down" {
			second.die() // before it has waited for anybody
		}
	}
	second.down()
	m.drained = nil
	if _, err := m.process().down(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(m.drained)
	if !slices.Equal(m.drained, []string{"db", "tree", "web"}) {
		t.Errorf("waited for %v", m.drained)
	}
	m.stands(fsm.Absent, "")
}

// deafSteps are steps whose orphans do not end.
type deafSteps struct{ fakeSteps }

func (deafSteps) Drain(context.Context, Session, string, func(string)) error {
	return errors.New("pid 4711 does not end")
}

// Nothing is done while an orphan of an earlier owner cannot be ended.
func TestAnOrphanThatDoesNotEndIsNotRacedWith(t *testing.T) {
	m := newMachine(t)
	killed := m.process()
	m.world.Point = func(string) { killed.die() }
	killed.up()
	m.world.Point = nil
	log := len(m.world.Log())
	p := m.process()
	p.Steps = deafSteps{fakeSteps{p}}
	_, err := p.down()
	runErr(t, err, ErrInterrupted)
	if len(m.world.Log()) != log {
		t.Errorf("acted: %v", m.world.Log()[log:])
	}
	m.process().down()
	m.stands(fsm.Absent, "")
}

// A signal that means one session of a process does not stop its others.
func TestAStopOfOneSessionIsNoStopOfAnother(t *testing.T) {
	m := newMachine(t)
	p := m.process()
	other := Key{Repo: testKey.Repo, Slug: "feat-y"}
	release, begun := make(chan struct{}), make(chan string)
	m.world.Add(&sagatest.Script{Name: "y", OnDo: []sagatest.Act{sagatest.Deaf}, Begun: begun, Release: release})
	m.world.Add(&sagatest.Script{Name: "web", OnDo: []sagatest.Act{sagatest.Hang}, Begun: begun})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := p.up()
		if run := runErr(t, err, ErrRolledBack); run.Failure.Code != CodeStopped {
			t.Errorf("%+v", run)
		}
	})
	wg.Go(func() {
		_, _, err := p.upWith(UpRequest{Key: other, New: func(context.Context, int) (Session, []Want, error) {
			return Session{Plan: saga.Plan{Steps: []saga.Spec{{Name: "y", Kind: "test"}}}}, nil, nil
		}})
		if err != nil {
			t.Errorf("the other session: %v", err)
		}
	})
	<-begun
	<-begun
	go func() {
		<-begun // web is compensated
		close(release)
	}()
	if _, err := m.process().down(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	m.sound()
	if s, err := (fakeStore{p}).Get(other); err != nil || s.State != fsm.Active {
		t.Error(s.State, err)
	}
	if !slices.Equal(m.signals, []string{syscall.SIGTERM.String() + " to 100"}) {
		t.Error(m.signals)
	}
}
