package git

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var when = time.Date(2025, 11, 24, 5, 36, 0, 0, time.UTC)

// sh runs a command line as a user pastes it.
func sh(t testing.TB, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// files are all files below a directory, as "mode content" or "-> target", without
// .git and what is ignored.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	have := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || d.IsDir() || rel == ".git" || strings.HasSuffix(rel, ".ignored") {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			have[rel] = "-> " + target
			return err
		}
		data, err := os.ReadFile(path)
		info, err2 := d.Info()
		have[rel] = info.Mode().String() + " " + string(data)
		return errors.Join(err, err2)
	}))
	return have
}

// seed is a repository with a worktree that has files to change.
func seed(t testing.TB) (Repo, string) {
	t.Helper()
	repo := newRepo(t)
	for _, name := range []string{"edit", "delete", "rename", "mode", "link", "dir/deep", "assumed", "skipped", "staged", strange + "/x"} {
		write(t, repo.Root, name, name+"\n")
	}
	tool(t, repo.Root, "add", "-A")
	tool(t, repo.Root, "commit", "-qm", "files")
	return repo, add(t, repo, "feat")
}

// mess makes every kind of change.
func mess(t testing.TB, path string) {
	t.Helper()
	write(t, path, "edit", "changed\n")
	must(t, os.Remove(filepath.Join(path, "delete")))
	must(t, os.Rename(filepath.Join(path, "rename"), filepath.Join(path, "renamed")))
	must(t, os.Chmod(filepath.Join(path, "mode"), 0o755))
	must(t, os.Remove(filepath.Join(path, "link")))
	must(t, os.Symlink("nowhere", filepath.Join(path, "link")))
	must(t, os.RemoveAll(filepath.Join(path, "dir")))
	write(t, path, "dir", "a file now\n")
	tool(t, path, "update-index", "--assume-unchanged", "assumed")
	tool(t, path, "update-index", "--skip-worktree", "skipped")
	write(t, path, "assumed", "hidden\n")
	write(t, path, "skipped", "hidden\n")
	write(t, path, "staged", "index\n")
	tool(t, path, "add", "staged")
	write(t, path, "staged", "worktree\n")
	write(t, path, "new/"+strange, "untracked\n")
	write(t, path, "--option", "untracked\n")
	write(t, path, "intended", "added\n")
	tool(t, path, "add", "-N", "intended")
	write(t, path, "forced.ignored", "x")
	write(t, path, "binary", "\x00\xff\r\n\x01")
	must(t, os.Symlink("/etc/hostname", filepath.Join(path, "out")))
}

// restored saves the work in path, removes it, and returns what the command in
// the trash brings back.
func restored(t testing.TB, repo Repo, path string) map[string]string {
	t.Helper()
	trash, err := repo.SaveTrash(t.Context(), path, "feat", when)
	must(t, err)
	_, err = repo.Remove(t.Context(), path, RemoveOptions{})
	must(t, err)
	if !strings.HasPrefix(trash.Ref, "refs/ecluse/trash/feat/20251124T053600Z-") {
		t.Errorf("ref %s", trash.Ref)
	}
	before := tool(t, repo.Root, "status", "--porcelain")
	sh(t, trash.Command)
	if after := tool(t, repo.Root, "status", "--porcelain"); after != before {
		t.Errorf("the main worktree changed: %s", after)
	}
	all, err := repo.Worktrees(t.Context())
	must(t, err)
	return files(t, all[len(all)-1].Path)
}

