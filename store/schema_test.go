package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/store/storetest"
)

var update = flag.Bool("update", false, "write the state file of this schema to testdata")

// released makes what the files in testdata hold: a session that is up, one that
// is pending, and one that is gone.
func released(t *testing.T, s *Store) {
	t.Helper()
	up(t, s, 1)
	if _, err := (&storetest.Script{Store: s, Key: key(2)}).Claim(session.ClaimUp, 2); err != nil {
		t.Fatal(err)
	}
	script, _ := up(t, s, 3)
	if _, err := script.Down(); err != nil {
		t.Fatal(err)
	}
}

// TestReleasedSchemas opens a file of every schema that was ever released, reads
// it and goes on with it. With -update the file of the present schema is made.
func TestReleasedSchemas(t *testing.T) {
	if *update {
		s := New(t.TempDir())
		s.Version = "v0.1.0"
		s.now = func() time.Time { return storetest.Start }
		released(t, s)
		data, err := os.ReadFile(s.Path())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("testdata/schema-%d.db", s.schema()), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for schema := firstSchema; schema <= New("").schema(); schema++ {
		data, err := os.ReadFile(fmt.Sprintf("testdata/schema-%d.db", schema))
		if err != nil {
			t.Fatal(err)
		}
		s := newStore(t)
		s.now = func() time.Time { return storetest.Start }
		if err := os.WriteFile(s.Path(), data, 0o600); err != nil {
			t.Fatal(err)
		}
		wanted := newStore(t)
		released(t, wanted)
		if diff := cmp.Diff(list(t, wanted), list(t, s)); diff != "" {
			t.Errorf("schema %d (-now +then):\n%s", schema, diff)
		}
		if diff := cmp.Diff(lines(t, wanted, Filter{}), lines(t, s, Filter{})); diff != "" {
			t.Errorf("schema %d (-now +then):\n%s", schema, diff)
		}
		if diff := cmp.Diff(shortRuns(t, wanted, Filter{}), shortRuns(t, s, Filter{})); diff != "" {
			t.Errorf("schema %d (-now +then):\n%s", schema, diff)
		}
		for n := 1; n <= 2; n++ {
			seen, err := s.Get(key(n))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := (&storetest.Script{Store: s, Key: key(n), Seen: seen.Epoch}).Claim(session.ClaimDown, 0); err != nil {
				t.Errorf("schema %d: %v", schema, err)
			}
		}
		up(t, s, 3)
	}
}

// twoSchemas is a list that a later version might have: the branch moves, then a
// bucket is added.
func twoSchemas(fail error) []migration {
	return []migration{
		{"branches get a prefix", func(tx *bolt.Tx) error {
			rows := map[string]map[string]any{}
			err := under(tx, bucketSessions, nil, func(k, v []byte) error {
				var row map[string]any
				err := decode(k, v, &row)
				rows[string(k)] = row
				return err
			})
			for k, row := range rows {
				row["branch"] = "migrated/" + row["branch"].(string)
				err = errors.Join(err, put(tx, bucketSessions, []byte(k), row))
			}
			return err
		}},
		{"a bucket", func(tx *bolt.Tx) error {
			_, err := tx.CreateBucket([]byte("notes"))
			return errors.Join(err, fail)
		}},
	}
}

func TestMigration(t *testing.T) {
	old := newStore(t)
	_, one := up(t, old, 1)
	before, err := os.ReadFile(old.Path())
	if err != nil {
		t.Fatal(err)
	}
	s := New(old.dir)
	s.Version = "v2.0.0"
	s.migrations = twoSchemas(nil)

	// Looking changes nothing, and sees what will be.
	got, err := s.Get(key(1))
	if err != nil || got.Branch != "migrated/"+one.Branch {
		t.Fatalf("branch %q, %v", got.Branch, err)
	}
	if now, _ := os.ReadFile(old.Path()); !bytes.Equal(before, now) || len(old.copies()) > 0 {
		t.Fatal("looking changed the file")
	}
	// A migration that fails changes nothing either.
	broken := New(old.dir)
	broken.migrations = twoSchemas(errors.New("no"))
	if _, err := (&storetest.Script{Store: broken, Key: key(2)}).Claim(session.ClaimUp, 2); err == nil {
		t.Fatal("a migration that failed was taken for one that did not")
	}
	if all := list(t, old); len(all) != 1 || all[0].Branch != one.Branch {
		t.Fatalf("after a migration that failed: %v", all)
	}

	up(t, s, 2)
	all := list(t, s)
	if len(all) != 2 || all[0].Branch != "migrated/"+one.Branch || strings.HasPrefix(all[1].Branch, "migrated") {
		t.Fatalf("after the migration: %v", all)
	}
	if _, err := old.List(); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "v2.0.0") {
		t.Errorf("an older program: %v", err)
	}
	copies := old.copies()
	for _, path := range copies {
		if !strings.HasPrefix(filepath.Base(path), "state-1-") {
			t.Errorf("copy %s", path)
		}
		copied := New(t.TempDir())
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(copied.Path(), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if all := list(t, copied); len(all) != 1 || all[0].Branch != one.Branch {
			t.Errorf("the copy has %v", all)
		}
	}
	if len(copies) == 0 {
		t.Error("there is no copy of the older file")
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "ecluse-migrate-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestMigrationWaits: nobody migrates the file under an older program's hands, and
// programs of the new version do not take each other for old.
func TestMigrationWaits(t *testing.T) {
	old := newStore(t)
	script, _ := up(t, old, 1)
	lock, err := old.Own(t.Context(), key(1), owner(1), false)
	if err != nil {
		t.Fatal(err)
	}
	s := New(old.dir)
	s.migrations = twoSchemas(nil)
	another, err := s.Own(t.Context(), key(2), owner(2), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&storetest.Script{Store: s, Key: key(2)}).Claim(session.ClaimUp, 2); !errors.Is(err, session.ErrBusy) {
		t.Fatalf("error %v", err)
	}
	if _, err := script.Down(); err != nil {
		t.Fatalf("the older program: %v", err)
	}
	if err := lock.Release(true); err != nil {
		t.Fatal(err)
	}
	up(t, s, 3)
	if err := another.Release(true); err != nil {
		t.Fatal(err)
	}
}

// TestCopies: a copy is made when the last is a day or many commits old, only some
// are kept, and each is whole. What hinders it hinders nothing else.
func TestCopies(t *testing.T) {
	s := newStore(t)
	now := storetest.Start
	s.now = func() time.Time { return now }
	up(t, s, 1)
	made := map[string]bool{}
	for n := 2; n < 12; n++ {
		now = now.Add(25 * time.Hour)
		up(t, s, n)
		up(t, s, 100+n)
		for _, path := range s.copies() {
			made[path] = true
		}
	}
	copies := s.copies() // none of the new file, and one a day
	if len(copies) != copiesKept || len(made) != 10 {
		t.Fatalf("kept %v of %d", copies, len(made))
	}
	now = now.Add(-240 * time.Hour) // the clock was set back
	up(t, s, 50)
	if slices.Equal(s.copies(), copies) {
		t.Error("no copy, because there are some of the future")
	}
	files, err := os.ReadDir(s.backupDir())
	if err != nil || len(files) != copiesKept {
		t.Errorf("files %v, %v", files, err)
	}
	for _, path := range s.copies() {
		if why, err := inspect(path, true); why != "" || err != nil {
			t.Errorf("%s: %s, %v", path, why, err)
		}
	}
	script := &storetest.Script{Store: s, Key: key(60)}
	if _, err := script.Claim(session.ClaimUp, 60); err != nil {
		t.Fatal(err)
	}
	last := s.copies()
	s.copyCommits = 20
	for n := range int(s.copyCommits) {
		now = now.Add(time.Second)
		_, err := script.Tell(saga.Event{Kind: saga.StepSaved, Step: "worktree", Key: "n", Data: []byte(fmt.Sprint(n))})
		if err != nil {
			t.Fatal(err)
		}
	}
	if slices.Equal(s.copies(), last) {
		t.Errorf("no copy after %d commits", s.copyCommits)
	}

	if err := os.RemoveAll(s.backupDir()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.backupDir(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2500 * time.Hour)
	up(t, s, 70)
}

// TestDefaultDir finds the state folder.
func TestDefaultDir(t *testing.T) {
	for _, test := range []struct{ env, want string }{
		{`{"HOME":"/home/u"}`, "/home/u/.local/state/ecluse"},
		{`{"HOME":"/home/u","XDG_STATE_HOME":"/xdg"}`, "/xdg/ecluse"},
		{`{"HOME":"/home/u","XDG_STATE_HOME":"/xdg","ECLUSE_STATE_DIR":"/own/"}`, "/own"},
		{`{"HOME":"/home/u","XDG_STATE_HOME":"xdg"}`, ""},
		{`{"HOME":"/home/u","ECLUSE_STATE_DIR":"./own"}`, ""},
		{`{"HOME":"u"}`, ""},
		{`{}`, ""},
	} {
		env := map[string]string{}
		if err := json.Unmarshal([]byte(test.env), &env); err != nil {
			t.Fatal(err)
		}
		got, err := DefaultDir(func(name string) string { return env[name] })
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s: %q, %v", test.env, got, err)
		}
	}
}

// TestPaths: names that nobody checked stay within their folder, and differ.
func TestPaths(t *testing.T) {
	s := New("/state")
	seen := map[string]string{}
	for _, slug := range []string{"feat-1", "../../etc", "a/b", "", ".", strings.Repeat("x", 300), "FEAT-1"} {
		for _, repo := range []string{"/a", "/b"} {
			k := session.Key{Repo: repo, Slug: slug}
			for _, step := range []string{"a", "../a", "a/b", "a_b", ".", "..", strings.Repeat("y", 300), strings.Repeat("y", 301), "compose:x.do"} {
				path := s.StepLockPath(k, step)
				if filepath.Dir(filepath.Dir(path)) != s.Dir(k) || len(filepath.Base(path)) > 255 {
					t.Errorf("step %q of %q is at %s", step, k, path)
				}
				if by := seen[path]; by != "" {
					t.Errorf("%s is for %s and for %q %q", path, by, k, step)
				}
				seen[path] = fmt.Sprintf("%q %q", k, step)
			}
			for _, dir := range []string{s.Dir(k), s.LogDir(k), s.ownPath(k)} {
				if filepath.Dir(filepath.Dir(dir)) != "/state" || len(filepath.Base(dir)) > 255 {
					t.Errorf("%q is at %s", k, dir)
				}
			}
		}
	}
}
