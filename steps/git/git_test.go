package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain makes git independent of whoever runs the tests.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "ecluse-git-home-")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{"HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": filepath.Join(home, "gitconfig")} {
		os.Setenv(name, value)
	}
	config := "[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n[user]\n\tuseConfigOnly = true\n"
	if err := os.WriteFile(filepath.Join(home, "gitconfig"), []byte(config), 0o600); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(home)
	os.Exit(code)
}

// strange is a name that gets everything wrong that splits or quotes.
const strange = "a b'c\"d\n$e-ü*"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tool runs git for the test itself.
func tool(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := tryTool(dir, args...)
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSuffix(out, "\n")
}

func tryTool(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-c", "user.name=Test", "-c", "user.email=test@localhost"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// newRepo makes a repository with one commit in a directory of a strange name.
func newRepo(t testing.TB) Repo {
	t.Helper()
	repo, err := Open(t.Context(), newRepoDir(t))
	must(t, err)
	return repo
}

// newRepoDir is newRepo before it is opened.
func newRepoDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strange)
	must(t, os.MkdirAll(dir, 0o755))
	tool(t, dir, "init", "-q")
	write(t, dir, "file", "one\n")
	write(t, dir, ".gitignore", "*.ignored\n")
	tool(t, dir, "add", "-A")
	tool(t, dir, "commit", "-qm", "begin")
	return dir
}

// withOrigin makes a clone of a bare remote that has the branches.
func withOrigin(t testing.TB, branches ...string) Repo {
	t.Helper()
	source := newRepo(t)
	for _, branch := range branches {
		tool(t, source.Root, "branch", branch)
	}
	dir := t.TempDir()
	tool(t, dir, "clone", "-q", "--bare", source.Root, "origin.git")
	tool(t, dir, "clone", "-q", "origin.git", "clone")
	repo, err := Open(t.Context(), filepath.Join(dir, "clone"))
	must(t, err)
	return repo
}

// add adds a worktree of a branch and returns its path.
func add(t testing.TB, repo Repo, branch string) string {
	t.Helper()
	path := filepath.Join(repo.Root, ".ecluse", "worktrees", branch)
	res, err := repo.Resolve(t.Context(), branch, "")
	must(t, err)
	must(t, repo.Exclude(t.Context(), "/.ecluse/"))
	must(t, repo.Add(t.Context(), path, res))
	must(t, repo.Whole(t.Context(), path, branch))
	return path
}

