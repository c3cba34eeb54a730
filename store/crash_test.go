package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/store/storetest"
)

// childCommit takes session 1 over and saves one number after the other in it;
// each is told once it is on disk.
func childCommit(s *Store, _ []string) error {
	seen, err := s.Get(key(1))
	if err != nil {
		return err
	}
	script := &storetest.Script{Store: s, Key: key(1), Seen: seen.Epoch}
	result, err := script.Claim(session.ClaimResume, 0)
	if err != nil {
		return err
	}
	if result.Session.State == fsm.Failed { // five owners died, and none made progress
		if _, err = script.Claim(session.ClaimUp, 0); err != nil {
			return err
		}
	}
	for n := saved(seen) + 1; ; n++ {
		_, err := script.Tell(saga.Event{Kind: saga.StepSaved, Step: "worktree", Key: "n", Data: json.RawMessage(strconv.Itoa(n))})
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// saved is the number that is saved in session 1.
func saved(s session.Session) (n int) {
	_ = json.Unmarshal(s.Progress.Steps[0].Facts["n"], &n)
	return n
}

// TestKilledOwner kills a process in the middle of its transactions, again and
// again on the same file: what was told is there, and nothing but the one
// transaction of which the end was not told.
func TestKilledOwner(t *testing.T) {
	kills := 220
	if testing.Short() {
		kills = 40
	}
	s := newStore(t)
	script := &storetest.Script{Store: s, Key: key(1)}
	if _, err := script.Claim(session.ClaimUp, 1); err != nil {
		t.Fatal(err)
	}
	last, told, untold := 0, 0, 0
	for range kills {
		c := start(t, "commit", s.dir)
		lines := []string{c.line()} // its first transactions are done
		time.Sleep(rand.N(6 * time.Millisecond))
		_ = c.Process.Kill()
		lines = append(lines, c.rest()...)
		c.kill()
		if n, err := strconv.Atoi(lines[len(lines)-1]); err == nil {
			last = n
		}
		told += len(lines)
		got, err := s.Get(key(1))
		if err != nil {
			t.Fatal(err)
		}
		if n := saved(got); n < last || n > last+1 {
			t.Fatalf("%d was told, %d is there", last, n)
		} else if n > last {
			untold++
		}
		last = saved(got)
	}
	if told < kills {
		t.Errorf("only %d transactions were told before %d kills", told, kills)
	}
	t.Logf("%d kills, %d transactions told, %d times one more was there", kills, told, untold)
}

// childCreate makes the state, and session 1 in it.
func childCreate(s *Store, _ []string) error {
	fmt.Println("begin")
	script := &storetest.Script{Store: s, Key: key(1)}
	_, err := script.Claim(session.ClaimUp, 1)
	for n := 1; err == nil; n++ {
		fmt.Println(n)
		_, err = script.Tell(saga.Event{Kind: saga.StepSaved, Step: "worktree", Key: "n", Data: json.RawMessage(strconv.Itoa(n))})
	}
	return err
}

// TestKilledCreation kills a process while it makes the state file: there is none
// or a whole one, and the next process goes on.
func TestKilledCreation(t *testing.T) {
	kills := 80
	if testing.Short() {
		kills = 30
	}
	window := time.Second
	for range 3 { // the machine may have stood still in one of them
		c := start(t, "create", t.TempDir())
		c.line()
		began := time.Now()
		c.line() // the first transaction is done
		window = min(window, 2*time.Since(began))
		c.kill()
	}
	none, empty := 0, 0
	for range kills {
		s := New(t.TempDir())
		c := start(t, "create", s.dir)
		c.line()
		time.Sleep(rand.N(window))
		_ = c.Process.Kill()
		told := len(c.rest())
		c.kill()
		if _, err := os.Stat(s.Path()); errors.Is(err, os.ErrNotExist) {
			none++
		}
		audit(t, s.dir)
		got, err := s.Get(key(1))
		switch {
		case errors.Is(err, session.ErrNotFound) && told == 0:
			empty++
		case err != nil:
			t.Fatalf("%d transactions were told: %v", told, err)
		case saved(got) < told-1 || saved(got) > told:
			t.Fatalf("%d transactions were told, the session says %d", told, saved(got))
		}
		up(t, s, 2)
		audit(t, s.dir)
	}
	t.Logf("%d kills: %d before there was a file, %d before there was a session", kills, none, empty)
}

// childLives makes and ends sessions, all with wishes for the same ports.
func childLives(s *Store, args []string) error {
	n, _ := strconv.Atoi(args[0])
	rounds, _ := strconv.Atoi(args[1])
	candidates := make([]int, 64)
	for i := range candidates {
		candidates[i] = 20000 + i
	}
	for range rounds {
		script := &storetest.Script{Store: s, Key: key(n)}
		got, err := script.Up(n, session.Want{Name: "web", Candidates: candidates}, session.Want{Name: "api", Candidates: candidates})
		if err != nil {
			return err
		}
		fmt.Println(got.Ports["web"], got.Ports["api"], got.Epoch)
		if _, err := script.Down(); err != nil {
			return err
		}
	}
	_, err := (&storetest.Script{Store: s, Key: key(n)}).Up(n, session.Want{Name: "web", Candidates: candidates})
	return err
}

// TestManyProcesses has sixteen processes write at once, from before there is a
// file, while this one reads: nobody fails, nothing is lost, no epoch and no port
// is given twice.
func TestManyProcesses(t *testing.T) {
	const processes, rounds = 16, 3
	s := newStore(t)
	var mu sync.Mutex
	epochs := map[string]bool{}
	var group sync.WaitGroup
	for n := 1; n <= processes; n++ {
		c := start(t, "lives", s.dir, strconv.Itoa(n), strconv.Itoa(rounds))
		group.Go(func() {
			for _, line := range c.rest() {
				var web, api, epoch string
				if _, err := fmt.Sscan(line, &web, &api, &epoch); err != nil {
					t.Errorf("%q: %v", line, err)
				}
				mu.Lock()
				if epochs[epoch] {
					t.Errorf("epoch %s was given twice", epoch)
				}
				epochs[epoch] = true
				mu.Unlock()
			}
			if err := c.Wait(); err != nil {
				t.Errorf("process %d: %v", n, err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	reads, slowest := readUntil(t, s, done)
	if all := list(t, s); len(all) != processes || len(epochs) != processes*rounds {
		t.Errorf("%d sessions and %d epochs, want %d and %d", len(all), len(epochs), processes, processes*rounds)
	}
	if reads < 4 {
		t.Errorf("writers have kept a reader out: it came to read %d times", reads)
	}
	entries, err := s.History(Filter{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d reads beside %d writers, the slowest took %s; %d lines of history", reads, processes, slowest, len(entries))
	if left, _ := filepath.Glob(filepath.Join(s.dir, "*.new")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// readUntil lists the sessions until done, and makes sure that no two have a port.
func readUntil(t *testing.T, s *Store, done <-chan struct{}) (reads int, slowest time.Duration) {
	t.Helper()
	for {
		before := time.Now()
		holders := map[int]string{}
		for _, got := range list(t, s) {
			for _, port := range got.Ports {
				if by := holders[port]; by != "" {
					t.Fatalf("port %d is leased to %s and to %s", port, by, got.Slug)
				}
				holders[port] = got.Slug
			}
		}
		slowest = max(slowest, time.Since(before))
		reads++
		select {
		case <-done:
			return reads, slowest
		default:
		}
	}
}
