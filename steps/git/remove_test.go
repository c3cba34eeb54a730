package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRemove(t *testing.T) {
	ctx := t.Context()
	remnant := RemoveOptions{Remnant: true}
	for _, tt := range []struct {
		name    string
		harm    func(repo Repo, path string)
		options RemoveOptions
	}{
		{"whole", func(Repo, string) {}, RemoveOptions{}},
		{"dirty", func(_ Repo, p string) { write(t, p, "deep/er/new", "x"); write(t, p, "file", "y") }, RemoveOptions{}},
		{"directory-gone", func(_ Repo, p string) { must(t, os.RemoveAll(p)) }, RemoveOptions{}},
		{"link-gone", func(_ Repo, p string) { must(t, os.Remove(filepath.Join(p, ".git"))) }, RemoveOptions{}},
		{"entry-gone", func(_ Repo, p string) { must(t, os.RemoveAll(linkOf(p))) }, RemoveOptions{}},
		{"entry-broken", func(_ Repo, p string) { must(t, os.Remove(filepath.Join(linkOf(p), "HEAD"))) }, RemoveOptions{}},
		{"initializing", func(_ Repo, p string) { write(t, linkOf(p), "locked", "initializing") }, RemoveOptions{}},
		{"index-lock", func(_ Repo, p string) { write(t, linkOf(p), "index.lock", "") }, RemoveOptions{}},
		{"lock-and-no-path", func(_ Repo, p string) {
			write(t, linkOf(p), "locked", madeReason+p)
			must(t, os.Remove(filepath.Join(linkOf(p), "gitdir")))
		}, RemoveOptions{}},
		{"empty-entry", func(r Repo, p string) {
			tool(t, r.Root, "worktree", "remove", p)
			must(t, os.MkdirAll(filepath.Join(r.CommonDir, "worktrees", filepath.Base(p)), 0o755))
		}, RemoveOptions{}},
		{"lock-begun", func(r Repo, p string) {
			tool(t, r.Root, "worktree", "remove", p)
			write(t, filepath.Join(r.CommonDir, "worktrees", filepath.Base(p)), "locked", "")
		}, RemoveOptions{}},
		{"entry-half-removed", func(_ Repo, p string) {
			must(t, os.Remove(filepath.Join(linkOf(p), "gitdir")))
			must(t, os.RemoveAll(p))
		}, RemoveOptions{}},
		{"empty-directory", func(r Repo, p string) {
			tool(t, r.Root, "worktree", "remove", p)
			must(t, os.MkdirAll(p, 0o755))
		}, RemoveOptions{}},
		{"remnant", func(r Repo, p string) { tool(t, r.Root, "worktree", "remove", p); write(t, p, "file", "x") }, remnant},
		{"read-only", func(_ Repo, p string) {
			write(t, p, "cache/mod/file", "x")
			must(t, os.Chmod(filepath.Join(p, "cache/mod"), 0o500))
		}, RemoveOptions{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repo := newRepo(t)
			path := add(t, repo, "feat")
			tt.harm(repo, path)
			removed, err := repo.Remove(ctx, path, tt.options)
			if err != nil || !removed {
				t.Fatalf("%v, %v", removed, err)
			}
			if left := traces(t, repo); len(left) != 1 || left[0] != "refs/heads/feat" {
				t.Fatalf("left: %q", left)
			}
			if removed, err := repo.Remove(ctx, path, RemoveOptions{}); err != nil || removed {
				t.Errorf("again: %v, %v", removed, err)
			}
			res, err := repo.Resolve(ctx, "feat", "")
			must(t, err)
			must(t, repo.Add(ctx, path, res))
			must(t, repo.Whole(ctx, path, "feat"))
		})
	}
}

// TestRemoveRefuses: what is not ours, or is locked, is left as it is.
func TestRemoveRefuses(t *testing.T) {
	repo, other := newRepo(t), newRepo(t)
	ctx := t.Context()
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	write(t, at("plain"), "mine", "x")
	tool(t, base, "clone", "-q", other.Root, at("clone"))
	tool(t, other.Root, "worktree", "add", "-q", at("others"))
	moved := add(t, repo, "moved")
	must(t, os.Rename(moved, at("moved")))
	must(t, os.Symlink(other.Root, at("link")))
	write(t, base, "file", "x")
	for _, path := range []string{at("plain"), at("clone"), at("others"), at("moved"), at("link"), at("file"), repo.Root, filepath.Dir(repo.Root), repo.CommonDir} {
		removed, err := repo.Remove(ctx, path, RemoveOptions{})
		if removed || !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v, %v", path, removed, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{at("clone"), at("others"), repo.Root, repo.CommonDir} {
		if _, err := repo.Remove(ctx, path, RemoveOptions{Remnant: true}); !errors.Is(err, ErrForeign) {
			t.Errorf("%s as a remnant: %v", path, err)
		}
	}
	must(t, other.Whole(ctx, at("others"), "others"))
}

