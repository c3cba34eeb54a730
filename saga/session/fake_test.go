package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/sagatest"
)

// machine is a machine in memory: a store, locks, processes, and a world that
// steps act on. It outlives every process on it.
type machine struct {
	t     *testing.T
	world *sagatest.World

	mu      sync.Mutex
	rows    map[Key][]byte
	epoch   uint64
	locks   map[Key]*fakeLock
	procs   map[int]*process
	trace   []transitionOf
	drained []string
	signals []string
	removed []Key       // private folders that went
	waited  map[int]int // how often somebody has waited for a lock, by pid
	// applying is called before a transaction; an error refuses it. applied is
	// called after it; an error is what the writer hears.
	applying, applied func(Event) error
}

// transitionOf is one transaction as it was written.
type transitionOf struct {
	before, after Session
	event         Event
	view          View
}

func newMachine(t *testing.T) *machine {
	return &machine{
		t: t, world: &sagatest.World{}, rows: map[Key][]byte{}, locks: map[Key]*fakeLock{}, procs: map[int]*process{},
		waited: map[int]int{},
	}
}

// process is one ecluse process: a Manager, and how it is stopped.
type process struct {
	*machine
	sagatest.Process
	Manager
	pid      int
	dead     bool // guarded by machine.mu
	soft     context.CancelCauseFunc
	hard     context.CancelCauseFunc
	stops    Stops
	notices  []saga.Notice // guarded by machine.mu
	stopping bool
}

// process starts one.
func (m *machine) process() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &process{machine: m, pid: 100 + len(m.procs)}
	m.procs[p.pid] = p
	p.stops.Soft, p.soft = context.WithCancelCause(context.Background())
	p.stops.Hard, p.hard = context.WithCancelCause(p.Context(context.Background()))
	var ids int
	p.Manager = Manager{
		Store: fakeStore{p}, Locker: fakeLocker{p}, Steps: fakeSteps{p}, Processes: p,
		Now: time.Now,
		NewID: func() string {
			m.mu.Lock()
			defer m.mu.Unlock()
			ids++
			return fmt.Sprintf("id-%d-%d", p.pid, ids)
		},
		Sink: saga.SinkFunc(func(n saga.Notice) {
			m.mu.Lock()
			defer m.mu.Unlock()
			p.notices = append(p.notices, n)
		}),
	}
	return p
}

// die kills the process. What it still calls is refused; its locks are free.
func (p *process) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Kill()
	p.dead = true
	for key, lock := range p.locks {
		if lock.by == p {
			close(lock.free)
			delete(p.locks, key)
		}
	}
	p.hard(errors.New("killed"))
}

// Self implements [Processes].
func (p *process) Self(verb Verb) Owner {
	return Owner{PID: p.pid, Start: uint64(p.pid), Boot: "b", Namespace: "n", Verb: verb}
}

// Signal implements [Processes].
func (p *process) Signal(o Owner, sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	target := p.procs[o.PID]
	if p.dead {
		return errDead
	}
	if target == nil || target.dead {
		return errors.New("no such process")
	}
	p.signals = append(p.signals, fmt.Sprintf("%s to %d", sig, o.PID))
	target.signal(sig)
	return nil
}

// signal is what the process does about a signal.
func (p *process) signal(sig os.Signal) {
	if p.stopping {
		p.hard(&Signalled{Signal: sig})
		return
	}
	p.stopping = true
	p.soft(&Signalled{Signal: sig})
}

// Suspended implements [Processes].
func (p *process) Suspended(Owner) bool { return false }

// errDead is what a killed process hears, which is to say nobody hears it.
var errDead = errors.New("the process is dead")

// fakeStore is the machine's store as one process sees it.
type fakeStore struct{ p *process }

func (f fakeStore) Get(key Key) (Session, error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if f.p.dead {
		return Session{}, errDead
	}
	s := f.p.read(key)
	if s.State == fsm.Absent {
		return Session{}, ErrNotFound
	}
	return s, nil
}

func (f fakeStore) List() ([]Session, error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	var all []Session
	for key := range f.p.rows {
		all = append(all, f.p.read(key))
	}
	return all, nil
}

func (f fakeStore) Slots(repo string) (map[int]string, error) {
	all, err := f.List()
	slots := map[int]string{}
	for _, s := range all {
		if s.Repo == repo {
			slots[s.Slot] = s.Slug
		}
	}
	return slots, err
}

func (f fakeStore) Apply(key Key, e Event) (Result, error) {
	m := f.p.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.applying != nil {
		if err := m.applying(e); err != nil {
			return Result{}, err
		}
	}
	if f.p.dead {
		return Result{}, errDead
	}
	before := m.read(key)
	v := View{NextEpoch: m.epoch + 1, Slots: map[int]string{}, Ports: map[int]string{}}
	for other := range m.rows {
		if s := m.read(other); other != key {
			v.Slots[s.Slot] = s.Slug
			for _, port := range s.Ports {
				v.Ports[port] = s.Slug
			}
		}
	}
	result, err := Transition(before, e, v)
	if err != nil {
		return Result{}, err
	}
	m.epoch = max(m.epoch, result.Session.Epoch)
	delete(m.rows, key)
	if result.Session.State != fsm.Absent {
		if m.rows[key], err = json.Marshal(result.Session); err != nil {
			return Result{}, err
		}
	}
	m.trace = append(m.trace, transitionOf{before, result.Session, e, v})
	if m.applied != nil {
		if err := m.applied(e); err != nil {
			return Result{}, err
		}
	}
	return result, nil
}

