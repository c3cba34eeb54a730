package store

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"ecluse/saga/session"
)

// Leases returns every port that is leased on the machine, and the session that
// holds it.
func (s *Store) Leases() (map[int]session.Key, error) {
	leases := map[int]session.Key{}
	_, err := s.view(func(tx *bolt.Tx) error {
		return under(tx, bucketLeases, nil, func(k, v []byte) error {
			var by lease
			if err := decode(k, v, &by); err != nil {
				return fmt.Errorf("the lease of port %d: %w", binary.BigEndian.Uint16(k), err)
			}
			leases[int(binary.BigEndian.Uint16(k))] = by.Key
			return nil
		})
	})
	return leases, err
}
