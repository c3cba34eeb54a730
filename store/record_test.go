package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/store/storetest"
)

// rewrite changes a stored record as a newer version might have written it.
func rewrite(t *testing.T, s *Store, n int, change func(map[string]any)) {
	t.Helper()
	k := sessionKey(key(n))
	err := s.update("rewrite", func(tx *bolt.Tx) error {
		var row map[string]any
		if _, err := get(tx, bucketSessions, k, &row); err != nil {
			return err
		}
		change(row)
		return put(tx, bucketSessions, k, row)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNewerRecord: a record of a newer version is refused with the version that is
// needed, and the others are usable.
func TestNewerRecord(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"form":           func(row map[string]any) { row["v"] = session.RecordVersion + 1 },
		"form and shape": func(row map[string]any) { row["v"], row["slot"] = 2, map[string]any{"first": 1} },
		"state":          func(row map[string]any) { row["state"] = "hibernating" },
		"direction":      func(row map[string]any) { row["progress"].(map[string]any)["direction"] = "sideways" },
		"phase": func(row map[string]any) {
			row["progress"].(map[string]any)["steps"].([]any)[0].(map[string]any)["phase"] = "dreamt"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(t.TempDir())
			up(t, s, 1)
			script, _ := up(t, s, 2)
			up(t, s, 3)
			rewrite(t, s, 2, func(row map[string]any) { row["by"] = "v9.8.7"; change(row) })
			_, errGet := s.Get(key(2))
			_, errClaim := script.Claim(session.ClaimDown, 0)
			all, errList := s.List()
			for what, err := range map[string]error{"get": errGet, "claim": errClaim, "list": errList} {
				var record *RecordError
				if !errors.Is(err, ErrNewer) || !errors.As(err, &record) || record.Key != key(2) || !strings.Contains(err.Error(), "v9.8.7") {
					t.Errorf("%s: %v", what, err)
				}
			}
			if len(all) != 2 || all[0].Slug != "feat-1" || all[1].Slug != "feat-3" {
				t.Errorf("list has %v", all)
			}
			up(t, s, 4)
			if _, err := (&storetest.Script{Store: s, Key: key(5)}).Up(2); !errors.Is(err, session.ErrStale) {
				t.Errorf("the slot of the unknown record: %v", err)
			}
		})
	}
}

// TestRecordOfAnyCause: a record that has no cause of its failure, as those of before
// there were any, and one whose cause only a newer version knows, can be used.
func TestRecordOfAnyCause(t *testing.T) {
	for name, cause := range map[string]any{"older": nil, "newer": "struck by lightning"} {
		t.Run(name, func(t *testing.T) {
			s := New(t.TempDir())
			script, _ := up(t, s, 1)
			_, errClaim := script.Claim(session.ClaimDown, 0)
			_, errTell := script.Tell(saga.Event{Kind: saga.StepCompensationFailed, Step: "compose", Err: "no space", Code: "full", Permanent: true})
			if err := errors.Join(errClaim, errTell); err != nil {
				t.Fatal(err)
			}
			rewrite(t, s, 1, func(row map[string]any) {
				f, step := row["failure"].(map[string]any), row["progress"].(map[string]any)["steps"].([]any)[1].(map[string]any)
				delete(f, "cause")
				delete(step, "code")
				if cause != nil {
					f["cause"], step["code"] = cause, cause
				}
			})
			got, err := s.Get(key(1))
			want, _ := cause.(string)
			if err != nil || got.Failure.Cause != want || got.Progress.Steps[1].Code != want || got.Failure.Message != "compensate: no space" {
				t.Errorf("%+v, %v", got.Failure, err)
			}
			if gone, err := script.Down(); err != nil || gone.State != fsm.Absent {
				t.Errorf("down: %s, %v", gone.State, err)
			}
		})
	}
}

// TestNewerFile: a file of a newer schema is refused, and both versions are named.
func TestNewerFile(t *testing.T) {
	newer := newStore(t)
	newer.Version = "v9.8.7"
	newer.migrations = []migration{{"nothing", func(*bolt.Tx) error { return nil }}}
	script, _ := up(t, newer, 1)
	s := New(newer.dir)
	s.Version = "v1.2.3"
	before, _ := os.ReadFile(s.Path())
	_, errGet := s.Get(key(1))
	_, errList := s.List()
	_, errHistory := s.History(Filter{})
	old := &storetest.Script{Store: s, Key: key(1), Seen: script.Seen}
	_, errClaim := old.Claim(session.ClaimDown, 0)
	for _, err := range []error{errGet, errList, errHistory, errClaim} {
		for _, part := range []string{"v9.8.7", "v1.2.3", "schema 2", "up to 1"} {
			if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), part) {
				t.Errorf("error without %s: %v", part, err)
			}
		}
	}
	if after, _ := os.ReadFile(s.Path()); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

