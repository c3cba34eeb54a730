package git

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ecluse/steps/proc"
	"ecluse/steps/run"
)

// killFiles is enough for a checkout that takes a while.
const killFiles = 2000

// TestKilled ends git at random moments of an Add, in every way in which it can
// be ended, and then does what a resumed and a compensated session do. Whatever
// Whole calls whole must be so; whatever is left must go; a second Add must work.
func TestKilled(t *testing.T) {
	repo := withOrigin(t, "feat")
	for i := range killFiles {
		write(t, repo.Root, fmt.Sprintf("d%d/f%d", i%30, i), fmt.Sprintln("content", i))
	}
	tool(t, repo.Root, "add", "-A")
	tool(t, repo.Root, "commit", "-qm", "many")
	tool(t, repo.Root, "push", "-q", "origin", "main", "main:feat")
	tool(t, repo.Root, "fetch", "-q", "origin")
	must(t, repo.Exclude(t.Context(), "/.ecluse/"))

	began := time.Now()
	path := add(t, repo, "feat")
	span := time.Since(began)
	removeAll(t, repo, path, Resolution{Branch: "feat", Base: tool(t, repo.Root, "rev-parse", "origin/feat")})

	// On a machine that is busy with other things, fewer rounds do.
	rounds, deadline := 16, time.Now().Add(20*time.Second)
	if testing.Short() {
		rounds = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, an Add takes %v", seed, span)
	random := rand.New(rand.NewPCG(seed, 0))
	count := map[string]int{}
	for i := 0; i < rounds && time.Now().Before(deadline); i++ {
		for _, way := range []string{"kill git", "kill group", "terminate git", "cancel"} {
			delay := time.Duration(random.Float64() * float64(span))
			count[way+": "+killedOnce(t, repo, way, delay)]++
		}
	}
	t.Logf("%v", count)
}

// killedOnce is one round; it says how far the Add had come.
func killedOnce(t *testing.T, repo Repo, way string, delay time.Duration) string {
	t.Helper()
	path := filepath.Join(repo.Root, ".ecluse", "worktrees", "feat")
	res, err := repo.Resolve(t.Context(), "feat", "")
	must(t, err)
	lock, err := os.CreateTemp(t.TempDir(), "step")
	must(t, err)
	defer lock.Close()
	ctx, cancel := context.WithCancel(run.With(t.Context(), run.Inherit{Files: []*os.File{lock}, Grace: time.Second}))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- repo.Add(ctx, path, res) }()
	time.Sleep(delay)
	if way == "cancel" {
		cancel()
	} else {
		strike(t, lock.Name(), way)
	}
	addErr := <-done
	// What git left running is waited for, as whoever takes over does.
	must(t, proc.Await(t.Context(), time.Minute, func() ([]proc.ID, error) { return proc.Holding(lock.Name()) }))

	state := "half"
	err = repo.Whole(t.Context(), path, "feat")
	switch {
	case err == nil:
		state = "whole"
		if out := tool(t, path, "status", "--porcelain"); out != "" {
			t.Fatalf("%s after %v: called whole, but:\n%.300s", way, delay, out)
		}
	case addErr == nil:
		t.Fatalf("Add succeeded, but: %v", err)
	case errors.Is(err, ErrNoWorktree):
		state = "absent"
	case !errors.Is(err, ErrHalfMade):
		t.Fatalf("%s after %v: %v", way, delay, err)
	}
	removeAll(t, repo, path, res)

	must(t, repo.Add(t.Context(), path, res))
	must(t, repo.Whole(t.Context(), path, "feat"))
	if out := tool(t, path, "status", "--porcelain"); out != "" {
		t.Fatalf("%s after %v: the second is not clean:\n%.300s", way, delay, out)
	}
	removeAll(t, repo, path, res)
	return state
}

// removeAll is the compensation; nothing may be left.
func removeAll(t *testing.T, repo Repo, path string, res Resolution) {
	t.Helper()
	_, err := repo.Remove(t.Context(), path, RemoveOptions{Remnant: true})
	must(t, err)
	if gone, err := repo.DeleteBranch(t.Context(), res.Branch, res.Base); err != nil || !gone {
		t.Fatalf("branch gone: %v, %v", gone, err)
	}
	noTraces(t, repo)
}

// strike sends a signal to the git that leads, or to its whole group.
func strike(t *testing.T, lock, way string) {
	t.Helper()
	ids, err := proc.Holding(lock)
	must(t, err)
	if len(ids) == 0 {
		return
	}
	leader := ids[0] // its children are younger
	switch way {
	case "kill git":
		_ = leader.Signal(syscall.SIGKILL)
	case "terminate git":
		_ = leader.Signal(syscall.SIGTERM)
	case "kill group":
		_ = syscall.Kill(-leader.PID, syscall.SIGKILL)
	}
}

// TestRemoveKilled: a removal that was cut off is finished by the next one.
func TestRemoveKilled(t *testing.T) {
	repo, path := newRepo(t), ""
	for i := range killFiles {
		write(t, repo.Root, fmt.Sprintf("d%d/f%d", i%30, i), "x")
	}
	tool(t, repo.Root, "add", "-A")
	tool(t, repo.Root, "commit", "-qm", "many")
	path = add(t, repo, "feat")
	began := time.Now()
	_, err := repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
	span := time.Since(began)
	for range 10 {
		add(t, repo, "feat")
		ctx, cancel := context.WithTimeout(run.With(t.Context(), run.Inherit{Grace: time.Millisecond}), rand.N(span))
		_, err := repo.Remove(ctx, path, RemoveOptions{})
		cancel()
		if _, again := repo.Remove(t.Context(), path, RemoveOptions{}); again != nil {
			t.Fatalf("after %v: %v", err, again)
		}
		if left := traces(t, repo); len(left) != 1 {
			t.Fatalf("left: %q", left)
		}
	}
}
