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
