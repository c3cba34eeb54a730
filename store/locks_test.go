package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"ecluse/saga/session"
)

// childHold has the state file open until it is killed: "write" or "read".
func childHold(s *Store, args []string) error {
	hold := func(*bolt.Tx) error {
		fmt.Println(os.Getpid())
		time.Sleep(time.Hour)
		return nil
	}
	if args[0] == "write" {
		return s.update("hold it", hold)
	}
	_, err := s.view(hold)
	return err
}

// TestTimeOutNamesHolder waits in vain for a state file, and learns for whom.
func TestTimeOutNamesHolder(t *testing.T) {
	for _, how := range []string{"write", "read"} {
		s := newStore(t)
		s.LockTimeout = 100 * time.Millisecond
		_, before := up(t, s, 1)
		c := start(t, "hold", s.dir, how)
		pid := c.line()
		errs := []error{}
		_, err := s.Apply(key(1), session.Event{Kind: session.AskStop})
		errs = append(errs, err)
		if how == "write" {
			_, err = s.Get(key(1))
			errs = append(errs, err)
			_, err = s.List()
			errs = append(errs, err)
		} else if _, err := s.Get(key(1)); err != nil {
			t.Errorf("a reader kept a reader out: %v", err)
		}
		for _, err := range errs {
			var locked *LockedError
			if !errors.As(err, &locked) || !errors.Is(err, ErrLocked) {
				t.Fatalf("%s: error %v", how, err)
			}
			if !strings.Contains(locked.Holder, "pid "+pid) || strings.Contains(locked.Holder, "hold it") != (how == "write") {
				t.Errorf("%s: the holder is %q, and it has pid %s", how, locked.Holder, pid)
			}
		}
		c.kill()
		s.LockTimeout = time.Minute
		if got, err := s.Get(key(1)); err != nil || got.Epoch != before.Epoch {
			t.Errorf("%s: after the holder was killed: %v", how, err)
		}
	}
}

// childOwn owns session 1 until it is killed.
func childOwn(s *Store, _ []string) error {
	_, err := s.Own(context.Background(), key(1), owner(os.Getpid()), false)
	fmt.Println(os.Getpid(), err)
	time.Sleep(time.Hour)
	return nil
}

func owner(pid int) session.Owner {
	return session.Owner{PID: pid, Verb: session.VerbUp, Since: time.Now().Round(0)}
}

// locks lists the files of owner locks.
func locks(t *testing.T, s *Store) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "locks", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestKilledOwnerLock makes sure that the lock of a killed owner is free at once,
// and that one of a live one is not.
func TestKilledOwnerLock(t *testing.T) {
	s := newStore(t)
	for range 20 {
		c := start(t, "own", s.dir)
		pid, _, _ := strings.Cut(c.line(), " ")
		by, err := s.Holder(key(1))
		if err != nil || by == nil || strconv.Itoa(by.PID) != pid {
			t.Fatalf("the holder is %v, %v, and it has pid %s", by, err, pid)
		}
		_, err = s.Own(t.Context(), key(1), owner(1), false)
		var busy *session.BusyError
		if !errors.As(err, &busy) || strconv.Itoa(busy.Owner.PID) != pid {
			t.Fatalf("error %v", err)
		}
		began := time.Now()
		_ = c.Process.Kill()
		var lock session.Lock
		for lock == nil { // a kill takes effect when the process next runs
			if lock, err = s.Own(t.Context(), key(1), owner(1), false); err != nil {
				lock = nil
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("not free after %s: %v", time.Since(began), err)
			}
		}
		took := time.Since(began)
		if took > 50*time.Millisecond {
			t.Logf("free after %s", took)
		}
		if err := lock.Release(true); err != nil {
			t.Fatal(err)
		}
		c.kill()
	}
	if left := locks(t, s); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Who looks when a holder may just have ended, or has not yet said who it is, looks more
// than once, whatever the clock says.
func TestATryIsNoPatience(t *testing.T) {
	p, tries := patienceOf(-time.Hour), 1
	for ; !p.over(); tries++ {
	}
	if tries != leastTries {
		t.Errorf("%d tries", tries)
	}
	for p, tries = patienceOf(time.Hour), 1; tries < 100; tries++ {
		if p.over() {
			t.Fatalf("over after %d tries, an hour too soon", tries)
		}
	}
}

// childFDs lists the files that it has open.
func childFDs(*Store, []string) error {
	fds, err := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			fmt.Println(name)
		}
	}
	return err
}

