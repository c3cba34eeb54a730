package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	bolt "go.etcd.io/bbolt"

	"ecluse/fsm"
	"ecluse/saga/session"
)

// lease is a port that a session holds.
type lease struct {
	session.Key
	Name string `json:"name"`
}

// errFault: the answer of session.Transition must not be written.
var errFault = errors.New("fault in ecluse, nothing was written; please report it")

// Apply implements [session.Store].
func (s *Store) Apply(key session.Key, e session.Event) (session.Result, error) {
	if err := checkKey(key); err != nil {
		return session.Result{}, err
	}
	var result session.Result
	err := s.update("apply "+string(e.Kind)+" to "+key.Slug, func(tx *bolt.Tx) error {
		var err error
		result, err = s.apply(tx, key, e)
		return err
	})
	if err != nil {
		return session.Result{}, err
	}
	return result, nil
}

// apply is Apply in its transaction.
func (s *Store) apply(tx *bolt.Tx, key session.Key, e session.Event) (session.Result, error) {
	before, err := s.read(tx, key)
	if err != nil {
		return session.Result{}, err
	}
	var epoch uint64
	if err := getMeta(tx, metaEpoch, &epoch); err != nil {
		return session.Result{}, err
	}
	epoch = max(epoch, before.Epoch)
	v, err := view(tx, key, e)
	if err != nil {
		return session.Result{}, err
	}
	v.NextEpoch = epoch + 1
	result, err := decide(before, e, v)
	if err != nil {
		return session.Result{}, err
	}
	after := result.Session
	if err := check(key, before, after, v); err != nil {
		return session.Result{}, err
	}
	if after.Epoch > epoch {
		if err := put(tx, bucketMeta, metaEpoch, after.Epoch); err != nil {
			return session.Result{}, err
		}
	}
	err = s.write(tx, key, before, after)
	if err == nil {
		err = appendHistory(tx, result.History)
	}
	if err == nil {
		err = recordRun(tx, key, before, result, e.At)
	}
	return result, err
}

// decide asks for the transition. Whatever goes wrong in there is not the state
// file's damage.
func decide(before session.Session, e session.Event, v session.View) (result session.Result, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v: %w", fault, errFault)
		}
	}()
	return session.Transition(before, e, v)
}

// view gathers what the transition may need to know of others. Of the leases it
// looks up those that the event asks for, so that it costs the same with ten
// sessions and with ten thousand.
func view(tx *bolt.Tx, key session.Key, e session.Event) (session.View, error) {
	v := session.View{}
	if !e.NeedsView() {
		return v, nil
	}
	var err error
	if v.Slots, err = slotsOf(tx, key.Repo); err != nil {
		return v, err
	}
	maps.DeleteFunc(v.Slots, func(_ int, slug string) bool { return slug == key.Slug })
	v.Ports = map[int]string{}
	for _, want := range e.Wants {
		for _, port := range want.Candidates {
			by, err := leasedTo(tx, port)
			if err != nil {
				return v, err
			}
			if by != nil && by.Key != key {
				v.Ports[port] = name(by.Key, key)
			}
		}
	}
	return v, nil
}

// Slots implements [session.Store]. It looks at no record, so that it costs the same
// whatever other repositories have, and knows the slot of a record that is damaged.
func (s *Store) Slots(repo string) (map[int]string, error) {
	slots := map[int]string{}
	_, err := s.view(func(tx *bolt.Tx) error {
		var err error
		slots, err = slotsOf(tx, repo)
		return err
	})
	return slots, err
}

// slotsOf are the slots of a repository, and the slugs that have them.
func slotsOf(tx *bolt.Tx, repo string) (map[int]string, error) {
	slots := map[int]string{}
	prefix := []byte(repo + "\x00")
	err := under(tx, bucketSlots, prefix, func(k, raw []byte) error {
		var slug string
		if err := decode(k, raw, &slug); err != nil {
			return fmt.Errorf("a slot of %s: %w", repo, err)
		}
		if len(k) != len(prefix)+4 {
			return fmt.Errorf("a slot of %s: %w", repo, ErrDamaged)
		}
		slots[int(binary.BigEndian.Uint32(k[len(prefix):]))] = slug
		return nil
	})
	return slots, err
}

