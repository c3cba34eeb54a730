package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"ecluse/saga/session"
)

// The buckets, drawn in doc.go.
const (
	bucketMeta             = "meta"
	bucketSessions         = "sessions"
	bucketSlots            = "slots"
	bucketLeases           = "leases"
	bucketHistory          = "history"
	bucketHistoryBySession = "history_by_session"
	bucketRuns             = "runs"
	bucketRunsBySession    = "runs_by_session"
)

// buckets lists them all.
var buckets = []string{
	bucketMeta, bucketSessions, bucketSlots, bucketLeases,
	bucketHistory, bucketHistoryBySession, bucketRuns, bucketRunsBySession,
}

// checkKey refuses what cannot be a key: the NUL byte separates.
func checkKey(key session.Key) error {
	if key.Repo == "" || key.Slug == "" || strings.Contains(key.Repo+key.Slug, "\x00") {
		return fmt.Errorf("%q of %q cannot name a session", key.Slug, key.Repo)
	}
	return nil
}

// sessionKey is repo|slug.
func sessionKey(key session.Key) []byte { return []byte(key.Repo + "\x00" + key.Slug) }

// splitSessionKey is the inverse of sessionKey.
func splitSessionKey(k []byte) session.Key {
	repo, slug, _ := bytes.Cut(k, []byte{0})
	return session.Key{Repo: string(repo), Slug: string(slug)}
}

// slotKey is repo|slot.
func slotKey(repo string, slot int) []byte {
	return binary.BigEndian.AppendUint32([]byte(repo+"\x00"), uint32(slot))
}

// portKey is the port.
func portKey(port int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(port)) }

// seqKey is a place in a sequence.
func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// indexKey is repo|slug|seq.
func indexKey(key session.Key, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(sessionKey(key), 0), seq)
}

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumSize is the length of a line feed and the checksum in hexadecimal.
const sumSize = 1 + 8

// seal makes the stored form of a value: JSON and a line with a checksum of key and
// value, so that a value under the wrong key is noticed too.
func seal(key []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(data, sum(key, data)...), nil
}

// sum is the line that follows the JSON.
func sum(key, data []byte) []byte {
	crc := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, data)
	line := append(make([]byte, 0, sumSize), '\n')
	return hex.AppendEncode(line, binary.BigEndian.AppendUint32(nil, crc))
}

// errSum: the value is not what was written.
var errSum = fmt.Errorf("its checksum is wrong: %w", ErrDamaged)

// unseal returns the JSON of a stored value. It belongs to whom raw belongs.
func unseal(key, raw []byte) ([]byte, error) {
	n := len(raw) - sumSize
	if n < 0 || !bytes.Equal(raw[n:], sum(key, raw[:n])) {
		return nil, errSum
	}
	return raw[:n], nil
}

// decode reads a stored value.
func decode(key, raw []byte, into any) error {
	data, err := unseal(key, raw)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return nil
}

// put stores a value.
func put(tx *bolt.Tx, bucket string, key []byte, v any) error {
	data, err := seal(key, v)
	if err != nil {
		return fmt.Errorf("encode for bucket %s: %w", bucket, err)
	}
	return tx.Bucket([]byte(bucket)).Put(key, data)
}

// get reads a value and reports whether there is one.
func get(tx *bolt.Tx, bucket string, key []byte, into any) (bool, error) {
	raw := tx.Bucket([]byte(bucket)).Get(key)
	if raw == nil {
		return false, nil
	}
	if err := decode(key, raw, into); err != nil {
		return true, fmt.Errorf("entry %q of bucket %s: %w", key, bucket, err)
	}
	return true, nil
}

// under calls fn for each entry whose key begins with prefix, in order.
func under(tx *bolt.Tx, bucket string, prefix []byte, fn func(k, v []byte) error) error {
	c := tx.Bucket([]byte(bucket)).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// sequence lists the places in a sequence that an index has for a repository, or
// for one session of it, in order, and what it says of each.
func sequence(tx *bolt.Tx, index string, f Filter) ([]uint64, map[uint64]string, error) {
	prefix := []byte(f.Repo + "\x00")
	if f.Slug != "" {
		prefix = append(sessionKey(session.Key{Repo: f.Repo, Slug: f.Slug}), 0)
	}
	if f.Repo == "" {
		prefix = nil
	}
	var seqs []uint64
	says := map[uint64]string{}
	err := under(tx, index, prefix, func(k, v []byte) error {
		if len(k) < 8 {
			return ErrDamaged
		}
		if f.Repo == "" && f.Slug != "" && !bytes.HasSuffix(k[:len(k)-8], []byte("\x00"+f.Slug+"\x00")) {
			return nil
		}
		seq := binary.BigEndian.Uint64(k[len(k)-8:])
		seqs = append(seqs, seq)
		if len(v) > 0 {
			says[seq] = string(v)
		}
		return nil
	})
	slices.Sort(seqs)
	return seqs, says, err
}
