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
	names, err := r.under(ctx, "refs/heads/")
	if err != nil {
		return nil, err
	}
	theirs, err := r.under(ctx, "refs/remotes/origin/")
	for _, name := range theirs {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}

// BranchesThat are the local branches whose names fit; if there are none, those of origin.
func (r Repo) BranchesThat(ctx context.Context, fit func(name string) bool) ([]string, error) {
	for _, prefix := range []string{"refs/heads/", "refs/remotes/origin/"} {
		names, err := r.under(ctx, prefix)
		names = slices.DeleteFunc(names, func(name string) bool { return !fit(name) })
		if err != nil || len(names) > 0 {
			return names, err
		}
	}
	return nil, nil
}

// under are the names of the refs below a prefix, without it.
func (r Repo) under(ctx context.Context, prefix string) (names []string, err error) {
	out, err := r.git(ctx, "for-each-ref", "--format=%(refname)", prefix)
	if err != nil {
		return nil, fmt.Errorf("list the branches: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if name, ours := strings.CutPrefix(strings.TrimSuffix(line, "\n"), prefix); ours && name != "HEAD" {
			names = append(names, name)
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