// leasedTo is who holds the lease of a port, nil when nobody does.
func leasedTo(tx *bolt.Tx, port int) (*lease, error) {
	if port < 1 || port > 65535 {
		return nil, nil
	}
	var by lease
	ok, err := get(tx, bucketLeases, portKey(port), &by)
	if err != nil || !ok {
		return nil, err
	}
	return &by, nil
}

// name names a session for somebody who thinks of another one.
func name(key, seenFrom session.Key) string {
	if key.Repo == seenFrom.Repo {
		return key.Slug
	}
	return key.Slug + " of " + key.Repo
}

// check refuses an answer that would break what every session relies on, whoever
// made it. Transition makes none.
func check(key session.Key, before, after session.Session, v session.View) error {
	switch {
	case after.Key != key:
		return fmt.Errorf("an event for session %s answered with %s: %w", key.Slug, after.Slug, errFault)
	case after.Epoch < before.Epoch || after.Epoch > v.NextEpoch:
		return fmt.Errorf("session %s: epoch %d after %d: %w", key.Slug, after.Epoch, before.Epoch, errFault)
	case before.State != fsm.Absent && after.ID != before.ID:
		return fmt.Errorf("session %s: id %s became %s: %w", key.Slug, before.ID, after.ID, errFault)
	case after.State != fsm.Absent && after.Slot < 1:
		return fmt.Errorf("session %s has slot %d, and slots count from 1: %w", key.Slug, after.Slot, errFault)
	}
	for name, port := range after.Ports {
		if port < 1 || port > 65535 {
			return fmt.Errorf("session %s: port %d of %s: %w", key.Slug, port, name, errFault)
		}
	}
	return nil
}

// write puts the record, its slot and its leases in the place of what was there.
func (s *Store) write(tx *bolt.Tx, key session.Key, before, after session.Session) error {
	if after.State == fsm.Absent {
		if err := tx.Bucket([]byte(bucketSessions)).Delete(sessionKey(key)); err != nil {
			return err
		}
		after.Slot, after.Ports = 0, nil
	} else {
		if word := unknown(after); word != "" {
			return fmt.Errorf("session %s: %s: %w", key.Slug, word, errFault)
		}
		after.Version = session.RecordVersion
		if err := put(tx, bucketSessions, sessionKey(key), record{after, s.Version}); err != nil {
			return err
		}
	}
	if before.State == fsm.Absent {
		before.Slot, before.Ports = 0, nil
	}
	if err := moveSlot(tx, key, before.Slot, after.Slot); err != nil {
		return err
	}
	return moveLeases(tx, key, before.Ports, after.Ports)
}

// moveSlot keeps the slots in step with the record. Zero is none.
func moveSlot(tx *bolt.Tx, key session.Key, from, to int) error {
	if from == to {
		return nil
	}
	if from != 0 {
		if err := tx.Bucket([]byte(bucketSlots)).Delete(slotKey(key.Repo, from)); err != nil {
			return err
		}
	}
	if to == 0 {
		return nil
	}
	var by string
	taken, err := get(tx, bucketSlots, slotKey(key.Repo, to), &by)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("session %s: slot %d is %s's: %w", key.Slug, to, by, errFault)
	}
	return put(tx, bucketSlots, slotKey(key.Repo, to), key.Slug)
}

// moveLeases keeps the leases in step with the record.
func moveLeases(tx *bolt.Tx, key session.Key, from, to map[string]int) error {
	for name, port := range from {
		if to[name] == port {
			continue
		}
		if err := tx.Bucket([]byte(bucketLeases)).Delete(portKey(port)); err != nil {
			return err
		}
	}
	for name, port := range to {
		if from[name] == port {
			continue
		}
		by, err := leasedTo(tx, port)
		if err != nil {
			return err
		}
		if by != nil {
			return fmt.Errorf("session %s: port %d is leased to %s of %s: %w", key.Slug, port, by.Slug, by.Repo, errFault)
		}
		if err := put(tx, bucketLeases, portKey(port), lease{key, name}); err != nil {
			return err
		}
	}
	return nil
}