// traces are what a repository keeps besides its main worktree: worktrees,
// branches, locks, sections of the configuration.
func traces(t testing.TB, repo Repo) []string {
	t.Helper()
	var list []string
	all, err := repo.Worktrees(context.Background())
	must(t, err)
	for _, w := range all[1:] {
		list = append(list, "worktree "+w.Path)
	}
	out := tool(t, repo.Root, "for-each-ref", "--format=%(refname)", "refs/heads")
	for branch := range strings.FieldsSeq(out) {
		if branch != "refs/heads/main" {
			list = append(list, branch)
		}
	}
	must(t, filepath.WalkDir(repo.CommonDir, func(path string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(repo.CommonDir, path)
		if strings.HasSuffix(path, ".lock") || strings.HasPrefix(rel, "worktrees") {
			list = append(list, rel)
		}
		return err
	}))
	config, _ := tryTool(repo.Root, "config", "--local", "--name-only", "--get-regexp", `^branch\.`)
	for key := range strings.FieldsSeq(config) {
		if !strings.HasPrefix(key, "branch.main.") {
			list = append(list, key)
		}
	}
	dir := filepath.Join(repo.Root, ".ecluse", "worktrees")
	if entries, err := os.ReadDir(dir); err == nil {
		for _, e := range entries {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list
}

func noTraces(t testing.TB, repo Repo) {
	t.Helper()
	if left := traces(t, repo); len(left) > 0 {
		t.Fatalf("left: %q", left)
	}
}

func TestOpen(t *testing.T) {
	repo := newRepo(t)
	wt := add(t, repo, "feat")
	must(t, os.Mkdir(filepath.Join(repo.Root, "sub"), 0o755))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(repo.Root, link))
	for _, dir := range []string{repo.Root, wt, filepath.Join(repo.Root, "sub"), link, filepath.Join(repo.Root, ".git")} {
		have, err := Open(t.Context(), dir)
		if err != nil || have != repo {
			t.Errorf("%q: %+v, %v", dir, have, err)
		}
	}
	if want := filepath.Join(repo.Root, ".git"); repo.CommonDir != want {
		t.Errorf("%q, want %q", repo.CommonDir, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	empty, bare, unborn := t.TempDir(), t.TempDir(), t.TempDir()
	tool(t, bare, "init", "-q", "--bare")
	tool(t, unborn, "init", "-q")
	bareWithWorktree := filepath.Join(t.TempDir(), "bare")
	tool(t, empty, "clone", "-q", "--bare", newRepo(t).Root, bareWithWorktree)
	linked := filepath.Join(t.TempDir(), "linked")
	tool(t, bareWithWorktree, "worktree", "add", "-q", linked)
	for dir, want := range map[string]error{
		empty: ErrNotRepository, bare: ErrBare, unborn: ErrUnborn, bareWithWorktree: ErrBare, linked: ErrBare,
		filepath.Join(empty, "gone"): os.ErrNotExist,
	} {
		if repo, err := Open(t.Context(), dir); !errors.Is(err, want) {
			t.Errorf("%s: %v, %v; want %v", dir, repo, err, want)
		}
	}
	t.Setenv("PATH", empty)
	if _, err := Open(t.Context(), unborn); !errors.Is(err, ErrMissing) {
		t.Errorf("without git: %v", err)
	}
}

// TestOldGit: a git that does not know an option is called old, whether it complains
// or takes the option for something else.
func TestOldGit(t *testing.T) {
	repo := newRepo(t)
	path, old := os.Getenv("PATH"), t.TempDir()
	write(t, old, "git", `#!/bin/sh
case " $* " in
*" -z "*) printf "error: unknown switch \\140z'\\n" >&2; exit 129;;
*" --path-format"*) echo "--path-format=absolute"; echo .git; exit;;
esac
PATH=`+path+` exec git "$@"
`)
	must(t, os.Chmod(filepath.Join(old, "git"), 0o755))
	t.Setenv("PATH", old+":"+path)
	if _, err := Open(t.Context(), repo.Root); !errors.Is(err, ErrOld) {
		t.Error(err)
	}
	if _, err := repo.Worktrees(t.Context()); !errors.Is(err, ErrOld) {
		t.Error(err)
	}
}

// TestOpenUnbornMain: that the main worktree is on a new, empty branch is no
// reason not to work on the sessions.
func TestOpenUnbornMain(t *testing.T) {
	repo := newRepo(t)
	wt := add(t, repo, "feat")
	tool(t, repo.Root, "checkout", "-q", "--orphan", "other")
	have, err := Open(t.Context(), repo.Root)
	if err != nil || have != repo {
		t.Fatalf("%v, %v", have, err)
	}
	if _, err := repo.Resolve(t.Context(), "new", ""); !errors.Is(err, ErrUnborn) {
		t.Errorf("%v", err)
	}
	_, err = repo.Remove(t.Context(), wt, RemoveOptions{})
	must(t, err)
}

// TestOpenElsewhere: repositories whose common directory is not in the main
// worktree.
func TestOpenElsewhere(t *testing.T) {
	super, lib := newRepo(t), newRepo(t)
	tool(t, super.Root, "submodule", "add", "-q", lib.Root, "lib")
	sub, err := Open(t.Context(), filepath.Join(super.Root, "lib"))
	if err != nil || sub.Root != filepath.Join(super.Root, "lib") {
		t.Errorf("submodule: %+v, %v", sub, err)
	}
	dir := t.TempDir()
	tool(t, dir, "clone", "-q", "--separate-git-dir", filepath.Join(dir, "git"), lib.Root, "work")
	have, err := Open(t.Context(), filepath.Join(dir, "work"))
	if err == nil && have.Root != filepath.Join(dir, "work") {
		t.Errorf("separate: %+v, %v", have, err)
	}
}

// TestInsideHook: the variables of a git that runs a hook lead nowhere else.
func TestInsideHook(t *testing.T) {
	other := newRepo(t)
	repo := newRepo(t)
	index, err := os.ReadFile(filepath.Join(other.CommonDir, "index"))
	must(t, err)
	for name, value := range map[string]string{
		"GIT_DIR": other.CommonDir, "GIT_WORK_TREE": other.Root, "GIT_INDEX_FILE": filepath.Join(other.CommonDir, "index"), "GIT_PREFIX": "x/",
	} {
		t.Setenv(name, value)
	}
	have, err := Open(t.Context(), repo.Root)
	if err != nil || have != repo {
		t.Fatalf("%+v, %v", have, err)
	}
	wt := add(t, repo, "feat")
	write(t, wt, "new", "work")
	if dirty, err := repo.Dirty(t.Context(), wt); err != nil || !dirty {
		t.Fatalf("%v, %v", dirty, err)
	}
	_, err = repo.SaveTrash(t.Context(), wt, "feat", when)
	must(t, err)
	_, err = repo.Remove(t.Context(), wt, RemoveOptions{})
	must(t, err)
	after, err := os.ReadFile(filepath.Join(other.CommonDir, "index"))
	must(t, err)
	if !slices.Equal(index, after) {
		t.Error("the other index changed")
	}
}

func TestWorktrees(t *testing.T) {
	repo := newRepo(t)
	outside := filepath.Join(t.TempDir(), strange)
	tool(t, repo.Root, "worktree", "add", "-q", "--detach", outside)
	feat, gone := add(t, repo, "feat"), add(t, repo, "gone")
	tool(t, repo.Root, "worktree", "lock", "--reason", "mine\nand yours", feat)
	must(t, os.RemoveAll(gone))
	have, err := repo.Worktrees(t.Context())
	must(t, err)
	head := tool(t, repo.Root, "rev-parse", "HEAD")
	want := []Worktree{
		{Path: repo.Root, Branch: "main", Head: head},
		{Path: outside, Head: head, Detached: true},
		{Path: feat, Branch: "feat", Head: head, Locked: true, Reason: "mine\nand yours"},
		{Path: gone, Branch: "gone", Head: head, Prunable: true},
	}
	byPath := func(a, b Worktree) int { return strings.Compare(a.Path, b.Path) }
	slices.SortFunc(have[1:], byPath)
	slices.SortFunc(want[1:], byPath)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestWhole(t *testing.T) {
	repo := newRepo(t)
	ctx := t.Context()
	for _, tt := range []struct {
		name    string
		harm    func(path string)
		want    error
		restore bool
	}{
		{"nothing", func(string) {}, nil, false},
		{"files-deleted", func(p string) { must(t, os.Remove(filepath.Join(p, "file"))) }, nil, false},
		{"index-lock", func(p string) { write(t, linkOf(p), "index.lock", "") }, nil, false},
		{"directory-gone", func(p string) { must(t, os.RemoveAll(p)) }, ErrNoWorktree, false},
		{"link-gone", func(p string) { must(t, os.Remove(filepath.Join(p, ".git"))) }, ErrDamaged, false},
		{"link-elsewhere", func(p string) { write(t, p, ".git", "gitdir: /nowhere\n") }, ErrDamaged, false},
		{"entry-gone", func(p string) { must(t, os.RemoveAll(linkOf(p))) }, ErrNoWorktree, false},
		{"index-gone", func(p string) { must(t, os.Remove(filepath.Join(linkOf(p), "index"))) }, ErrDamaged, false},
		{"initializing", func(p string) { write(t, linkOf(p), "locked", "initializing") }, ErrHalfMade, false},
		{"in-making", func(p string) { write(t, linkOf(p), "locked", madeReason+p) }, ErrHalfMade, false},
		{"locked-by-user", func(p string) { tool(t, repo.Root, "worktree", "lock", p) }, nil, false},
		{"other-branch", func(p string) { tool(t, p, "switch", "-qc", "other") }, ErrOtherBranch, false},
		{"detached", func(p string) { tool(t, p, "switch", "-q", "--detach") }, ErrOtherBranch, false},
		{"branch-gone", func(p string) { tool(t, repo.Root, "update-ref", "-d", "refs/heads/branch-gone") }, ErrDamaged, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := add(t, repo, tt.name)
			tt.harm(path)
			if err := repo.Whole(ctx, path, tt.name); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("%v; want %v", err, tt.want)
			}
			if errors.Is(tt.want, ErrOtherBranch) {
				must(t, repo.Whole(ctx, path, ""))
			}
		})
	}
	must(t, repo.Whole(ctx, repo.Root, "main"))
	if err := repo.Whole(ctx, filepath.Join(repo.Root, "never"), ""); !errors.Is(err, ErrNoWorktree) {
		t.Error(err)
	}
}

func TestExclude(t *testing.T) {
	repo := newRepo(t)
	path := filepath.Join(repo.CommonDir, "info", "exclude")
	must(t, os.RemoveAll(filepath.Dir(path)))
	must(t, repo.Exclude(t.Context(), "/first"))
	must(t, os.WriteFile(path, []byte("# theirs\n/first\n*.log"), 0o644))
	want := []string{"# theirs", "/first", "*.log"}
	for n := range 200 {
		want = append(want, fmt.Sprint("/n", n))
	}
	for _, pattern := range want[1:] {
		each(t, 8, func(int) error { return repo.Exclude(t.Context(), pattern) })
	}
	data, err := os.ReadFile(path)
	must(t, err)
	have := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	slices.Sort(want[3:])
	slices.Sort(have[3:])
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "a\nb"} {
		if repo.Exclude(t.Context(), bad) == nil {
			t.Errorf("took %q", bad)
		}
	}
}
