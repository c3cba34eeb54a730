package git

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSavedWorkIsFoundAndForgotten(t *testing.T) {
	repo, path := seed(t)
	write(t, path, "edit", "changed\n")
	if _, err := repo.SaveTrash(t.Context(), path, "feat", when); err != nil {
		t.Fatal(err)
	}
	write(t, path, "edit", "changed again\n")
	if _, err := repo.SaveTrash(t.Context(), path, "feat", when.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	list, err := repo.SavedWork(t.Context())
	if err != nil || len(list) != 2 || list[0].Slug != "feat" || !list[0].At.Equal(when) || !list[1].At.Equal(when.Add(time.Hour)) {
		t.Fatalf("%+v, %v", list, err)
	}
	// What has changed since it was found stays.
	other := list[0]
	other.commit = list[1].commit
	if repo.Forget(t.Context(), other) == nil {
		t.Error("a ref was deleted that is not what was found")
	}
	if err := repo.Forget(t.Context(), list[0]); err != nil {
		t.Error(err)
	}
	left, err := repo.SavedWork(t.Context())
	if err != nil || len(left) != 1 || left[0].Ref != list[1].Ref {
		t.Errorf("%+v, %v", left, err)
	}
}

func TestSevered(t *testing.T) {
	repo, path := seed(t)
	elsewhere := t.TempDir()
	if repo.Severed(path) || repo.Severed(elsewhere) || repo.Severed(filepath.Join(elsewhere, "none")) || repo.Severed(repo.Root) {
		t.Error("severed is what is whole, or nobody's")
	}
	write(t, elsewhere, ".git", "gitdir: /nowhere/.git/worktrees/x\n")
	if repo.Severed(elsewhere) {
		t.Error("severed is what is of another repository")
	}
	must(t, os.RemoveAll(filepath.Join(repo.CommonDir, "worktrees")))
	if !repo.Severed(path) {
		t.Error("what has lost its entry is not severed")
	}
}

func TestMergedInto(t *testing.T) {
	repo, path := seed(t)
	base, _, err := repo.commit(t.Context(), "refs/heads/feat")
	must(t, err)
	into := func(base, want string) {
		t.Helper()
		if have, err := repo.MergedInto(t.Context(), "feat", base); have != want || err != nil {
			t.Errorf("it is merged into %q, want %q: %v", have, want, err)
		}
	}
	into(base, "") // nothing was done on it yet
	into("", "")
	write(t, path, "edit", "changed\n")
	tool(t, path, "commit", "-qam", "work")
	into(base, "")
	tool(t, repo.Root, "merge", "-q", "feat")
	into(base, "main")
	into("", "") // it may have begun there
	tool(t, repo.Root, "commit", "-q", "--allow-empty", "-m", "later")
	into("", "main")
	if have, err := repo.MergedInto(t.Context(), "main", ""); have != "" || err != nil {
		t.Errorf("main is merged into %q: %v", have, err)
	}
	if have, err := repo.MergedInto(t.Context(), "nobody", ""); have != "" || err != nil {
		t.Errorf("what there is not is merged into %q: %v", have, err)
	}
}
