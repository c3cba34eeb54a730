package proc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// only finds a process while it is alive.
func only(id ID) func() ([]ID, error) {
	return func() ([]ID, error) {
		if id.Alive() {
			return []ID{id}, nil
		}
		return nil, nil
	}
}

// long is a grace that a test must not need.
const long = time.Minute

// marked starts a script that has a mark of its own in its environment, which its
// finder finds.
func marked(t *testing.T, text string, args ...string) (child, func() ([]ID, error)) {
	t.Helper()
	mark := "ECLUSE_MARK=" + rand.Text()
	cmd := exec.Command("/bin/sh", append([]string{"-c", text, "sh"}, args...)...)
	cmd.Env = append(os.Environ(), mark)
	return start(t, cmd), func() ([]ID, error) { return Carrying(mark) }
}

func TestStopAsksOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "asked")
	// It takes its time, so that it is looked at more than once.
	c, find := marked(t, `trap 'echo asked >>"$1"; n=0; while [ $n -lt 30 ]; do /bin/true; sleep 0.01; n=$((n+1)); done; exit' TERM; echo ready; while :; do sleep 0.01; done`, path)
	if err := Stop(t.Context(), long, find); err != nil {
		t.Fatal(err)
	}
	if c.Alive() {
		t.Error("it is alive")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "asked\n" {
		t.Errorf("it was asked: %q, %v", got, err)
	}
}

// obstinate are processes that ignore TERM: one, a child of it, and one that left
// tree, group and session.
const obstinate = `trap "" TERM; sleep 1001 & (setsid sleep 1002 &); echo ready; exec sleep 1000`

func TestStopKillsAfterGrace(t *testing.T) {
	c, find := marked(t, obstinate)
	members(t, find, "sleep 1000", "sleep 1001", "sleep 1002")
	const grace = 50 * time.Millisecond
	begun := time.Now()
	if err := Stop(t.Context(), grace, find); err != nil {
		t.Fatal(err)
	}
	if elapsed := time.Since(begun); elapsed < grace {
		t.Errorf("they had %s only", elapsed)
	}
	if ids, err := find(); err != nil || len(ids) > 0 || c.Alive() {
		t.Errorf("left: %v, %v", ids, err)
	}
}

func TestStopWithoutGrace(t *testing.T) {
	_, find := marked(t, obstinate)
	if err := Stop(t.Context(), 0, find); err != nil {
		t.Error(err)
	}
}

// A stopped process acts on TERM only when it is continued.
func TestStopSuspended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "asked")
	c, find := marked(t, `trap 'echo asked >>"$1"; exit' TERM; echo ready; while :; do sleep 0.01; done`, path)
	if err := c.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is suspended", c.Suspended)
	if err := Stop(t.Context(), long, find); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "asked\n" {
		t.Errorf("it was asked: %q, %v", got, err)
	}
}

// What is started in answer to TERM is ended, too.
func TestStopNewcomers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "asked")
	_, find := marked(t, `trap 'setsid sleep 1001 & sleep 1002 & echo asked >>"$1"; exit' TERM; echo ready; while :; do sleep 0.01; done`, path)
	if err := Stop(t.Context(), long, find); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "asked\n" {
		t.Errorf("it was asked: %q, %v", got, err)
	}
	if ids, err := find(); err != nil || len(ids) > 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
}

func TestStopManyThatMultiply(t *testing.T) {
	_, find := marked(t, `trap "" TERM; echo ready; n=0; while [ $n -lt 200 ]; do sleep 1000 & n=$((n+1)); done; exec sleep 1000`)
	if err := Stop(t.Context(), 20*time.Millisecond, find); err != nil {
		t.Fatal(err)
	}
	if ids, err := find(); err != nil || len(ids) > 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
}

// A zombie whose parent does not take note of it is no reason to wait.
func TestStopLeavesZombies(t *testing.T) {
	c := script(t, `sleep 1000 & echo ready; echo $!; exec sleep 1001`)
	grandchild := c.pid(t)
	eventually(t, "the parent has forgotten it", func() bool { return commandLine(c.PID) == "sleep 1001" })
	if err := Stop(t.Context(), long, only(grandchild)); err != nil {
		t.Fatal(err)
	}
	if s, err := readStat(grandchild.PID); err != nil || s.state != 'Z' {
		t.Errorf("it is no zombie: %+v, %v", s, err)
	}
	if !c.Alive() {
		t.Error("the parent was hit")
	}
}

func TestStopGroupWithoutLeader(t *testing.T) {
	c := script(t, `trap "" TERM; sleep 1000 & sleep 1001 & echo ready; exit`)
	if err := c.AwaitEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	find := func() ([]ID, error) { return InGroup(c.PID) }
	members(t, find, "sleep 1000", "sleep 1001")
	if err := Stop(t.Context(), 10*time.Millisecond, find); err != nil {
		t.Error(err)
	}
}

