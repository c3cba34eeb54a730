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
	names, theirs, err := r.branches(ctx)
	for _, name := range theirs {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}

// BranchesThat are the local branches whose names fit; if there are none, those of origin.
func (r Repo) BranchesThat(ctx context.Context, fit func(name string) bool) ([]string, error) {
	local, theirs, err := r.branches(ctx)
	for _, names := range [][]string{local, theirs} {
		names = slices.DeleteFunc(names, func(name string) bool { return !fit(name) })
		if len(names) > 0 {
			return names, nil
		}
	}
	return nil, err
}

// branches are the names of the local branches, and of those of origin.
func (r Repo) branches(ctx context.Context) (local, theirs []string, err error) {
	out, err := r.git(ctx, "for-each-ref", "--format=%(refname)", "refs/heads/", "refs/remotes/origin/")
	if err != nil {
		return nil, nil, fmt.Errorf("list the branches: %w", err)
	}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSuffix(name, "\n")
		if own, ok := strings.CutPrefix(name, "refs/heads/"); ok && own != "HEAD" {
			local = append(local, own)
		}
		if other, ok := strings.CutPrefix(name, "refs/remotes/origin/"); ok && other != "HEAD" {
			theirs = append(theirs, other)
		}
	}
	return local, theirs, nil
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
