package steps

import (
	"context"
	"path/filepath"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// adoptable is the process that the user has put in the place of the service: the
// recorded one is gone, and one of the session's answers at the port that was leased
// for it. One that ecluse itself has started and that has outlived the first is none:
// it is half of a service.
func (s service) adoptable(fact ServiceFact) (proc.ID, bool, error) {
	if s.Options().Anew || fact.Alive() {
		return proc.ID{}, false, nil
	}
	number := s.Session().Ports[s.spec.Name]
	if s.sibling(number) != "" {
		return proc.ID{}, false, nil // nor is one that is another service's
	}
	return Occupant(s.Session(), number, fact.ID)
}

// Occupant is the process of the session that listens at a port, if only those listen
// there; before is who the session itself had started for that.
func Occupant(s session.Session, number int, before proc.ID) (proc.ID, bool, error) {
	if number == 0 || len(proc.Listener(number)) == 0 {
		return proc.ID{}, false, nil // as mostly, and cheap to see
	}
	snap, err := proc.Snap()
	if err != nil {
		return proc.ID{}, false, err
	}
	own := Insider(s)
	listeners := snap.Listeners(number)
	for _, id := range listeners {
		if !own(id) || before.PID != 0 && snap.Led(id, before) {
			return proc.ID{}, false, nil
		}
	}
	if len(listeners) == 0 {
		return proc.ID{}, false, nil // somebody whom we may not know
	}
	return snap.Job(listeners[0], own), true, nil
}

// Insider makes a test for processes that are the session's by where they are, in its
// worktree, or by what they were started with, its mark.
func Insider(s session.Session) func(proc.ID) bool {
	worktree, err := filepath.EvalSymlinks(s.Worktree)
	if err != nil {
		worktree = s.Worktree
	}
	return func(id proc.ID) bool {
		if dir, known := proc.Cwd(id.PID); known && inside(worktree, dir) {
			return true
		}
		mark, _ := proc.Variable(id.PID, settings.EnvSession)
		return mark == s.ID && s.ID != ""
	}
}

// inside reports whether a path is dir or lies in it.
func inside(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// adopt makes a process that the user has started the session's own, and waits until it
// is ready. From here on it is stopped like any other.
func (s service) adopt(ctx context.Context, a *saga.Attempt, id proc.ID, vars map[string]string) error {
	fact := ServiceFact{ID: id, Place: place(s.Session().Worktree), Adopted: true}
	if err := a.Save(factProcess, fact); err != nil {
		return err
	}
	a.Report("%s runs already, and is adopted", proc.Describe(id))
	return s.await(ctx, a, fact, vars, exitOf(ctx, id))
}
