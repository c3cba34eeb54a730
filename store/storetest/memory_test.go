package storetest

import (
	"testing"

	"ecluse/saga/session"
)

func TestMemory(t *testing.T) {
	Run(t, func(string) interface {
		session.Store
		session.Locker
	} {
		return new(Memory)
	})
}

func TestMemoryKill(t *testing.T) {
	m := new(Memory)
	dead := must(m.Own(t.Context(), keyA, owner(1), false))
	m.Kill(keyA)
	lock := must(m.Own(t.Context(), keyA, owner(2), false))
	ok(t, dead.Release(true))
	_, err := m.Own(t.Context(), keyA, owner(3), false)
	held(t, err, keyA, owner(2))
	ok(t, lock.Release(true))
}
