package git

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// hurried is a context whose patience is over once it has been told what is waited for;
// the reports go to the list.
func hurried(t *testing.T) (context.Context, *[]string) {
	var said []string
	w := &waiter{left: time.Hour}
	w.report = func(text string) {
		said = append(said, text)
		w.spend(time.Hour)
	}
	return context.WithValue(t.Context(), waiterKey{}, w), &said
}

// hold has a file open until the test ends.
func hold(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	holder := exec.Command("sleep", "1000")
	holder.Stdin = file
	must(t, holder.Start())
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	must(t, file.Close())
}

// TestWait: a lock that stays is told of, and waited for once and not by each
// call; the error names it.
func TestWait(t *testing.T) {
	for name, lock := range map[string]string{"packed": "packed-refs.lock", "config": "config.lock", "head": "refs/heads/feat.lock"} {
		t.Run(name, func(t *testing.T) {
			repo := withOrigin(t, "feat")
			base := tool(t, repo.Root, "rev-parse", "HEAD")
			tool(t, repo.Root, "branch", "--track", "feat", "origin/feat")
			write(t, repo.CommonDir, lock, "")
			path := filepath.Join(repo.CommonDir, lock)
			hold(t, path)
			ctx, said := hurried(t)
			began := time.Now()
			for range 3 {
				_, err := repo.DeleteBranch(ctx, "feat", base)
				var busy *BusyError
				if !errors.As(err, &busy) || busy.Path != path || busy.Holder == "" {
					t.Fatalf("%v", err)
				}
			}
			if took := time.Since(began); took > 2*patience {
				t.Errorf("waited %v", took)
			}
			if len(*said) != 1 {
				t.Errorf("told: %q", *said)
			}
			must(t, os.Remove(path))
			if gone, err := repo.DeleteBranch(t.Context(), "feat", base); !gone || err != nil {
				t.Errorf("%v, %v", gone, err)
			}
		})
	}
}

// deadEntry is what a git leaves that is killed when it has begun the last file of
// an entry.
func deadEntry(t *testing.T, repo Repo, reason string) string {
	dir := filepath.Join(repo.CommonDir, "worktrees", "dead")
	place := filepath.Join(repo.Root, ".ecluse/worktrees/dead")
	for name, text := range map[string]string{
		"locked": reason + place, "gitdir": place + "/.git\n", "HEAD": "ref: refs/heads/main\n", "commondir": "",
	} {
		write(t, dir, name, text)
	}
	old := time.Now().Add(-time.Minute)
	must(t, os.Chtimes(filepath.Join(dir, "commondir"), old, old))
	return dir
}

// TestDeadEntry: the half-written entry of another worktree keeps git from all of
// them. It goes if it is ours and nobody can finish it; else the error names it.
func TestDeadEntry(t *testing.T) {
	repo := newRepo(t)
	dir := deadEntry(t, repo, madeReason)
	if out, err := tryTool(repo.Root, "worktree", "list"); err == nil {
		t.Skipf("this git does not mind: %s", out)
	}
	add(t, repo, "feat")
	if isDir(dir) {
		t.Error("still there")
	}
	for name, prepare := range map[string]func(dir string){
		"in use": func(dir string) { hold(t, filepath.Join(dir, "commondir")) },
		"young": func(dir string) {
			soon := time.Now().Add(time.Minute)
			must(t, os.Chtimes(filepath.Join(dir, "commondir"), soon, soon))
		},
		"not ours": func(dir string) { write(t, dir, "locked", "initializing") },
	} {
		t.Run(name, func(t *testing.T) {
			repo := newRepo(t)
			dir := deadEntry(t, repo, madeReason)
			prepare(dir)
			ctx, _ := hurried(t)
			_, err := repo.Worktrees(ctx)
			var busy *BusyError
			if !errors.As(err, &busy) || busy.Path != dir || (busy.Holder != "") != (name == "in use") {
				t.Fatalf("%v", err)
			}
			if !isDir(dir) {
				t.Error("removed")
			}
		})
	}
}
