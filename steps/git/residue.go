package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ecluse/steps/run"
)

// Saved is work that was saved, as it is found later.
type Saved struct {
	Ref string
	// Slug of the session that it was of, and when it was saved.
	Slug string
	At   time.Time

	commit string
}

// SavedWork lists what [Repo.SaveTrash] saved, of all sessions.
func (r Repo) SavedWork(ctx context.Context) ([]Saved, error) {
	out, err := r.git(ctx, "for-each-ref", "--format=%(objectname) %(committerdate:unix) %(refname)", TrashRefs)
	if err != nil {
		return nil, fmt.Errorf("list the work that was saved: %w", err)
	}
	var list []Saved
	for text := range strings.Lines(string(out)) {
		parts := strings.SplitN(line([]byte(text)), " ", 3)
		if len(parts) < 3 {
			continue
		}
		seconds, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			continue // no commit of ours
		}
		slug, _, _ := strings.Cut(strings.TrimPrefix(parts[2], TrashRefs), "/")
		list = append(list, Saved{Ref: parts[2], Slug: slug, At: time.Unix(seconds, 0), commit: parts[0]})
	}
	return list, nil
}

// Forget deletes the ref of saved work, if it is still what was found.
func (r Repo) Forget(ctx context.Context, s Saved) error {
	err := r.retry(ctx, func() error {
		_, err := r.git(ctx, "update-ref", "-d", "--", s.Ref, s.commit)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete %s: %w", s.Ref, err)
	}
	return nil
}

// Severed reports whether a directory was a worktree of this repository that it knows
// nothing of any more: its .git file leads to an entry that is gone.
func (r Repo) Severed(path string) bool {
	link := linkOf(path)
	if link == "" || filepath.Dir(link) != filepath.Join(r.CommonDir, "worktrees") {
		return false
	}
	_, err := os.Lstat(link)
	return errors.Is(err, os.ErrNotExist)
}

// trunks are where branches are merged into.
var trunks = []string{"refs/remotes/origin/HEAD", "refs/heads/main", "refs/heads/master"}

// MergedInto is the short name of the branch that a branch was merged into: that which
// origin calls its own, main or master. It is empty if the branch is in none of them,
// or has no commit of its own: it is where it began, at base, or, when base is not
// known, where the other one is. Commits that were squashed or rebased cannot be
// recognized.
func (r Repo) MergedInto(ctx context.Context, branch, base string) (string, error) {
	tip, found, err := r.commit(ctx, "refs/heads/"+branch)
	if err != nil || !found || tip == base {
		return "", err
	}
	for _, trunk := range trunks {
		into, found, err := r.commit(ctx, trunk)
		if err != nil {
			return "", err
		}
		if !found || trunk == "refs/heads/"+branch || base == "" && into == tip {
			continue
		}
		_, err = r.git(ctx, "merge-base", "--is-ancestor", tip, into)
		var failed *run.Error
		switch {
		case err == nil:
			return strings.TrimPrefix(strings.TrimPrefix(trunk, "refs/heads/"), "refs/remotes/"), nil
		case !errors.As(err, &failed) || failed.Status != 1:
			return "", fmt.Errorf("look whether %s is merged into %s: %w", branch, trunk, err)
		}
	}
	return "", nil
}
