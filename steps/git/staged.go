package git

import (
	"context"
	"errors"
	"strings"

	"ecluse/steps/run"
)

// staged is the tree of what is staged, before the view's index is made to have the files
// as they are. It is "" where that is not asked (nothing is checked out, the files
// are gone), or no tree (a file is in conflict).
func (v *view) staged(ctx context.Context, head string) (string, error) {
	if v.gone || head == "" || !isFile(v.index) {
		return "", nil
	}
	out, err := v.git(ctx, nil, "write-tree")
	var failed *run.Error
	if errors.As(err, &failed) && failed.Status == 128 && ctx.Err() == nil {
		return "", nil
	}
	return line(out), err
}

// overwritten is what is staged, if of some file that is what neither the commit has nor
// the worktree; "" if not.
func (v *view) overwritten(ctx context.Context, head, index, tree string) (string, error) {
	have, err := v.treeOf(ctx, head)
	if err != nil || index == "" || index == have || index == tree {
		return "", err
	}
	staged, err := v.differ(ctx, have, index, "--diff-filter=d")
	if err != nil {
		return "", err
	}
	later, err := v.differ(ctx, index, tree)
	if err != nil {
		return "", err
	}
	for name := range staged {
		if later[name] {
			return index, nil
		}
	}
	return "", nil
}

// differ are the names of the files that two trees have different.
func (v *view) differ(ctx context.Context, from, to string, options ...string) (map[string]bool, error) {
	args := append([]string{"diff-tree", "-r", "-z", "--no-renames", "--name-only"}, options...)
	out, err := v.git(ctx, nil, append(args, from, to)...)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range strings.SplitSeq(string(out), "\x00") {
		if name != "" {
			names[name] = true
		}
	}
	return names, nil
}
