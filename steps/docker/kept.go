package docker

import (
	"context"
	"fmt"
	"strings"
)

// LabelBranch is the branch of the session that something was made for. Two branches
// may have one slug, and the data of one is not the other's.
const LabelBranch = "ecluse.branch"

// KeptVolume is a volume that was made for a session of a slug, of whatever project.
type KeptVolume struct {
	Name, Session, Project string
	// Branch is empty if it was not noted.
	Branch string
}

// Kept lists the volumes that were made for the sessions of a slug.
func (e *Engine) Kept(ctx context.Context, repo, slug string) ([]KeptVolume, error) {
	args := append([]string{"volume", "ls"}, filtered([]string{LabelRepo + "=" + repo, LabelSlug + "=" + slug})...)
	lines, err := e.lines(ctx, append(args, "--format", columns(".Name", ".Name")+fmt.Sprintf("\t{{.Label %q}}", LabelBranch))...)
	if err != nil {
		return nil, fmt.Errorf("list the volumes of %s: %w", slug, err)
	}
	var list []KeptVolume
	for _, line := range lines {
		parts := append(strings.Split(line, "\t"), "", "", "", "")
		list = append(list, KeptVolume{Name: parts[1], Session: parts[2], Project: parts[3], Branch: parts[4]})
	}
	return list, nil
}