// read is the record of a key; m.mu is held.
func (m *machine) read(key Key) Session {
	s := Session{Key: key, State: fsm.Absent}
	if data, ok := m.rows[key]; ok {
		s = Session{}
		if err := json.Unmarshal(data, &s); err != nil {
			panic(err)
		}
	}
	return s
}

// record is the record of the test's session.
func (m *machine) record() Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read(testKey)
}

// waiting is how many processes have waited for a lock.
func (m *machine) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waited)
}

// waitedFor is how often a process has waited.
func (m *machine) waitedFor(pid int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waited[pid]
}

// writes is how many transactions were written.
func (m *machine) writes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.trace)
}

// fakeLocker is the machine's locks as one process sees them.
type fakeLocker struct{ p *process }

type fakeLock struct {
	by    *process
	key   Key
	owner Owner
	free  chan struct{}
}

func (f fakeLocker) Own(ctx context.Context, key Key, owner Owner, wait bool) (Lock, error) {
	for {
		f.p.mu.Lock()
		held := f.p.locks[key]
		if held == nil && !f.p.dead {
			lock := &fakeLock{f.p, key, owner, make(chan struct{})}
			f.p.locks[key] = lock
			f.p.mu.Unlock()
			return lock, nil
		}
		dead := f.p.dead
		if wait {
			f.p.waited[f.p.pid]++
		}
		f.p.mu.Unlock()
		if dead {
			return nil, errDead
		}
		busy := &BusyError{Key: key, Owner: held.owner}
		if !wait {
			return nil, busy
		}
		select {
		case <-held.free:
		case <-ctx.Done():
			return nil, busy
		}
	}
}

func (f fakeLocker) Holder(key Key) (*Owner, error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if lock := f.p.locks[key]; lock != nil {
		return &lock.owner, nil
	}
	return nil, nil
}

// Release implements [Lock].
func (l *fakeLock) Release(gone bool) error {
	l.by.mu.Lock()
	defer l.by.mu.Unlock()
	if l.by.locks[l.key] != l {
		return nil // it died with its process
	}
	if gone {
		l.by.removed = append(l.by.removed, l.key)
		if s := l.by.read(l.key); s.State != fsm.Absent {
			l.by.t.Errorf("the private folder of a session that is %s went", s.State)
		}
	}
	close(l.free)
	delete(l.by.locks, l.key)
	return nil
}

// fakeSteps builds the world's scripts.
type fakeSteps struct{ p *process }

func (f fakeSteps) Build(_ Handle, spec saga.Spec) (saga.Step, error) { return f.p.world.Step(spec) }

func (f fakeSteps) Prepare(ctx context.Context, _ Handle, _ saga.Spec, _ *saga.Attempt) (context.Context, saga.Finish, error) {
	return ctx, func(err error) error { return err }, nil
}

func (f fakeSteps) Drain(_ context.Context, _ Session, step string, _ func(string)) error {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.p.drained = append(f.p.drained, step)
	return nil
}

// The commands of a process on the test's session.

func (p *process) up() (Session, bool, error) { return p.upWith(UpRequest{}) }

func (p *process) upWith(req UpRequest) (Session, bool, error) {
	if req.Slug == "" {
		req.Key = testKey
	}
	if req.MaxSlots == 0 {
		req.MaxSlots = 9
	}
	if req.New == nil {
		req.New = func(_ context.Context, slot int) (Session, []Want, error) {
			return Session{Plan: testPlan, Branch: req.Branch}, []Want{{Name: "web", Candidates: []int{4000 + slot}}}, nil
		}
	}
	return p.Up(p.stops, req)
}

func (p *process) down() (Session, error) { return p.Down(p.stops, DownRequest{Key: testKey}) }

func (p *process) recover() (Session, error) {
	return p.Recover(p.stops, RecoverRequest{Key: testKey, Mode: Auto})
}

// sound checks what must hold whenever nobody is at work.
func (m *machine) sound() {
	m.t.Helper()
	for _, fault := range m.world.Faults() {
		m.t.Error(fault)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.locks {
		m.t.Errorf("%s is still locked", key.Slug)
	}
	var epoch uint64
	for _, tr := range m.trace {
		if claims := strings.HasPrefix(string(tr.event.Kind), "claim"); claims && tr.after.Epoch <= epoch {
			m.t.Errorf("epoch %d follows %d", tr.after.Epoch, epoch)
		}
		epoch = max(epoch, tr.after.Epoch)
	}
}

// stands checks the state and what is there.
func (m *machine) stands(state fsm.State, world string) {
	m.t.Helper()
	m.sound()
	if s := m.record(); s.State != state || m.world.String() != world {
		m.t.Fatalf("the session is %s with %q; want %s with %q", s.State, m.world, state, world)
	}
}

// everything is the world of a session that is active.
const everything = "db=whole tree=whole web=whole"

// runErr is err as a [RunError] that ended as wanted.
func runErr(t *testing.T, err, end error) *RunError {
	t.Helper()
	var run *RunError
	if !errors.As(err, &run) || !errors.Is(err, end) {
		t.Fatalf("%v; want a run that ended with %v", err, end)
	}
	return run
}

// until polls for what other goroutines bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
