package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"ecluse/saga/session"
)

// firstSchema is the oldest drawing of the buckets that there was.
const firstSchema = 1

// migration brings a file from one schema to the next. It runs in a write
// transaction and must not depend on anything but the file.
type migration struct {
	// Does says in a few words what it changes.
	Does string
	Run  func(tx *bolt.Tx) error
}

// migrations brings schema firstSchema+i to firstSchema+i+1. An entry is never
// changed once it was released; testdata holds a file of each schema.
var migrations []migration

// The keys of bucket meta.
var (
	metaSchema    = []byte("schema")
	metaCreatedBy = []byte("created_by")
	metaSchemaBy  = []byte("schema_by")
	metaEpoch     = []byte("epoch")
	metaCommits   = []byte("commits")
	metaBackup    = []byte("backup")
)

// getMeta reads what every file has.
func getMeta(tx *bolt.Tx, key []byte, into any) error {
	ok, err := get(tx, bucketMeta, key, into)
	if err == nil && !ok {
		err = fmt.Errorf("bucket %s has no %s: %w", bucketMeta, key, ErrDamaged)
	}
	return err
}

// schema is the drawing that this program knows.
func (s *Store) schema() int { return firstSchema + len(s.migrations) }

// fill makes the buckets of a new file.
func (s *Store) fill(tx *bolt.Tx) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return fmt.Errorf("make bucket %s: %w", name, err)
		}
	}
	return errors.Join(
		put(tx, bucketMeta, metaSchema, s.schema()),
		put(tx, bucketMeta, metaCreatedBy, s.Version),
		put(tx, bucketMeta, metaSchemaBy, s.Version),
		put(tx, bucketMeta, metaEpoch, uint64(0)),
		put(tx, bucketMeta, metaCommits, uint64(0)),
		put(tx, bucketMeta, metaBackup, lastCopy{At: s.now()}),
	)
}

// checkSchema returns the schema of the file. A newer one than this program knows
// is an error, and so is a file that is not ours.
func (s *Store) checkSchema(tx *bolt.Tx) (int, error) {
	if tx.Bucket([]byte(bucketMeta)) == nil {
		return 0, s.damaged(s.Path(), "it has no bucket "+bucketMeta)
	}
	schema, by := 0, ""
	if err := getMeta(tx, metaSchema, &schema); err != nil {
		return 0, s.damaged(s.Path(), err.Error())
	}
	if schema > s.schema() {
		_, _ = get(tx, bucketMeta, metaSchemaBy, &by)
		return schema, &newerError{fmt.Sprintf("the state file %s has schema %d, this ecluse (%s) knows up to %d",
			s.Path(), schema, s.Version, s.schema()), by}
	}
	if schema < firstSchema {
		return schema, s.damaged(s.Path(), fmt.Sprintf("there was no schema %d", schema))
	}
	if schema == s.schema() {
		for _, name := range buckets {
			if tx.Bucket([]byte(name)) == nil {
				return schema, s.damaged(s.Path(), "it has no bucket "+name)
			}
		}
	}
	return schema, nil
}

// migrate brings an older file to this program's schema, in one transaction. A
// copy is made before.
func (s *Store) migrate(db *bolt.DB) error {
	schema := 0
	err := db.View(func(tx *bolt.Tx) error {
		var err error
		schema, err = s.checkSchema(tx)
		return err
	})
	if err != nil || schema == s.schema() {
		return err
	}
	if err := s.waitForOld(); err != nil {
		return err
	}
	temp, err := s.copyFile(db)
	if err != nil {
		return fmt.Errorf("copy the state file before it is migrated: %w", err)
	}
	if err := s.nameCopy(temp, schema); err != nil {
		return fmt.Errorf("copy the state file before it is migrated: %w", err)
	}
	return db.Update(func(tx *bolt.Tx) error { return s.migrateTx(tx, schema) })
}

// migrateTx runs the migrations that are due.
func (s *Store) migrateTx(tx *bolt.Tx, schema int) error {
	for ; schema < s.schema(); schema++ {
		m := s.migrations[schema-firstSchema]
		if err := m.Run(tx); err != nil {
			return fmt.Errorf("migrate the state file from schema %d to %d (%s): %w", schema, schema+1, m.Does, err)
		}
	}
	if err := errors.Join(put(tx, bucketMeta, metaSchema, schema), put(tx, bucketMeta, metaSchemaBy, s.Version)); err != nil {
		return err
	}
	_, err := s.checkSchema(tx)
	return err
}

// waitForOld refuses to migrate under the hands of an older program: it could
// write nothing more about its session.
func (s *Store) waitForOld() error {
	files, err := os.ReadDir(filepath.Join(s.dir, "locks"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range files {
		path := filepath.Join(s.dir, "locks", file.Name())
		if !strings.HasSuffix(path, ".own") {
			continue
		}
		owner, err := holder(path)
		if err != nil {
			return err
		}
		if owner != nil && owner.Schema < s.schema() {
			return fmt.Errorf("the state file has an older schema than this ecluse, and an older ecluse works on session %s (%s); run the command again when that has ended: %w",
				owner.Slug, owner.Owner, session.ErrBusy)
		}
	}
	return nil
}

// viewOld runs fn on a file of an older schema: a copy elsewhere is migrated, the
// file itself by the next command that writes.
func (s *Store) viewOld(fn func(*bolt.Tx) error) (err error) {
	dir, err := os.MkdirTemp("", "ecluse-migrate-")
	if err != nil {
		return fmt.Errorf("migrate a copy of the state file to look at it: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "state.db")
	err = s.open(s.Path(), true, func(db *bolt.DB) error {
		return db.View(func(tx *bolt.Tx) error { return tx.CopyFile(path, 0o600) })
	})
	if err != nil {
		return fmt.Errorf("migrate a copy of the state file to look at it: %w", err)
	}
	return s.open(path, false, func(db *bolt.DB) error {
		tx, err := db.Begin(true)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		schema, err := s.checkSchema(tx)
		if err != nil {
			return err
		}
		if err := s.migrateTx(tx, schema); err != nil {
			return err
		}
		return fn(tx)
	})
}

// lastCopy is when the last copy of the file was made, and at which commit.
type lastCopy struct {
	At     time.Time `json:"at"`
	Commit uint64    `json:"commit"`
}

const (
	// A copy is made when the last is older than copyAge, or than copyCommits
	// transactions.
	copyAge     = 24 * time.Hour
	copyCommits = 1000
	// copiesKept of each schema.
	copiesKept = 5
)

// count counts the commit and reports whether it is time for a copy. The file says
// so already then: of many processes one makes the copy.
func (s *Store) count(tx *bolt.Tx) (due bool, err error) {
	var commits uint64
	var last lastCopy
	if err := errors.Join(getMeta(tx, metaCommits, &commits), getMeta(tx, metaBackup, &last)); err != nil {
		return false, err
	}
	commits++
	if err := put(tx, bucketMeta, metaCommits, commits); err != nil {
		return false, err
	}
	age := s.now().Sub(last.At).Abs() // a clock that was set back must not stop it
	if age < copyAge && commits < last.Commit+s.copyCommits {
		return false, nil
	}
	return true, put(tx, bucketMeta, metaBackup, lastCopy{At: s.now(), Commit: commits})
}
