package cli

import (
	"context"
	"fmt"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/proc"
)

// tellMoved says of each port of a new session that is not the one of its slot who has
// that one. Where it cannot be told now any more, nothing but the number is said.
func (a *app) tellMoved(ctx context.Context, s session.Session, changed bool) {
	if !changed || !s.Run.StartedAt.Equal(s.CreatedAt) {
		return // it was told when the session was made
	}
	cfg, err := steps.ConfigOf(s)
	if err != nil {
		return
	}
	expected, _ := steps.Nominals(ctx, cfg, s.Worktree) // those that are known
	leases, err := a.store.Leases()
	if err != nil {
		return
	}
	for _, p := range expected {
		want, have := p.Port(s.Slot), s.Ports[p.Name]
		if _, pinned := cfg.Choice.Pins[p.Name]; pinned || have == 0 || have == want {
			continue
		}
		by, leased := leases[want]
		a.sink().Notify(saga.Notice{Time: time.Now(), Repo: s.Repo, Session: s.Slug, Message: fmt.Sprintf("%s: %d %s, so %d", p.Name, want, a.portHolder(want, s, by, leased), have)})
	}
}

// portHolder says in words who has a port that a session could not have.
func (a *app) portHolder(number int, s session.Session, by session.Key, leased bool) string {
	switch {
	case leased && by == s.Key:
		return "is leased to another service of this session"
	case leased && by.Repo == s.Repo:
		return "is leased to " + by.Slug
	case leased:
		other, err := a.store.Get(by)
		if err != nil {
			return "is leased to " + by.Slug + " of another repository"
		}
		return fmt.Sprintf("is leased to %s of %s", by.Slug, other.Root)
	}
	if ids := proc.Listener(number); len(ids) > 0 {
		return "is taken by " + proc.Describe(ids[0])
	}
	return "was taken"
}

// urls are where the native services of a session that run answer, by name, if they
// speak HTTP, as most do. What containers speak is not known.
func urls(s session.Session) map[string]string {
	list := map[string]string{}
	cfg, err := steps.ConfigOf(s)
	if err != nil {
		return list
	}
	for _, service := range cfg.Spawned() {
		if number := s.Ports[service.Name]; number != 0 {
			list[service.Name] = fmt.Sprintf("http://localhost:%d", number)
		}
	}
	return list
}
