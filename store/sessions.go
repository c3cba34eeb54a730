package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
)

// record is a session as it is stored.
type record struct {
	session.Session
	// By is the version of the program that wrote it.
	By string `json:"by,omitempty"`
}

// Get implements [session.Store].
func (s *Store) Get(key session.Key) (session.Session, error) {
	if err := checkKey(key); err != nil {
		return session.Session{}, err
	}
	var got session.Session
	found, err := s.view(func(tx *bolt.Tx) error {
		var err error
		got, err = s.read(tx, key)
		return err
	})
	if err != nil {
		return session.Session{}, err
	}
	if !found || got.State == fsm.Absent {
		return session.Session{}, fmt.Errorf("session %s: %w", key.Slug, session.ErrNotFound)
	}
	return got, nil
}

// List implements [session.Store]. The records are sorted by repository and slug.
// Those that cannot be used are left out; the error then names each of them (see
// [RecordError]), and the others are returned all the same.
func (s *Store) List() ([]session.Session, error) {
	type row struct {
		key session.Key
		raw []byte
	}
	var rows []row
	_, err := s.view(func(tx *bolt.Tx) error {
		return under(tx, bucketSessions, nil, func(k, v []byte) error {
			rows = append(rows, row{splitSessionKey(k), bytes.Clone(v)})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	// Decoding takes longer than reading, and writers need not wait for it.
	decoded := make([]session.Session, len(rows))
	bad := make([]error, len(rows))
	var workers sync.WaitGroup
	next := atomic.Int64{}
	for range min(runtime.GOMAXPROCS(0), len(rows)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(rows)); i = next.Add(1) - 1 {
				decoded[i], bad[i] = s.decodeSession(rows[i].key, rows[i].raw)
			}
		})
	}
	workers.Wait()
	sessions := decoded[:0]
	for i, got := range decoded {
		if bad[i] == nil {
			sessions = append(sessions, got)
		}
	}
	return sessions, errors.Join(bad...)
}

// read reads a record; its state is Absent when there is no row.
func (s *Store) read(tx *bolt.Tx, key session.Key) (session.Session, error) {
	if raw := tx.Bucket([]byte(bucketSessions)).Get(sessionKey(key)); raw != nil {
		return s.decodeSession(key, raw)
	}
	// A row whose key was damaged is not found; its slot is.
	slots, err := slotsOf(tx, key.Repo)
	if err != nil {
		return session.Session{}, err
	}
	for slot, slug := range slots {
		if slug == key.Slug {
			return session.Session{}, &RecordError{key, fmt.Errorf("there is none, but slot %d is its: %w", slot, ErrDamaged)}
		}
	}
	return session.Session{Key: key, State: fsm.Absent}, nil
}

// decodeSession reads a stored record and makes sure that this version knows all
// that it says. The error is a [RecordError].
func (s *Store) decodeSession(key session.Key, raw []byte) (session.Session, error) {
	fail := func(err error) (session.Session, error) {
		return session.Session{}, &RecordError{key, err}
	}
	data, err := unseal(sessionKey(key), raw)
	if err != nil {
		return fail(err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		// A newer form may not fit at all.
		var head struct {
			V  int    `json:"v"`
			By string `json:"by"`
		}
		if json.Unmarshal(data, &head) == nil && head.V > session.RecordVersion {
			return fail(newerRecord(head.V, head.By))
		}
		return fail(fmt.Errorf("%w: %w", err, ErrDamaged))
	}
	if r.Version != session.RecordVersion {
		return fail(newerRecord(r.Version, r.By))
	}
	if word := unknown(r.Session); word != "" {
		return fail(&newerError{word + ", which this ecluse does not know", r.By})
	}
	return r.Session, nil
}

// newerRecord is a record of another form.
func newerRecord(version int, by string) error {
	return &newerError{fmt.Sprintf("form %d, this ecluse knows form %d", version, session.RecordVersion), by}
}

// unknown finds a word that this version does not know.
func unknown(r session.Session) string {
	if !r.State.Known() || r.State == fsm.Absent {
		return fmt.Sprintf("state %q", r.State)
	}
	if d := r.Progress.Direction; d != saga.Forward && d != saga.Backward {
		return fmt.Sprintf("direction %q", d)
	}
	for _, step := range r.Progress.Steps {
		if !step.Phase.Known() {
			return fmt.Sprintf("phase %q", step.Phase)
		}
	}
	return ""
}
