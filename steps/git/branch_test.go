package git

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// branchNames are the seeds of what is checked against git itself.
var branchNames = []string{
	"main", "feat/x", "Feat_1.2", "ü/🚰", "a'b\"c$d", "a@b", "-x", "--upload-pack=x", "", "HEAD", "@", "a..b", "a.", ".a", "a/.b", "a.lock",
	"a.lock/b", "a//b", "/a", "a/", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a\tb", "a\x7f", "@{-1}", "a@{1}", "a/-b", "refs/heads/x", "a.lockx", "!a", "a\nb",
}

// gitAccepts asks git. To it @ is HEAD and @{-1} the branch before; as names of a
// branch they would be taken for those.
func gitAccepts(name string) bool {
	return exec.Command("git", "check-ref-format", "--branch", name).Run() == nil && name != "@" && !strings.Contains(name, "@{")
}

func TestCheckBranch(t *testing.T) {
	for _, name := range branchNames {
		err := CheckBranch(name)
		if (err == nil) != gitAccepts(name) {
			t.Errorf("%q: %v, git says %v", name, err, gitAccepts(name))
		}
		if err != nil && !errors.Is(err, ErrBranchName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzCheckBranch(f *testing.F) {
	for _, name := range branchNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsRune(name, 0) {
			if CheckBranch(name) == nil {
				t.Fatal("took a zero byte")
			}
			return
		}
		if want := gitAccepts(name) && utf8.ValidString(name); want != (CheckBranch(name) == nil) {
			t.Fatalf("%q: %v, git says %v", name, CheckBranch(name), want)
		}
	})
}

func TestResolve(t *testing.T) {
	repo := withOrigin(t, "both", "theirs", "nested/deep")
	ctx := t.Context()
	tool(t, repo.Root, "branch", "both", "origin/both")
	tool(t, repo.Root, "commit", "-q", "--allow-empty", "-m", "second")
	tool(t, repo.Root, "tag", "-a", "-m", "x", "v1")
	tool(t, repo.Root, "tag", "theirs", "HEAD") // a tag is no branch
	first, second := tool(t, repo.Root, "rev-parse", "HEAD~"), tool(t, repo.Root, "rev-parse", "HEAD")
	for _, tt := range []struct {
		branch, from string
		want         Resolution
	}{
		{"both", "", Resolution{KindLocal, "both", "both", first}},
		{"both", "v1", Resolution{KindLocal, "both", "both", first}},
		{"theirs", "", Resolution{KindRemote, "theirs", "origin/theirs", first}},
		{"nested/deep", "", Resolution{KindRemote, "nested/deep", "origin/nested/deep", first}},
		{"new", "", Resolution{KindNew, "new", "HEAD", second}},
		{"new", "HEAD~1", Resolution{KindNew, "new", "HEAD~1", first}},
		{"new", "v1", Resolution{KindNew, "new", "v1", second}},
		{"new", "origin/main", Resolution{KindNew, "new", "origin/main", first}},
		{"v1", "", Resolution{KindNew, "v1", "HEAD", second}},
	} {
		have, err := repo.Resolve(ctx, tt.branch, tt.from)
		if err != nil {
			t.Errorf("%s from %q: %v", tt.branch, tt.from, err)
		}
		if diff := cmp.Diff(tt.want, have); diff != "" {
			t.Errorf("%s from %q: %s", tt.branch, tt.from, diff)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	repo := newRepo(t)
	for _, tt := range []struct {
		branch, from string
		want         error
	}{
		{"--upload-pack=x", "", ErrBranchName},
		{"new", "nothing", ErrUnknownRevision},
		{"new", "--all", ErrUnknownRevision},
		{"new", "HEAD:file", ErrUnknownRevision},
		{"new", "@{", ErrUnknownRevision},
		{"new", "a b\nc", ErrUnknownRevision},
	} {
		if res, err := repo.Resolve(t.Context(), tt.branch, tt.from); !errors.Is(err, tt.want) {
			t.Errorf("%s from %q: %v, %v", tt.branch, tt.from, res, err)
		}
	}
	path := add(t, repo, "used")
	for branch, where := range map[string]string{"used": path, "main": repo.Root} {
		var busy *CheckedOutError
		if _, err := repo.Resolve(t.Context(), branch, ""); !errors.As(err, &busy) || busy.Path != where || busy.Gone {
			t.Errorf("%s: %v", branch, err)
		}
	}
	must(t, os.RemoveAll(path))
	var busy *CheckedOutError
	if _, err := repo.Resolve(t.Context(), "used", ""); !errors.As(err, &busy) || !busy.Gone {
		t.Errorf("%v", err)
	}
}

func TestDeleteBranch(t *testing.T) {
	repo := withOrigin(t, "theirs")
	ctx := t.Context()
	base := tool(t, repo.Root, "rev-parse", "HEAD")
	tool(t, repo.Root, "branch", "other", "origin/theirs")
	gone := func(branch string, want bool) {
		t.Helper()
		have, err := repo.DeleteBranch(ctx, branch, base)
		if err != nil || have != want {
			t.Errorf("%s: %v, %v; want %v", branch, have, err, want)
		}
	}
	gone("never", true)

	path := add(t, repo, "theirs")
	must(t, repo.Track(ctx, "theirs"))
	if have := tool(t, repo.Root, "rev-parse", "--abbrev-ref", "theirs@{upstream}"); have != "origin/theirs" {
		t.Errorf("upstream %q", have)
	}
	gone("theirs", false) // checked out
	_, err := repo.Remove(ctx, path, RemoveOptions{})
	must(t, err)
	gone("theirs", true)
	gone("theirs", true)
	if left := traces(t, repo); !cmp.Equal(left, []string{"refs/heads/other", "branch.other.remote", "branch.other.merge"}) {
		t.Errorf("left: %q", left)
	}

	path = add(t, repo, "feat/deep")
	tool(t, path, "commit", "-q", "--allow-empty", "-m", "work")
	_, err = repo.Remove(ctx, path, RemoveOptions{})
	must(t, err)
	gone("feat/deep", false)
	tool(t, repo.Root, "rev-parse", "--verify", "refs/heads/feat/deep")
	if _, err := repo.DeleteBranch(ctx, "-D", base); !errors.Is(err, ErrBranchName) {
		t.Error(err)
	}
}

// TestTrackMeanwhile: others write the configuration at the same time, or hold its
// lock for good.
func TestTrackMeanwhile(t *testing.T) {
	var names []string
	for _, c := range "abcdefgh" {
		names = append(names, "b-"+string(c))
	}
	repo := withOrigin(t, names...)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = tryTool(repo.Root, "config", "--local", "other.key", "x")
			}
		}
	}()
	errs := make(chan error)
	for _, name := range names {
		tool(t, repo.Root, "update-ref", "refs/heads/"+name, "HEAD")
		go func() { errs <- repo.Track(t.Context(), name) }()
	}
	for range names {
		must(t, <-errs)
	}
	close(stop)
	<-stopped
	for _, name := range names {
		if have := tool(t, repo.Root, "rev-parse", "--abbrev-ref", name+"@{upstream}"); have != "origin/"+name {
			t.Errorf("%s follows %s", name, have)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(repo.CommonDir), ".git", "*.lock")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}
