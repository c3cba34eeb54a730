package rebuild

import (
	"fmt"
	"path/filepath"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps/git"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// contradictions settles what two sessions say that only one can have. A session is not
// left out where it can be helped: nobody would know of what runs of it.
func (g *gatherer) contradictions() {
	out := map[session.Key]bool{}
	for i := range g.Evidence {
		for j := range g.Evidence[:i] {
			a, b := &g.Evidence[j], &g.Evidence[i]
			if a.Worktree != "" && git.Same(a.Worktree, b.Worktree) {
				g.oneWorktree(*a, *b, out)
			}
			if a.Repo == b.Repo && a.Slot == b.Slot && a.Slot != 0 {
				g.oneSlot(a, b)
			}
		}
	}
	g.Evidence = slices.DeleteFunc(g.Evidence, func(e Evidence) bool { return out[e.Key] })
}

// oneSlot gives a slot that two sessions say they have to that which runs with it, else
// to the first. The other gets one that is free; its ports are what they are.
func (g *gatherer) oneSlot(a, b *Evidence) {
	loser := b
	if b.ran == b.Slot && a.ran != a.Slot || a.Former {
		loser = a
	}
	other := a
	if loser == a {
		other = b
	}
	slot := loser.Slot
	loser.Slot = 0
	if loser.ran != slot && !slices.ContainsFunc(g.Evidence, func(e Evidence) bool { return e.Repo == loser.Repo && e.Slot == loser.ran }) {
		loser.Slot = loser.ran
	}
	g.doubt(*loser, fmt.Sprintf("%s and %s both say that they have slot %d, in %s: it is %s's, and %s gets another",
		other.Slug, loser.Slug, slot, settings.EnvFile, other.Slug, loser.Slug), "")
}

// oneWorktree leaves out the one of two sessions of a worktree that nothing carries the
// mark of. If that is neither, both are left out.
func (g *gatherer) oneWorktree(a, b Evidence, out map[session.Key]bool) {
	for _, e := range []Evidence{a, b} {
		other := a
		if e.Key == a.Key {
			other = b
		}
		if e.ID != "" && other.ID == "" || out[e.Key] {
			continue
		}
		out[e.Key] = true
		g.Doubts = append(g.Doubts, Doubt{Key: e.Key, Fix: e.end(), Lost: e.ID != "", What: fmt.Sprintf(
			"%s and %s both say that their worktree is %s, and nothing is made of %s: look at ECLUSE_SLUG in %s", a.Slug, b.Slug, a.Worktree, e.Slug, filepath.Join(a.Worktree, settings.EnvFile))})
	}
}

// end is the command that ends what runs of a session; empty if nothing does.
func (e Evidence) end() string {
	var all []proc.ID
	for _, pids := range e.marked {
		all = append(all, pids...)
	}
	if len(all) == 0 {
		return ""
	}
	slices.SortFunc(all, func(a, b proc.ID) int { return a.PID - b.PID })
	return kill(all)
}
