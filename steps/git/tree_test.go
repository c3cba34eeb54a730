package git

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fix makes a file undeletable, for root too, or skips the test.
func fix(t *testing.T, path string) {
	t.Helper()
	if out, err := exec.Command("chattr", "+i", path).CombinedOutput(); err != nil {
		t.Skipf("chattr +i: %v: %s", err, out)
	}
	t.Cleanup(func() { loosen(path) })
}

func loosen(path string) { _ = exec.Command("chattr", "-i", path).Run() }

// TestRemoveStuck: one file that cannot be removed. The error names it, the cause
// and what helps; the worktree stays the repository's, and the next removal, with
// the obstacle gone, finishes.
func TestRemoveStuck(t *testing.T) {
	repo := newRepo(t)
	path := add(t, repo, "feat")
	write(t, path, "a/deep/file", "x")
	write(t, path, "z", "x")
	stuck := filepath.Join(path, "a/deep/file")
	fix(t, stuck)
	for range 2 {
		_, err := repo.Remove(t.Context(), path, RemoveOptions{})
		var at *UndeletableError
		if !errors.As(err, &at) || at.Path != stuck || !errors.Is(err, os.ErrPermission) || !at.Lasting() {
			t.Fatalf("%v", err)
		}
		if have, _, err := repo.entryOf(path); err != nil || have.dir == "" || linkOf(path) != have.dir {
			t.Fatalf("the link to the repository is gone: %+v, %v", have, err)
		}
		if !strings.Contains(at.Advice, "chattr") {
			t.Errorf("advice: %s", at.Advice)
		}
	}
	loosen(stuck)
	_, err := repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
	if left := traces(t, repo); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// TestRemoveMount: what is mounted in a worktree is not removed, and neither is
// anything else until it is unmounted.
func TestRemoveMount(t *testing.T) {
	repo := newRepo(t)
	path := add(t, repo, "feat")
	outside := t.TempDir()
	write(t, outside, "precious", "x")
	at := filepath.Join(path, "node modules")
	must(t, os.Mkdir(at, 0o755))
	if err := unix.Mount(outside, at, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	begun := false
	_, err := repo.Remove(t.Context(), path, RemoveOptions{Begin: func() error { begun = true; return nil }})
	var mount *MountError
	if !errors.As(err, &mount) || mount.Path != at || begun {
		t.Fatalf("%v", err)
	}
	must(t, repo.Whole(t.Context(), path, "feat"))
	// Nor is it entered when it comes after the look.
	if err := removeTree(t.Context(), path, ".git"); !errors.As(err, &mount) || mount.Path != at {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "precious")); err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(mount.Error(), "unmount it with: ")
	sh(t, command)
	_, err = repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
}

// TestRemoveRefusedByBegin: nothing is removed if what comes before fails.
func TestRemoveRefusedByBegin(t *testing.T) {
	repo := newRepo(t)
	path := add(t, repo, "feat")
	cause := errors.New("no")
	if _, err := repo.Remove(t.Context(), path, RemoveOptions{Begin: func() error { return cause }}); !errors.Is(err, cause) {
		t.Fatal(err)
	}
	must(t, repo.Whole(t.Context(), path, "feat"))
}

// TestRemoveEntryCutOff: an entry whose removal was cut off is swept by the next
// removal of any worktree.
func TestRemoveEntryCutOff(t *testing.T) {
	repo := newRepo(t)
	path := add(t, repo, "feat")
	left := filepath.Join(repo.CommonDir, droppedEntry+"x")
	write(t, left, "HEAD", "x")
	_, err := repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
	if isDir(left) {
		t.Error("still there")
	}
}