func TestStopFamily(t *testing.T) {
	mark := "ECLUSE_KIN=" + rand.Text()
	cmd := exec.Command("/bin/sh", "-c", "trap '' TERM; "+kin+"exec sleep 1000")
	cmd.Env = append(os.Environ(), mark)
	c := start(t, cmd)
	find := Family(c.ID, mark)
	members(t, find, "sleep 1000", "sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "sleep 1005", "timeout 1000 sleep 1002")
	if err := Stop(t.Context(), 10*time.Millisecond, find); err != nil {
		t.Fatal(err)
	}
	if ids, err := Carrying(mark); err != nil || len(ids) > 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
}

func TestStopEndsWithItsContext(t *testing.T) {
	c, find := marked(t, `trap "" TERM; echo ready; exec sleep 1000`)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- Stop(ctx, long, find) }()
	cancel(cause)
	err := <-stopped
	var alive *AliveError
	if !errors.As(err, &alive) || !errors.Is(err, cause) || !cmp.Equal(alive.IDs, []ID{c.ID}) {
		t.Fatalf("got %v", err)
	}
	if !c.Alive() {
		t.Error("it was killed")
	}
	if want := fmt.Sprintf("pid %d (", c.PID); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name it", err)
	}
	if err := Stop(ctx, long, func() ([]ID, error) { return nil, nil }); err != nil {
		t.Errorf("nobody is there: %v", err)
	}
}

// Who cannot be ended is named.
func TestStopGivesUp(t *testing.T) {
	c := script(t, "echo ready; exec sleep 1000")
	rounds := 0
	now := time.Now()
	s := stopper{grace: now, patience: 50 * time.Millisecond, told: map[ID]bool{}}
	err := watch(t.Context(), func() ([]ID, error) { rounds++; return []ID{c.ID}, nil }, s.round)
	var alive *AliveError
	if !errors.As(err, &alive) || !cmp.Equal(alive.IDs, []ID{c.ID}) || alive.Err != nil {
		t.Errorf("got %v", err)
	}
	if rounds > 60 {
		t.Errorf("it looked %d times in 50 ms", rounds)
	}
}

// A machine that slept until all patience was over has given nobody time to end.
func TestStopAfterASleep(t *testing.T) {
	c := script(t, `trap "" TERM; echo ready; exec sleep 1000`)
	if err := Stop(t.Context(), -time.Hour, only(c.ID)); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestStopNeverStopsUs(t *testing.T) {
	if err := Stop(t.Context(), 0, func() ([]ID, error) { return []ID{Self()}, nil }); err != nil {
		t.Error(err)
	}
}

func TestFindersErrors(t *testing.T) {
	broken := errors.New("broken")
	find := func() ([]ID, error) { return nil, broken }
	if err := Stop(t.Context(), long, find); !errors.Is(err, broken) {
		t.Errorf("Stop says %v", err)
	}
	if err := Await(t.Context(), long, find); !errors.Is(err, broken) {
		t.Errorf("Await says %v", err)
	}
}

func TestAwait(t *testing.T) {
	c := script(t, "echo ready; exec sleep 1000")
	awaited := make(chan error, 1)
	go func() { awaited <- Await(t.Context(), long, only(c.ID)) }()
	var alive *AliveError
	if err := Await(t.Context(), 20*time.Millisecond, only(c.ID)); !errors.As(err, &alive) || !slices.Contains(alive.IDs, c.ID) {
		t.Errorf("out of patience: %v", err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := Await(ctx, long, only(c.ID)); !errors.As(err, &alive) || !errors.Is(err, cause) {
		t.Errorf("after its context: %v", err)
	}
	if !c.Alive() {
		t.Fatal("waiting has ended it")
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-awaited; err != nil {
		t.Error(err)
	}
}

// What is found may go without anybody's death.
func TestAwaitWithoutDeath(t *testing.T) {
	c := script(t, "echo ready; exec sleep 1000")
	looks := 0
	err := Await(t.Context(), long, func() ([]ID, error) {
		if looks++; looks > 3 {
			return nil, nil
		}
		return []ID{c.ID}, nil
	})
	if err != nil || looks != 5 {
		t.Errorf("%d looks, %v", looks, err)
	}
}

func TestAliveErrorNamesAFew(t *testing.T) {
	e := &AliveError{Names: []string{"a", "b", "c", "d", "e", "f", "g"}, Err: os.ErrPermission}
	if got, want := e.Error(), "still running: a, b, c, d, e and 2 more: permission denied"; got != want {
		t.Errorf("%q", got)
	}
}

func TestStopInAHurry(t *testing.T) {
	_, find := marked(t, obstinate)
	members(t, find, "sleep 1000", "sleep 1001", "sleep 1002")
	now := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- Stop(Hurry(t.Context(), now), time.Hour, find) }()
	select {
	case err := <-ended:
		t.Fatalf("it ended with nobody in a hurry: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(now)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
