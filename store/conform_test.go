package store

import (
	"testing"

	"ecluse/saga/session"
	"ecluse/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(dir string) interface {
		session.Store
		session.Locker
	} {
		return New(dir)
	})
}
