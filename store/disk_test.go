package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ecluse/saga/session"
	"ecluse/store/storetest"
)

// inNamespace lets a child mount what it likes; root needs nothing for it, others
// a user namespace.
func inNamespace(cmd *exec.Cmd) {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
}

// runIn runs a child in its own mount namespace, and skips the test where that
// cannot be had.
func runIn(t *testing.T, name, dir string, args ...string) string {
	t.Helper()
	cmd := command(t, name, dir, args...)
	inNamespace(cmd)
	out, err := cmd.Output()
	text := string(out)
	if errors.Is(err, syscall.EPERM) || strings.HasPrefix(text, "skip") {
		t.Skipf("no mount namespace here: %v %s", err, text)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return text
}

// private makes the child's mounts its own.
func private() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }

// childReadOnly looks at a state on a read-only disk and tries to change it.
func childReadOnly(s *Store, args []string) error {
	err := private()
	if err == nil {
		err = unix.Mount(s.dir, s.dir, "", unix.MS_BIND, "")
	}
	if err == nil {
		err = unix.Mount("", s.dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	if err != nil {
		fmt.Println("skip", err)
		return nil
	}
	all, err := s.List()
	if err != nil {
		return err
	}
	if fmt.Sprint(len(all)) != args[0] {
		return fmt.Errorf("%d sessions, want %s", len(all), args[0])
	}
	for _, got := range all {
		if _, err := s.Get(got.Key); err != nil {
			return err
		}
	}
	if _, err := s.Get(key(99)); !errors.Is(err, session.ErrNotFound) {
		return fmt.Errorf("get of nothing: %w", err)
	}
	if _, err := s.History(Filter{}); err != nil {
		return err
	}
	if _, err := s.Runs(Filter{}); err != nil {
		return err
	}
	if by, err := s.Holder(key(1)); err != nil || fmt.Sprint(by != nil) != args[1] {
		return fmt.Errorf("holder %v: %w", by, err)
	}
	_, err = (&storetest.Script{Store: s, Key: key(50)}).Claim(session.ClaimUp, 50)
	if !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("a write: %w", err)
	}
	fmt.Println(err)
	_, err = s.Own(context.Background(), key(50), owner(1), false)
	if !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("an owner lock: %w", err)
	}
	return nil
}

// tree lists all files of a state with their size and time.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestReadOnly looks at states on a read-only disk: one that is empty, one with
// sessions, and one whose lock file is missing.
func TestReadOnly(t *testing.T) {
	t.Run("empty", func(t *testing.T) { runIn(t, "readonly", t.TempDir(), "0", "false") })
	for _, missing := range []bool{false, true} {
		t.Run(fmt.Sprintf("missing lock %v", missing), func(t *testing.T) {
			s := newStore(t)
			up(t, s, 1)
			up(t, s, 2)
			lock, err := s.Own(t.Context(), key(1), owner(1), false)
			if err != nil {
				t.Fatal(err)
			}
			if missing {
				if err := os.Remove(s.lockPath()); err != nil {
					t.Fatal(err)
				}
			}
			runIn(t, "readonly", s.dir, "2", "true")
			if err := lock.Release(false); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestLookingWritesNothing looks in every way at a state and at none.
func TestLookingWritesNothing(t *testing.T) {
	s := newStore(t)
	up(t, s, 1)
	for _, dir := range []string{s.dir, t.TempDir(), filepath.Join(t.TempDir(), "not", "there")} {
		look := New(dir)
		before := ""
		if _, err := os.Stat(dir); err == nil {
			before = tree(t, dir)
		}
		_, _ = look.Get(key(1))
		_, errList := look.List()
		_, errHistory := look.History(Filter{})
		_, errRuns := look.Runs(Filter{})
		_, errHolder := look.Holder(key(1))
		if err := errors.Join(errList, errHistory, errRuns, errHolder); err != nil {
			t.Error(err)
		}
		if before == "" {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s was made", dir)
			}
		} else if after := tree(t, dir); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}
}

// childFill makes sessions until there is no room, on a small disk ("tmpfs") or
// with small files ("limit").
func childFill(s *Store, args []string) error {
	if args[0] == "tmpfs" {
		err := private()
		if err == nil {
			err = unix.Mount("tmpfs", s.dir, "tmpfs", 0, "size=400k")
		}
		if err != nil {
			fmt.Println("skip", err)
			return nil
		}
	} else {
		signal.Ignore(syscall.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 400 << 10, Max: 400 << 10}); err != nil {
			return err
		}
	}
	var told []session.Session
	var failed error
	for n := 1; failed == nil; n++ {
		script := &storetest.Script{Store: s, Key: key(n)}
		result, err := script.Claim(session.ClaimUp, n, session.Want{Name: "web", Candidates: []int{20000 + n}})
		if failed = err; err == nil {
			told = append(told, result.Session)
		}
	}
	if !errors.Is(failed, syscall.ENOSPC) && !errors.Is(failed, syscall.EFBIG) {
		return failed
	}
	all, err := s.List()
	if err != nil || len(all) != len(told) {
		return fmt.Errorf("%d sessions were told, %d are there: %w", len(told), len(all), err)
	}
	// A full disk must not keep anybody from ending a session.
	lock, err := s.Own(context.Background(), key(1), owner(1), false)
	if err != nil {
		return err
	}
	if err := lock.Release(false); err != nil {
		return err
	}
	fmt.Println(len(told), strconv.Quote(failed.Error()))
	if why, err := inspect(s.Path(), true); why != "" || err != nil {
		return fmt.Errorf("the file: %s, %w", why, err)
	}
	return nil
}

// TestFullDisk: a transaction for which there is no room fails with an error that
// says so, and all that was told before is there.
func TestFullDisk(t *testing.T) {
	t.Run("small files", func(t *testing.T) {
		s := newStore(t)
		out, err := command(t, "fill", s.dir, "limit").Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Logf("%s", out)
		if told, _, _ := strings.Cut(string(out), " "); fmt.Sprint(len(list(t, s))) != told {
			t.Errorf("%d sessions are there of %s", len(list(t, s)), told)
		}
		up(t, s, 5000) // there is room again
	})
	t.Run("small disk", func(t *testing.T) { t.Log(runIn(t, "fill", t.TempDir(), "tmpfs")) })
}

// TestModes: the state is private.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := New(dir)
	up(t, s, 1)
	lock, err := s.Own(t.Context(), key(1), owner(1), false)
	if err != nil {
		t.Fatal(err)
	}
	step, err := s.StepLock(key(1), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer step.Close()
	s.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	up(t, s, 2)
	for line := range strings.Lines(tree(t, dir)) {
		if mode := strings.Fields(line)[1]; mode != "drwx------" && mode != "-rw-------" {
			t.Error(line)
		}
	}
	if err := lock.Release(true); err != nil {
		t.Error(err)
	}
}
