package git

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Branches are the names that an up can be given: local branches, then those of origin
// that have no local one.
func (r Repo) Branches(ctx context.Context) ([]string, error) {
	var names []string
	for _, prefix := range []string{"refs/heads/", "refs/remotes/origin/"} {
		out, err := r.git(ctx, "for-each-ref", "--format=%(refname)", prefix)
		if err != nil {
			return nil, fmt.Errorf("list the branches: %w", err)
		}
		for line := range strings.Lines(string(out)) {
			name, ours := strings.CutPrefix(strings.TrimSuffix(line, "\n"), prefix)
			if ours && name != "HEAD" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// HasBranch reports whether there is a local branch of that name.
func (r Repo) HasBranch(ctx context.Context, name string) (bool, error) {
	if err := CheckBranch(name); err != nil {
		return false, err
	}
	_, there, err := r.commit(ctx, "refs/heads/"+name)
	if err != nil {
		return false, fmt.Errorf("look for branch %s: %w", name, err)
	}
	return there, nil
}