// TestInheritance starts a child while every kind of lock is held: it gets the
// step lock that it is given, and nothing else.
func TestInheritance(t *testing.T) {
	s := newStore(t)
	up(t, s, 1)
	lock, err := s.Own(t.Context(), key(1), owner(os.Getpid()), false)
	if err != nil {
		t.Fatal(err)
	}
	step, err := s.StepLock(key(1), "worktree.do")
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.StepLock(key(1), "compose:x/y.do")
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, use := range []func(func(*bolt.Tx) error) error{
		func(fn func(*bolt.Tx) error) error { return s.update("test", fn) },
		func(fn func(*bolt.Tx) error) error { _, err := s.view(fn); return err },
	} {
		err := use(func(*bolt.Tx) error {
			cmd := command(t, "fds", s.dir)
			cmd.ExtraFiles = []*os.File{step}
			out, err := cmd.Output()
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, s.dir) {
					ours = append(ours, strings.TrimSpace(line))
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	path := s.StepLockPath(key(1), "worktree.do")
	if !slices.Equal(ours, []string{path, path}) {
		t.Errorf("the children have open: %q", ours)
	}
	_ = other.Close()
	_ = step.Close()
	if err := lock.Release(true); err != nil {
		t.Fatal(err)
	}
}

// TestStepLock: it is held until the last child that inherited it ends.
func TestStepLock(t *testing.T) {
	s := newStore(t)
	step, err := s.StepLock(key(1), "hook:post_up.do")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StepLock(key(1), "hook:post_up.do"); !errors.Is(err, os.ErrExist) {
		t.Fatalf("error %v", err)
	}
	c := command(t, "own", s.dir) // it lives until it is killed
	c.ExtraFiles = []*os.File{step}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	if err := step.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StepLock(key(1), "hook:post_up.do"); !errors.Is(err, os.ErrExist) {
		t.Fatalf("with a child that has the lock: %v", err)
	}
	if _, err := s.StepLock(key(1), "hook:post_up.compensate"); err != nil {
		t.Fatalf("another step: %v", err)
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	if step, err = s.StepLock(key(1), "hook:post_up.do"); err != nil {
		t.Fatalf("after the child ended: %v", err)
	}
	_ = step.Close()
}

// TestGone: with a session goes everything of it but its logs.
func TestGone(t *testing.T) {
	s := newStore(t)
	lock, err := s.Own(t.Context(), key(1), owner(1), false)
	if err != nil {
		t.Fatal(err)
	}
	script, _ := up(t, s, 1)
	step, err := s.StepLock(key(1), "a.do")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.LogDir(key(1)), 0o700); err != nil {
		t.Fatal(err)
	}
	_ = step.Close()
	if _, err := script.Down(); err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(true); err != nil {
		t.Fatal(err)
	}
	var left []string
	_ = filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, _ error) error {
		if strings.Contains(path, "feat-1") {
			left = append(left, path)
		}
		return nil
	})
	if !slices.Equal(left, []string{s.LogDir(key(1))}) {
		t.Errorf("left: %q", left)
	}
	if entries, err := s.History(Filter{Repo: key(1).Repo, Slug: key(1).Slug}); err != nil || len(entries) == 0 {
		t.Errorf("the history: %v, %v", entries, err)
	}
}

// TestLookers: those who look do not take each other for the owner, also where a
// killed one has left its description.
func TestLookers(t *testing.T) {
	s := newStore(t)
	c := start(t, "own", s.dir)
	c.line()
	c.kill()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 500 {
				if by, err := s.Holder(key(1)); by != nil || err != nil {
					t.Errorf("the holder is %v, %v", by, err)
					return
				}
			}
		})
	}
	group.Wait()
	lock, err := s.Own(t.Context(), key(1), owner(1), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(false); err != nil {
		t.Fatal(err)
	}
}

// TestNoLockLeft: an Own that fails leaves no file, however it fails, and neither
// does one that gets the lock when it has given up.
func TestNoLockLeft(t *testing.T) {
	s := newStore(t)
	for range 20 {
		lock, err := s.Own(t.Context(), key(1), owner(1), false)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 3)
		for range 3 {
			go func() {
				got, err := s.Own(ctx, key(1), owner(2), true)
				if err == nil {
					err = got.Release(true)
				}
				failed <- err
			}()
		}
		go func() {
			time.Sleep(time.Millisecond)
			cancel()
		}()
		if err := lock.Release(true); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := <-failed; err != nil && !errors.Is(err, session.ErrBusy) {
				t.Fatal(err)
			}
		}
		deadline := time.Now().Add(time.Minute)
		for len(locks(t, s)) > 0 {
			if time.Now().After(deadline) {
				t.Fatalf("left: %v", locks(t, s))
			}
			time.Sleep(time.Millisecond)
		}
	}
	if by, err := s.Holder(key(1)); by != nil || err != nil {
		t.Errorf("holder %v, %v", by, err)
	}
}

// TestReplacedLock: who waited for a file that is not the lock any more does not
// think that they hold it.
func TestReplacedLock(t *testing.T) {
	s := newStore(t)
	first, err := s.Own(t.Context(), key(1), owner(1), false)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan session.Lock)
	go func() {
		lock, err := s.Own(t.Context(), key(1), owner(2), true)
		if err != nil {
			t.Error(err)
		}
		got <- lock
	}()
	await(t, func() bool { return strings.Contains(procLocks(t), "->") })
	if err := os.Remove(s.ownPath(key(1))); err != nil { // somebody tidied up
		t.Fatal(err)
	}
	third, err := s.Own(t.Context(), key(1), owner(3), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Release(true); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
		t.Fatal("two hold the lock")
	case <-time.After(20 * time.Millisecond):
	}
	if by, err := s.Holder(key(1)); err != nil || by == nil || by.PID != 3 {
		t.Fatalf("the holder is %v, %v", by, err)
	}
	if err := third.Release(true); err != nil {
		t.Fatal(err)
	}
	if err := (<-got).Release(true); err != nil {
		t.Fatal(err)
	}
}

// procLocks is what the kernel says of locks and of who waits for them.
func procLocks(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// await polls until it is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}
