package rebuild

import (
	"fmt"
	"maps"
	"slices"

	"ecluse/steps/docker"
	"ecluse/steps/git"
	"ecluse/steps/proc"
)

// unaccounted tells of what runs of steps that the plan does not have: no down would end
// it.
func (r *rebuilder) unaccounted() {
	for _, step := range slices.Sorted(maps.Keys(r.marked)) {
		if r.s.Plan.Index(step) < 0 {
			pids := r.marked[step]
			r.doubts = append(r.doubts, Doubt{Key: r.Key, Fix: kill(pids), Lost: true, What: fmt.Sprintf(
				"%s is of %s of session %s, which .ecluse.toml has no more: ecluse down does not end it", proc.Describe(pids[0]), step, r.Slug)})
		}
	}
	for _, c := range r.containers {
		if step := c.labels[docker.LabelStep]; r.s.Plan.Index(step) < 0 {
			r.doubts = append(r.doubts, Doubt{Key: r.Key, Fix: "docker rm --force " + git.Quote(c.name), Lost: true, What: fmt.Sprintf(
				"container %s is of %s of session %s, which .ecluse.toml has no more: ecluse down may leave it", c.name, step, r.Slug)})
		}
	}
}

// doubt notes something of the session that nothing is made of.
func (r *rebuilder) doubt(what, fix string) {
	r.doubts = append(r.doubts, Doubt{Key: r.Key, What: what, Fix: fix})
}
