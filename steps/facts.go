package steps

import (
	"encoding/json"
	"fmt"

	"ecluse/saga/session"
)

// What the steps of a session have recorded, for those who look at it without running
// it (package look).

// ServiceOf is the process that step i of the plan has started; false if it has
// recorded none.
func ServiceOf(s session.Session, i int) (fact ServiceFact, known bool) {
	return fact, recorded(s, i, factProcess, &fact)
}

// ComposeOf is what step i of the plan has brought up in Docker; false if it has
// recorded nothing.
func ComposeOf(s session.Session, i int) (fact ComposeFact, known bool) {
	return fact, s.Plan.Steps[i].Kind == composeStep && recorded(s, i, composeFactKey, &fact)
}

// WorktreeOf is what became of the session's worktree; false if nothing is recorded.
func WorktreeOf(s session.Session) (fact WorktreeFact, known bool) {
	i := s.Plan.Index(WorktreeStep)
	return fact, i >= 0 && recorded(s, i, worktreeFactKey, &fact)
}

// recorded reads a fact, and reports whether it could be read.
func recorded(s session.Session, i int, key string, fact any) bool {
	if i >= len(s.Progress.Steps) {
		return false
	}
	data, known := s.Progress.Steps[i].Facts[key]
	return known && json.Unmarshal(data, fact) == nil
}

// onlooker is a handle for those who only look.
type onlooker struct{ s session.Session }

// Looking is a handle on a session for those who only look: it leases nothing.
func Looking(s session.Session) session.Handle { return onlooker{s} }

// Session implements [session.Handle].
func (o onlooker) Session() session.Session { return o.s }

// Lease implements [session.Handle].
func (o onlooker) Lease([]session.Want) (session.Session, error) {
	return o.s, fmt.Errorf("lease ports for session %s: only looking is allowed here", o.s.Slug)
}
