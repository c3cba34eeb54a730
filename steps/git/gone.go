package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ecluse/steps/run"
)

// remembered is the tree of the index of a worktree whose directory is gone: what
// was staged in it. It is that of head where the index says nothing.
func (v *view) remembered(ctx context.Context, head string) (string, error) {
	tree, err := v.treeOf(ctx, head)
	if err != nil || !isFile(v.index) {
		return tree, err
	}
	out, err := v.git(ctx, nil, "ls-files", "--stage", "-z")
	var failed *run.Error
	if errors.As(err, &failed) && ctx.Err() == nil {
		return tree, nil // no git can read it any more
	}
	if err != nil || len(out) == 0 && head == "" {
		return tree, err
	}
	if err := v.settle(ctx, string(out)); err != nil {
		return "", err
	}
	out, err = v.git(ctx, nil, "write-tree", "--missing-ok")
	return line(out), err
}

// treeOf is the tree of a commit, "" of none, and of one that is lost.
func (v *view) treeOf(ctx context.Context, commit string) (string, error) {
	if commit == "" {
		return "", nil
	}
	out, err := v.git(ctx, nil, "rev-parse", "--verify", "--quiet", commit+"^{tree}")
	var failed *run.Error
	if errors.As(err, &failed) && failed.Status == 1 {
		return "", nil
	}
	return line(out), err
}

// settle makes one entry of the several that the index has of a file in conflict:
// ours, if there is one.
func (v *view) settle(ctx context.Context, stages string) error {
	best := map[string]string{}
	for item := range strings.SplitSeq(stages, "\x00") {
		meta, name, _ := strings.Cut(item, "\t")
		if name == "" || strings.HasSuffix(meta, " 0") {
			continue
		}
		if best[name] == "" || strings.HasSuffix(meta, " 2") {
			best[name] = strings.TrimRight(meta, "0123456789") + "0"
		}
	}
	if len(best) == 0 {
		return nil
	}
	var table strings.Builder
	for name, meta := range best {
		fmt.Fprintf(&table, "0 %s\t%s\x00%s\t%s\x00", strings.Repeat("0", len(strings.Fields(meta)[1])), name, meta, name)
	}
	_, err := v.git(ctx, []byte(table.String()), "update-index", "-z", "--index-info")
	return err
}

// abandoned reports whether nothing is left of a worktree's directory.
func abandoned(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && len(entries) == 0 || absent(err)
}

// Identity names what the repository keeps about the worktree at path, also after
// `git worktree move`; it is "" if there is none. Another worktree's is another,
// though it may get the same name.
func (r Repo) Identity(path string) (string, error) {
	e, found, err := r.entryOf(path)
	if err != nil || !found {
		return "", err
	}
	return e.identity(), nil
}

// identity is the name of an entry with its inode and time of birth: inodes are
// used again. File systems that know no birth say 0.
func (e entry) identity() string {
	var info unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, e.dir, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_BTIME, &info)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d.%d", filepath.Base(e.dir), info.Ino, info.Btime.Sec, info.Btime.Nsec)
}

// Moved looks where the worktree with an identity, or else the one that is on the
// branch, lives now. It is "" if it lives nowhere, or is not moved from path.
func (r Repo) Moved(path, identity, branch string) (string, error) {
	all, err := r.entries()
	if err != nil {
		return "", err
	}
	path = place(path)
	found := ""
	for _, e := range all {
		if e.path == "" || e.path == path || linkOf(e.path) != e.dir {
			continue
		}
		if identity != "" && e.identity() == identity {
			return e.path, nil
		}
		head, _ := os.ReadFile(filepath.Join(e.dir, "HEAD"))
		if line(head) == "ref: refs/heads/"+branch {
			found = e.path
		}
	}
	return found, nil
}