func TestRemoveLocked(t *testing.T) {
	repo := newRepo(t)
	path := add(t, repo, "feat")
	tool(t, repo.Root, "worktree", "lock", "--reason", "on a stick", path)
	for _, gone := range []bool{false, true} {
		if gone {
			must(t, os.RemoveAll(path))
		}
		_, err := repo.Remove(t.Context(), path, RemoveOptions{Remnant: true})
		var locked *LockedError
		if !errors.As(err, &locked) || locked.Reason != "on a stick" {
			t.Fatalf("%v", err)
		}
		// The command in the message works when pasted.
		_, command, _ := strings.Cut(err.Error(), "unlock it with: ")
		if gone {
			sh(t, command)
		}
	}
	_, err := repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
}

// TestRemoveFollowsNoLink: links in the worktree lead to things that stay.
func TestRemoveFollowsNoLink(t *testing.T) {
	repo := newRepo(t)
	outside := t.TempDir()
	write(t, outside, "dir/precious", "x")
	path := add(t, repo, "feat")
	must(t, os.Symlink(filepath.Join(outside, "dir"), filepath.Join(path, "link")))
	must(t, os.Symlink(repo.Root, filepath.Join(path, "root")))
	must(t, os.Remove(filepath.Join(path, ".git"))) // our own means
	_, err := repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
	for _, file := range []string{filepath.Join(outside, "dir/precious"), filepath.Join(repo.Root, "file")} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

func TestRemoveSubmodule(t *testing.T) {
	repo, lib := newRepo(t), newRepo(t)
	tool(t, repo.Root, "submodule", "add", "-q", lib.Root, "lib")
	tool(t, repo.Root, "commit", "-qm", "lib")
	path := add(t, repo, "feat")
	tool(t, path, "submodule", "update", "-q", "--init")
	_, err := repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
	if left := traces(t, repo); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// TestAddHook: a post-checkout hook is a part of the making. When it fails, or is
// cut off, the worktree is half made, and goes.
func TestAddHook(t *testing.T) {
	repo := newRepo(t)
	ctx := t.Context()
	hook := filepath.Join(repo.CommonDir, "hooks", "post-checkout")
	path := filepath.Join(repo.Root, ".ecluse", "worktrees", "feat")
	res, err := repo.Resolve(ctx, "feat", "")
	must(t, err)
	for _, script := range []string{"#!/bin/sh\necho broken >&2\nexit 3\n", "#!/bin/sh\ntouch here\nkill -9 $PPID\n", "#!/bin/sh\ntouch here\nkill -9 $$\n"} {
		write(t, filepath.Dir(hook), "post-checkout", script)
		must(t, os.Chmod(hook, 0o755))
		if err := repo.Add(ctx, path, res); err == nil {
			t.Fatal("added")
		}
		if err := repo.Whole(ctx, path, "feat"); !errors.Is(err, ErrHalfMade) {
			t.Errorf("%v", err)
		}
		_, err = repo.Remove(ctx, path, RemoveOptions{})
		must(t, err)
		gone, err := repo.DeleteBranch(ctx, "feat", res.Base)
		if err != nil || !gone {
			t.Fatalf("%v, %v", gone, err)
		}
		noTraces(t, repo)
	}
	write(t, filepath.Dir(hook), "post-checkout", "#!/bin/sh\ntouch ran\n")
	must(t, repo.Add(ctx, path, res))
	if _, err := os.Stat(filepath.Join(path, "ran")); err != nil {
		t.Error("the hook did not run")
	}
}

func TestAddRefuses(t *testing.T) {
	repo := newRepo(t)
	ctx := t.Context()
	base := tool(t, repo.Root, "rev-parse", "HEAD")
	tool(t, repo.Root, "branch", "a")
	tool(t, repo.Root, "commit", "-q", "--allow-empty", "-m", "second")
	tool(t, repo.Root, "branch", "made")
	full := filepath.Join(repo.Root, "full")
	write(t, full, "mine", "x")
	for _, tt := range []struct {
		path string
		res  Resolution
	}{
		{full, Resolution{KindLocal, "a", "a", base}},
		{filepath.Join(repo.Root, "new"), Resolution{KindNew, "a/b", "HEAD", base}},
		{filepath.Join(repo.Root, "new"), Resolution{KindNew, "made", "HEAD", base}},
		{filepath.Join(repo.Root, "new"), Resolution{KindNew, "--force", "HEAD", base}},
		{filepath.Join(repo.Root, "new"), Resolution{KindLocal, "main", "main", base}},
	} {
		if err := repo.Add(ctx, tt.path, tt.res); err == nil {
			t.Errorf("%+v was added", tt)
		}
	}
	if data, err := os.ReadFile(filepath.Join(full, "mine")); err != nil || string(data) != "x" {
		t.Error("what was in the way is gone")
	}
}

// TestRemoveLeavesOthers: entries that look like ours and are not stay.
func TestRemoveLeavesOthers(t *testing.T) {
	repo := newRepo(t)
	path := add(t, repo, "feat")
	entries := filepath.Join(repo.CommonDir, "worktrees")
	write(t, entries, "feat1/locked", "initializing") // somebody's, being made
	write(t, entries, "feat2/locked", madeReason+path+"2")
	must(t, os.MkdirAll(filepath.Join(entries, "feature"), 0o755))
	other := filepath.Join(t.TempDir(), "feat")
	tool(t, repo.Root, "worktree", "add", "-q", "-b", "other", other)
	_, err := repo.Remove(t.Context(), path, RemoveOptions{Remnant: true})
	must(t, err)
	for _, stays := range []string{"feat1/locked", "feat2/locked", "feature"} {
		if _, err := os.Stat(filepath.Join(entries, stays)); err != nil {
			t.Error(err)
		}
	}
	must(t, repo.Whole(t.Context(), other, "other"))
}

// TestStaleLock: the lock that a killed git left on our branch is broken once it is
// old and nobody has it open; until then it is waited for.
func TestStaleLock(t *testing.T) {
	repo := newRepo(t)
	ctx := t.Context()
	base := tool(t, repo.Root, "rev-parse", "HEAD")
	res := Resolution{KindNew, "feat", "HEAD", base}
	path := filepath.Join(repo.Root, ".ecluse", "worktrees", "feat")
	lock := filepath.Join(repo.CommonDir, "refs/heads/feat.lock")
	leave := func(age time.Duration) {
		write(t, filepath.Dir(lock), filepath.Base(lock), "")
		at := time.Now().Add(-age)
		must(t, os.Chtimes(lock, at, at))
	}
	leave(time.Minute)
	must(t, repo.Add(ctx, path, res))
	_, err := repo.Remove(ctx, path, RemoveOptions{})
	must(t, err)
	began := time.Now()
	leave(stale - time.Second)
	if gone, err := repo.DeleteBranch(ctx, "feat", base); err != nil || !gone {
		t.Fatalf("%v, %v", gone, err)
	}
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("broke a young lock after %v", waited)
	}
	leave(time.Minute)
	if gone, err := repo.DeleteBranch(ctx, "feat", base); err != nil || !gone {
		t.Fatalf("%v, %v", gone, err)
	}
	noTraces(t, repo)
	tool(t, repo.Root, "branch", "feat")
	leave(time.Minute)
	holder := exec.Command("sleep", "1000")
	file, err := os.Open(lock)
	must(t, err)
	holder.Stdin = file
	must(t, holder.Start())
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
	must(t, file.Close())
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if gone, err := repo.DeleteBranch(short, "feat", base); err == nil || gone {
		t.Errorf("%v, %v", gone, err)
	}
	if _, err := os.Stat(lock); err != nil {
		t.Error("broke a lock that is in use")
	}
}

// TestAddAtOnce: 16 worktrees at once, of branches of a remote and of new ones
// that begin at one: none fails, nothing is left after their removal.
func TestAddAtOnce(t *testing.T) {
	const n = 16
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("feat/x%d", i))
	}
	repo := withOrigin(t, names...)
	for _, fromRemote := range []bool{true, false} {
		each(t, n, func(i int) error {
			branch, from := names[i], ""
			if !fromRemote {
				branch, from = fmt.Sprintf("own/x%d", i), "origin/main"
			}
			return life(t.Context(), repo, branch, from)
		})
		noTraces(t, repo)
	}
}

// life is what a session does with its worktree.
func life(ctx context.Context, repo Repo, branch, from string) error {
	path := filepath.Join(repo.Root, ".ecluse", "worktrees", strings.ReplaceAll(branch, "/", "-"))
	res, err := repo.Resolve(ctx, branch, from)
	if err != nil {
		return err
	}
	if err := errors.Join(repo.Exclude(ctx, "/.ecluse/"), repo.Add(ctx, path, res)); err != nil {
		return err
	}
	if res.Kind == KindRemote {
		if err := repo.Track(ctx, branch); err != nil {
			return err
		}
	}
	if err := repo.Whole(ctx, path, branch); err != nil {
		return err
	}
	if dirty, err := repo.Dirty(ctx, path); err != nil || dirty {
		return fmt.Errorf("dirty %v: %w", dirty, err)
	}
	if _, err := repo.Remove(ctx, path, RemoveOptions{}); err != nil {
		return err
	}
	gone, err := repo.DeleteBranch(ctx, branch, res.Base)
	if err == nil && !gone {
		err = fmt.Errorf("branch %s stays", branch)
	}
	return err
}

// each calls do n times at once.
func each(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	errs := make(chan error)
	for i := range n {
		go func() { errs <- do(i) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
