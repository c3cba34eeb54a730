package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// soakConfig has every kind of step that needs no engine, and takes its time.
const soakConfig = `
mode = "host"
max_slots = 8
port_search_range = 3
[hooks]
pre_up = 'touch "$LEDGER/$ECLUSE_SLUG.pre_up"'
post_down = 'rm -f "$LEDGER/$ECLUSE_SLUG.pre_up"'
post_up = 'sleep 0.2; touch "$LEDGER/$ECLUSE_SLUG.post_up"'
pre_down = 'rm -f "$LEDGER/$ECLUSE_SLUG.post_up"'
[[services]]
name = "web"
base_port = %d
command = "exec webapp"
`

// TestSoak lets agents run up, down, recover and ls on shared repositories while
// they are killed at random times. At the end one recover, and a down of each, must
// leave nothing. ECLUSE_TEST_SOAK is how long it lasts; ECLUSE_TEST_SEED repeats one.
func TestSoak(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("ECLUSE_TEST_SOAK"))
	if err != nil {
		lasts = 15 * time.Second
		if testing.Short() {
			lasts = 3 * time.Second
		}
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ECLUSE_TEST_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d, for %s", seed, lasts)
	one, two := newWorld(t, soakConfig), newWorld(t, soakConfig)
	two.state, two.base = one.state, one.base
	two.write(".ecluse.toml", fmt.Sprintf(soakConfig, one.base))
	two.commit("the same ports")

	s := &soak{end: time.Now().Add(lasts)}
	var agents sync.WaitGroup
	for i := range 6 {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		w := []*world{one, two}[i%2]
		agents.Go(func() { s.agent(w, random) })
	}
	agents.Wait()
	t.Logf("%d commands, %d killed, %d refused or failed, statuses wrong: %d", s.commands.Load(), s.kills.Load(), s.other.Load(), s.wrong.Load())
	begun := time.Now()
	one.ecluse(0, "recover", "--all")
	t.Logf("recovered in %s", time.Since(begun).Round(time.Millisecond))
	for _, w := range []*world{one, two} {
		for i := range slugs {
			slug := fmt.Sprintf("soak-%d", i)
			if o := w.run(nil, "down", slug); o.status != 0 && o.status != 4 {
				t.Errorf("down %s ended with %d: %s", slug, o.status, o.stderr)
			}
		}
	}
	one.mustBeClean("at the end")
	two.mustBeClean("at the end")
}

// slugs is how many sessions the agents fight over, in each repository.
const slugs = 3

// soak counts what happens.
type soak struct {
	end                           time.Time
	commands, kills, other, wrong atomic.Int64
}

// agent runs commands until the end; every second one is killed.
func (s *soak) agent(w *world, random *rand.Rand) {
	for time.Now().Before(s.end) {
		slug := fmt.Sprintf("soak-%d", random.IntN(slugs))
		args := [][]string{{"up", slug}, {"up", slug}, {"down", slug}, {"recover"}, {"ls", "--json"}}[random.IntN(5)]
		cmd := w.command(args...)
		said := w.listen(cmd)
		if err := cmd.Start(); err != nil {
			w.t.Error(err)
			return
		}
		s.commands.Add(1)
		if random.IntN(2) == 0 {
			s.killLater(cmd, time.Duration(random.Int64N(int64(600*time.Millisecond))))
		}
		_ = cmd.Wait()
		stderr := said().stderr
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		switch {
		case status.Signaled():
			s.kills.Add(1)
		case cmd.ProcessState.ExitCode() != 0:
			s.other.Add(1)
			s.check(w, args, cmd, stderr)
		}
	}
}

// killLater ends a command after a while, in a way that nothing can catch.
func (s *soak) killLater(cmd *exec.Cmd, after time.Duration) {
	timer := time.NewTimer(after)
	go func() {
		<-timer.C
		_ = cmd.Process.Kill()
	}()
}

// check fails the test for statuses that no race and no kill explains: ls always
// works, and the others are busy (5), have nothing to do (4), were asked to stop or
// lost the session to another one (6, 8), or are out of slots (11).
func (s *soak) check(w *world, args []string, cmd *exec.Cmd, stderr string) {
	status := cmd.ProcessState.ExitCode()
	explained := map[int]bool{4: true, 5: true, 6: true, 8: true, 11: true}
	if args[0] == "ls" || !explained[status] {
		s.wrong.Add(1)
		w.t.Errorf("%v ended with %d: %s", args, status, stderr)
	}
}
