package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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

// Kept lists the volumes of compose projects, whoever made them, and those that were
// made for the sessions of a slug, with one question.
func (e *Engine) Kept(ctx context.Context, projects []string, repo, slug string) (theirs []string, kept []KeptVolume, err error) {
	// A folder may have any name.
	format := columns(".Name", ".Name") + fmt.Sprintf("\t{{.Label %q}}\t{{.Label %q}}\t{{json (.Label %q)}}", LabelBranch, LabelSlug, LabelRepo)
	lines, err := e.lines(ctx, "volume", "ls", "--format", format)
	if err != nil {
		return nil, nil, fmt.Errorf("list the volumes of %s: %w", slug, err)
	}
	for _, line := range lines {
		parts := append(strings.Split(line, "\t"), make([]string, 8)...)
		if parts[3] != "" && slices.Contains(projects, parts[3]) {
			theirs = append(theirs, parts[1])
		}
		var of string
		if json.Unmarshal([]byte(parts[7]), &of) == nil && of == repo && parts[6] == slug {
			kept = append(kept, KeptVolume{Name: parts[1], Session: parts[2], Project: parts[3], Branch: parts[5]})
		}
	}
	return theirs, kept, nil
}