// TestCheck: answers that would break what other sessions rely on are not written,
// whoever makes them.
func TestCheck(t *testing.T) {
	s := newStore(t)
	_, one := up(t, s, 1)
	up(t, s, 2)
	clone := func() (c session.Session) {
		data, err := json.Marshal(one)
		if err == nil {
			err = json.Unmarshal(data, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, change := range map[string]func(*session.Session){
		"another session": func(c *session.Session) { c.Slug = "feat-3" },
		"epoch falls":     func(c *session.Session) { c.Epoch-- },
		"epoch jumps":     func(c *session.Session) { c.Epoch += 100 },
		"another id":      func(c *session.Session) { c.ID = "another" },
		"no slot":         func(c *session.Session) { c.Slot = 0 },
		"taken slot":      func(c *session.Session) { c.Slot = 2 },
		"taken port":      func(c *session.Session) { c.Ports["web"] = 20002 },
		"no port":         func(c *session.Session) { c.Ports["web"] = 0 },
		"too high a port": func(c *session.Session) { c.Ports["web"] = 85536 },
		"unknown state":   func(c *session.Session) { c.State = "odd" },
	} {
		err := s.update("test", func(tx *bolt.Tx) error {
			after := clone()
			change(&after)
			if err := check(key(1), one, after, session.View{NextEpoch: one.Epoch + 1}); err != nil {
				return err
			}
			return s.write(tx, key(1), one, after)
		})
		if !errors.Is(err, errFault) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all := list(t, s); len(all) != 2 || all[0].Epoch != one.Epoch {
		t.Errorf("list has %v", all)
	}
}

// TestFaultInTransition: a panic in there is no damage of the file, and nothing is
// written.
func TestFaultInTransition(t *testing.T) {
	s := newStore(t)
	_, before := up(t, s, 1)
	broken := before
	broken.Plan.Steps = broken.Plan.Steps[:1]
	_, err := decide(broken, session.Event{Kind: session.ClaimDown, Seen: broken.Epoch, Options: session.Options{KeepWorktree: true}},
		session.View{NextEpoch: broken.Epoch + 1})
	if err == nil {
		t.Error("a record that contradicts itself was accepted")
	}
	if errors.Is(err, ErrDamaged) {
		t.Errorf("error %v", err)
	}
}

// TestKeys: what cannot be a key is refused, by all.
func TestKeys(t *testing.T) {
	s := New(t.TempDir())
	for _, bad := range []session.Key{{}, {Repo: "/r"}, {Slug: "s"}, {Repo: "/r\x00", Slug: "s"}, {Repo: "/r", Slug: "a\x00b"}} {
		_, errGet := s.Get(bad)
		_, errApply := s.Apply(bad, session.Event{Kind: session.ClaimDown})
		_, errOwn := s.Own(t.Context(), bad, owner(1), false)
		_, errHolder := s.Holder(bad)
		for _, err := range []error{errGet, errApply, errOwn, errHolder} {
			if err == nil || errors.Is(err, session.ErrNotFound) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
	if files, _ := os.ReadDir(s.dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}

// TestDoc: the drawing in the package comment names every bucket.
func TestDoc(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range buckets {
		if !strings.Contains(string(doc), "\n\t"+name+" ") {
			t.Errorf("doc.go does not draw bucket %s", name)
		}
	}
	for _, key := range [][]byte{metaSchema, metaCreatedBy, metaSchemaBy, metaEpoch, metaCommits, metaBackup} {
		if !strings.Contains(string(doc), fmt.Sprintf("%q", key)) {
			t.Errorf("doc.go does not name %s of bucket meta", key)
		}
	}
}

// TestDocBuckets: a file has the buckets that are listed, and no other.
func TestDocBuckets(t *testing.T) {
	s := newStore(t)
	up(t, s, 1)
	listed := map[string]bool{}
	for _, name := range buckets {
		listed[name] = true
	}
	_, err := s.view(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
			if !listed[string(name)] {
				t.Errorf("bucket %s is not listed", name)
			}
			delete(listed, string(name))
			return nil
		})
	})
	if err != nil || len(listed) > 0 {
		t.Error(err, listed)
	}
}
