package storetest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"ecluse/fsm"
	"ecluse/saga/session"
)

// Memory is a store and a locker without a disk. Its zero value is empty and ready
// to use, from many goroutines.
type Memory struct {
	mu      sync.Mutex
	rows    map[session.Key][]byte // as JSON: what is read shares nothing with what was written
	epoch   uint64
	history []session.Entry
	locks   map[session.Key]*memoryLock
}

var (
	_ session.Store  = (*Memory)(nil)
	_ session.Locker = (*Memory)(nil)
)

// Get implements [session.Store].
func (m *Memory) Get(key session.Key) (session.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.read(key)
	if s.State == fsm.Absent {
		return session.Session{}, fmt.Errorf("session %s: %w", key.Slug, session.ErrNotFound)
	}
	return s, nil
}

// List implements [session.Store].
func (m *Memory) List() ([]session.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list(), nil
}

// Slots implements [session.Store].
func (m *Memory) Slots(repo string) (map[int]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slots := map[int]string{}
	for _, s := range m.list() {
		if s.Repo == repo {
			slots[s.Slot] = s.Slug
		}
	}
	return slots, nil
}

// Apply implements [session.Store].
func (m *Memory) Apply(key session.Key, e session.Event) (session.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := session.View{NextEpoch: m.epoch + 1, Slots: map[int]string{}, Ports: map[int]string{}}
	for _, other := range m.list() {
		if other.Key == key {
			continue
		}
		if other.Repo == key.Repo {
			v.Slots[other.Slot] = other.Slug
		}
		for _, port := range other.Ports {
			v.Ports[port] = other.Slug
		}
	}
	result, err := session.Transition(m.read(key), e, v)
	if err != nil {
		return session.Result{}, err
	}
	m.epoch = max(m.epoch, result.Session.Epoch)
	m.history = append(m.history, result.History...)
	if result.Session.State == fsm.Absent {
		delete(m.rows, key)
		return result, nil
	}
	if m.rows == nil {
		m.rows = map[session.Key][]byte{}
	}
	m.rows[key], err = json.Marshal(result.Session)
	return result, err
}

// History returns every transition so far.
func (m *Memory) History() []session.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.history)
}

func (m *Memory) read(key session.Key) session.Session {
	s := session.Session{Key: key, State: fsm.Absent}
	if data, ok := m.rows[key]; ok {
		s = session.Session{}
		if err := json.Unmarshal(data, &s); err != nil {
			panic(err) // this package wrote it
		}
	}
	return s
}

func (m *Memory) list() []session.Session {
	all := make([]session.Session, 0, len(m.rows))
	for key := range m.rows {
		all = append(all, m.read(key))
	}
	slices.SortFunc(all, func(a, b session.Session) int {
		return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Slug, b.Slug))
	})
	return all
}

// memoryLock is an owner lock that is held.
type memoryLock struct {
	m     *Memory
	key   session.Key
	owner session.Owner
	free  chan struct{} // closed when it is given back
}

// Own implements [session.Locker].
func (m *Memory) Own(ctx context.Context, key session.Key, owner session.Owner, wait bool) (session.Lock, error) {
	for {
		m.mu.Lock()
		held := m.locks[key]
		if held == nil {
			if m.locks == nil {
				m.locks = map[session.Key]*memoryLock{}
			}
			lock := &memoryLock{m, key, owner, make(chan struct{})}
			m.locks[key] = lock
			m.mu.Unlock()
			return lock, nil
		}
		m.mu.Unlock()
		busy := &session.BusyError{Key: key, Owner: held.owner}
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

// Holder implements [session.Locker].
func (m *Memory) Holder(key session.Key) (*session.Owner, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := m.locks[key]; held != nil {
		owner := held.owner
		return &owner, nil
	}
	return nil, nil
}

// Kill takes the owner lock of a session from its holder, as the kernel does when
// the holder is killed. What the holder does with the lock later has no effect.
func (m *Memory) Kill(key session.Key) {
	m.mu.Lock()
	held := m.locks[key]
	m.mu.Unlock()
	if held != nil {
		_ = held.Release(false)
	}
}

// Release implements [session.Lock].
func (l *memoryLock) Release(bool) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.locks[l.key] == l {
		delete(l.m.locks, l.key)
		close(l.free)
	}
	return nil
}