func TestSaveTrash(t *testing.T) {
	repo, path := seed(t)
	if dirty, err := repo.Dirty(t.Context(), path); err != nil || dirty {
		t.Fatalf("clean: %v, %v", dirty, err)
	}
	mess(t, path)
	want := files(t, path)
	if _, err := repo.SaveTrash(t.Context(), path, "feat", when); err != nil {
		t.Fatal(err)
	}
	status := tool(t, path, "status", "--porcelain=v2", "--ignored")
	index := tool(t, path, "ls-files", "-s", "-v", "-t")
	if dirty, err := repo.Dirty(t.Context(), path); err != nil || !dirty {
		t.Fatalf("%v, %v", dirty, err)
	}
	if _, err := repo.SaveTrash(t.Context(), path, "feat", when.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(status, tool(t, path, "status", "--porcelain=v2", "--ignored")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(index, tool(t, path, "ls-files", "-s", "-v", "-t")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, restored(t, repo, path)); diff != "" {
		t.Error(diff)
	}
	if refs := strings.Fields(tool(t, repo.Root, "for-each-ref", "--format=%(refname)", TrashRefs)); len(refs) != 1 {
		t.Errorf("unchanged work was saved more than once: %q", refs)
	}
}

// TestDirty: each kind of work by itself.
func TestDirty(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string)
		want bool
	}{
		{"nothing", func(string) {}, false},
		{"ignored", func(p string) { write(t, p, "x.ignored", "x") }, false},
		{"touched", func(p string) { must(t, os.Chtimes(filepath.Join(p, "edit"), when, when)) }, false},
		{"empty-directory", func(p string) { must(t, os.Mkdir(filepath.Join(p, "empty"), 0o755)) }, false},
		{"edit", func(p string) { write(t, p, "edit", "x") }, true},
		{"same-size", func(p string) { write(t, p, "edit", "EDIT\n") }, true},
		{"delete", func(p string) { must(t, os.Remove(filepath.Join(p, "edit"))) }, true},
		{"mode", func(p string) { must(t, os.Chmod(filepath.Join(p, "edit"), 0o755)) }, true},
		{"untracked", func(p string) { write(t, p, "new/file", "x") }, true},
		{"staged", func(p string) { write(t, p, "edit", "x"); tool(t, p, "add", "edit") }, true},
		{"staged-only", func(p string) {
			write(t, p, "edit", "x")
			tool(t, p, "add", "edit")
			write(t, p, "edit", "edit\n")
		}, true},
		{"assumed", func(p string) {
			tool(t, p, "update-index", "--assume-unchanged", "edit")
			write(t, p, "edit", "x")
		}, true},
		{"commit", func(p string) { tool(t, p, "commit", "-q", "--allow-empty", "-m", "x") }, false},
		{"commit-on-no-branch", func(p string) {
			tool(t, p, "switch", "-q", "--detach")
			tool(t, p, "commit", "-q", "--allow-empty", "-m", "x")
		}, true},
		{"detached", func(p string) { tool(t, p, "switch", "-q", "--detach") }, false},
		{"hidden-by-config", func(p string) {
			tool(t, p, "config", "status.showUntrackedFiles", "no")
			write(t, p, "new", "x")
		}, true},
		{"sparse", func(p string) { tool(t, p, "sparse-checkout", "set", "--no-cone", "/file") }, false},
		{"sparse-and-edit", func(p string) {
			tool(t, p, "sparse-checkout", "set", "--no-cone", "/file")
			write(t, p, "edit", "x")
		}, true},
		{"link-gone", func(p string) { must(t, os.Remove(filepath.Join(p, ".git"))) }, false},
		{"link-gone-and-edit", func(p string) { must(t, os.Remove(filepath.Join(p, ".git"))); write(t, p, "edit", "x") }, true},
		{"entry-gone", func(p string) { must(t, os.RemoveAll(linkOf(p))) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repo, path := seed(t)
			tt.make(path)
			if have, err := repo.Dirty(t.Context(), path); err != nil || have != tt.want {
				t.Fatalf("%v, %v; want %v", have, err, tt.want)
			}
			if !tt.want {
				return
			}
			want := files(t, path)
			if strings.HasPrefix(tt.name, "sparse") {
				for _, name := range []string{"assumed", "delete", "dir/deep", "link", "mode", "rename", "skipped", "staged", strange + "/x", ".gitignore"} {
					want[name] = files(t, repo.Root)[name]
				}
			}
			if diff := cmp.Diff(want, restored(t, repo, path)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSaveTrashConflict: in the middle of a merge and of a rebase, the files are
// saved as they are, with the marks of the conflict.
func TestSaveTrashConflict(t *testing.T) {
	for _, verb := range []string{"merge", "rebase"} {
		t.Run(verb, func(t *testing.T) {
			repo, path := seed(t)
			write(t, path, "edit", "ours\n")
			tool(t, path, "commit", "-qam", "ours")
			write(t, repo.Root, "edit", "theirs\n")
			must(t, os.Remove(filepath.Join(repo.Root, "delete")))
			tool(t, repo.Root, "commit", "-qam", "theirs")
			if _, err := tryTool(path, verb, "main"); err == nil {
				t.Fatal("no conflict")
			}
			if dirty, err := repo.Dirty(t.Context(), path); err != nil || !dirty {
				t.Fatalf("%v, %v", dirty, err)
			}
			want := files(t, path)
			if diff := cmp.Diff(want, restored(t, repo, path)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNested(t *testing.T) {
	repo, lib := newRepo(t), newRepo(t)
	ctx := t.Context()
	tool(t, repo.Root, "submodule", "add", "-q", lib.Root, "lib")
	tool(t, repo.Root, "commit", "-qm", "lib")
	path := add(t, repo, "feat")
	dirty := func(want bool, wantErr error) {
		t.Helper()
		have, err := repo.Dirty(ctx, path)
		if have != want || !errors.Is(err, wantErr) || wantErr == nil && err != nil {
			t.Errorf("%v, %v; want %v, %v", have, err, want, wantErr)
		}
		if _, err := repo.SaveTrash(ctx, path, "feat", when); !errors.Is(err, wantErr) || wantErr == nil && err != nil {
			t.Errorf("save: %v; want %v", err, wantErr)
		}
	}
	dirty(false, nil) // not filled
	tool(t, path, "submodule", "update", "-q", "--init")
	dirty(false, nil)
	write(t, path, "lib/new", "x")
	dirty(false, ErrNested)
	tool(t, filepath.Join(path, "lib"), "add", "new")
	tool(t, filepath.Join(path, "lib"), "commit", "-qm", "not pushed")
	dirty(false, ErrNested)
	tool(t, filepath.Join(path, "lib"), "push", "-q", "origin", "HEAD:refs/heads/pushed")
	dirty(true, nil) // the link to another commit

	tool(t, path, "clone", "-q", lib.Root, "x.ignored")
	dirty(true, nil)
	tool(t, path, "clone", "-q", lib.Root, "own")
	dirty(false, ErrNested)
	must(t, os.RemoveAll(filepath.Join(path, "own")))
	tool(t, path, "init", "-q", "own") // without a commit
	dirty(false, ErrNested)
	must(t, os.RemoveAll(filepath.Join(path, "own")))
	dirty(true, nil)
	tool(t, path, "worktree", "add", "-q", "y.ignored")
	dirty(false, ErrNested)
	tool(t, path, "worktree", "remove", "y.ignored")
	dirty(true, nil)
}

// TestSaveTrashAlone: no hook runs, nothing is signed, no name is needed.
func TestSaveTrashAlone(t *testing.T) {
	repo, path := seed(t)
	for _, name := range []string{"pre-commit", "post-commit", "reference-transaction", "post-index-change", "commit-msg"} {
		write(t, repo.CommonDir, "hooks/"+name, "#!/bin/sh\ntouch "+"\"$(git rev-parse --git-common-dir)/ran\"\nexit 1\n")
		must(t, os.Chmod(filepath.Join(repo.CommonDir, "hooks", name), 0o755))
	}
	for _, setting := range [][2]string{{"commit.gpgSign", "true"}, {"gpg.program", "false"}, {"core.splitIndex", "true"}, {"core.untrackedCache", "true"}, {"core.autocrlf", "input"}} {
		tool(t, repo.Root, "config", setting[0], setting[1])
	}
	tool(t, path, "update-index", "--split-index", "--untracked-cache")
	must(t, os.RemoveAll(filepath.Join(repo.CommonDir, "ran"))) // by that, not by us
	write(t, path, "new", "x\r\n")
	before, err := os.ReadDir(linkOf(path))
	must(t, err)
	trash, err := repo.SaveTrash(t.Context(), path, "feat", when)
	must(t, err)
	if after, err := os.ReadDir(linkOf(path)); err != nil || len(after) != len(before) {
		t.Errorf("%v became %v, %v", before, after, err)
	}
	if _, err := os.Stat(filepath.Join(repo.CommonDir, "ran")); err == nil {
		t.Error("a hook ran")
	}
	if have := tool(t, repo.Root, "log", "-1", "--format=%an %ae %at %cn %P", trash.Ref); have != "ecluse ecluse@localhost 1763962560 ecluse "+tool(t, path, "rev-parse", "HEAD") {
		t.Errorf("%s", have)
	}
}

// TestSaveTrashRacy: a change in the same second as the index, of the same size, is
// seen although the index is copied later.
func TestSaveTrashRacy(t *testing.T) {
	repo, path := seed(t)
	index := filepath.Join(linkOf(path), "index")
	second := time.Now().Add(-time.Hour).Truncate(time.Second)
	file := filepath.Join(path, "edit")
	must(t, os.Chtimes(file, second, second))
	tool(t, path, "update-index", "--refresh")
	write(t, path, "edit", "EDIT\n")
	must(t, errors.Join(os.Chtimes(file, second, second), os.Chtimes(index, second, second)))
	// git compares the inode's own time too, unless it is told not to.
	tool(t, path, "config", "core.trustctime", "false")
	tool(t, path, "config", "core.checkStat", "minimal")
	if dirty, err := repo.Dirty(t.Context(), path); err != nil || !dirty {
		t.Errorf("%v, %v", dirty, err)
	}
}
