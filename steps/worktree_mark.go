package steps

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps/git"
)

// WorktreeMark is what the repository keeps about a session's worktree, beside it. The
// facts of the session say the same; without them, when the state is lost, it is the only
// proof of what is ours.
type WorktreeMark struct {
	// Session is the session's id, Path where its worktree was: one that was moved is
	// the user's.
	Session string `json:"session"`
	Path    string `json:"path"`
	// Made: the worktree is ours.
	Made bool `json:"made,omitempty"`
	// Links are the inherited files that are links which we have made.
	Links []string `json:"links,omitempty"`
}

// MarkOf is the mark of the worktree at path; it is empty if there is none, and if it is
// not of a worktree at that place.
func MarkOf(repo git.Repo, path string) (WorktreeMark, error) {
	data, err := repo.Note(path)
	if err != nil || data == nil {
		return WorktreeMark{}, err
	}
	var mark WorktreeMark
	if json.Unmarshal(data, &mark) != nil || !git.Same(mark.Path, path) {
		return WorktreeMark{}, nil // somebody else's, or of another place
	}
	return mark, nil
}

// remark changes the mark of a session's worktree. One that says nothing is removed, and
// so is one of another session, which has no claim to what is another's by now.
func remark(repo git.Repo, s session.Session, change func(*WorktreeMark)) error {
	before, err := repo.Note(s.Worktree)
	if err != nil {
		return err
	}
	mark, err := MarkOf(repo, s.Worktree)
	if err != nil {
		return err
	}
	if mark.Session != s.ID {
		mark = WorktreeMark{}
	}
	mark.Session, mark.Path = s.ID, s.Worktree
	change(&mark)
	slices.Sort(mark.Links)
	var after []byte
	if mark.Made || len(mark.Links) > 0 {
		if after, err = json.Marshal(mark); err != nil {
			return fmt.Errorf("mark worktree %s: %w", s.Worktree, err)
		}
	}
	if bytes.Equal(before, after) {
		return nil
	}
	return repo.SetNote(s.Worktree, after)
}
