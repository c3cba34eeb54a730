package store

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"ecluse/saga/session"
	"ecluse/store/storetest"
)

// inTx applies events in a transaction that is open already.
type inTx struct {
	s  *Store
	tx *bolt.Tx
}

// Apply implements storetest.Applier.
func (a inTx) Apply(k session.Key, e session.Event) (session.Result, error) {
	return a.s.apply(a.tx, k, e)
}

// crowded is a store with n sessions that are up, ten in each repository, and as
// many that are gone.
func crowded(b testing.TB, n int) *Store {
	b.Helper()
	s := New(b.TempDir())
	settings := json.RawMessage(`{"compose":"` + strings.Repeat("x", 2000) + `"}`)
	for first := 0; first < n; first += 500 {
		err := s.update("fill", func(tx *bolt.Tx) error {
			for i := first; i < min(n, first+500); i++ {
				for _, slug := range []string{fmt.Sprintf("gone-%d", i), fmt.Sprintf("feat-%d", i)} {
					k := session.Key{Repo: fmt.Sprintf("/home/user/src/repo-%d/.git", i/10), Slug: slug}
					script := &storetest.Script{Store: inTx{s, tx}, Key: k, Settings: settings}
					_, err := script.Up(i%10+1, session.Want{Name: "web", Candidates: []int{1000 + 2*i}}, session.Want{Name: "api", Candidates: []int{1001 + 2*i}})
					if err == nil && slug[0] == 'g' {
						_, err = script.Down()
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// operations are what is measured.
func operations(s *Store) map[string]func() error {
	k := session.Key{Repo: "/home/user/src/repo-0/.git", Slug: "feat-3"}
	one := session.Key{Repo: "/new/.git", Slug: "feat"}
	script := &storetest.Script{Store: s, Key: one}
	return map[string]func() error{
		"Get":     func() error { _, err := s.Get(k); return err },
		"List":    func() error { _, err := s.List(); return err },
		"History": func() error { _, err := s.History(Filter{Repo: k.Repo, Slug: k.Slug}); return err },
		"Recent":  func() error { _, err := s.History(Filter{Limit: 20}); return err },
		// Eight transactions: a claim with a slot and a port, four of a run, three of the way back.
		"UpDown": func() error {
			if _, err := script.Up(1, session.Want{Name: "web", Candidates: []int{500, 501, 502}}); err != nil {
				return err
			}
			_, err := script.Down()
			return err
		},
		// What each process pays once more than later ones.
		"FirstGet": func() error { _, err := New(s.dir).Get(k); return err },
	}
}

func BenchmarkStore(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		s := crowded(b, n)
		info, err := os.Stat(s.Path())
		if err != nil {
			b.Fatal(err)
		}
		for name, op := range operations(s) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if err := op(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
			})
		}
	}
}

// TestCostOfCrowd compares, in one run, a store with ten sessions and one with a
// thousand: what is about one session must not cost more among many.
func TestCostOfCrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	few, many := operations(crowded(t, 10)), operations(crowded(t, 1000))
	for _, name := range []string{"Get", "History", "Recent", "UpDown"} {
		ratio := cost(t, many[name]) / cost(t, few[name])
		t.Logf("%s among 1000 costs %.1f times as much as among 10", name, ratio)
		if ratio > 20 {
			t.Errorf("%s among 1000 costs %.1f times as much as among 10", name, ratio)
		}
	}
}

// cost is the time of the fastest of some calls, in seconds.
func cost(t *testing.T, op func() error) float64 {
	t.Helper()
	fastest := time.Hour
	for range 15 {
		began := time.Now()
		if err := op(); err != nil {
			t.Fatal(err)
		}
		fastest = min(fastest, time.Since(began))
	}
	return fastest.Seconds()
}
