package proc

import (
	"os"
	"slices"
)

// Family makes a finder of what a process has brought up: itself, its group and
// its session, everybody who descends from them, and everybody whose environment
// has all of env (if any is given).
//
// The finder keeps in mind whom it has found: a process that it saw stays in the
// family when its parent ends. A group counts only while its number is proven to
// be still the same: by its leader, a zombie too, or by a member that was found
// before. If we are of the family ourselves, we and what we started are left out:
// a session may be taken down from within.
func Family(leader ID, env ...string) func() ([]ID, error) {
	f := &family{leader: leader, env: env}
	return f.find
}

type family struct {
	leader ID
	env    []string
	known  map[ID]bool
}

func (f *family) find() ([]ID, error) {
	p, all, err := look()
	if err != nil {
		return nil, err
	}
	proven := f.proven(p, all)
	var seeds []int
	for pid, s := range all {
		if !s.dead() && f.belongs(p, s, proven) {
			seeds = append(seeds, pid)
		}
	}
	children := all.children()
	members := descendants(seeds, children)
	if members[os.Getpid()] {
		for pid := range descendants([]int{os.Getpid()}, children) {
			delete(members, pid)
		}
	}
	f.known = make(map[ID]bool, len(members))
	found := make([]ID, 0, len(members))
	for pid := range members {
		id := p.id(all[pid])
		f.known[id] = true
		found = append(found, id)
	}
	slices.SortFunc(found, func(a, b ID) int { return a.PID - b.PID })
	return found, nil
}

// descendants are the processes and all that descend from them.
func descendants(pids []int, children map[int][]stat) map[int]bool {
	members := map[int]bool{}
	for len(pids) > 0 {
		pid := pids[0]
		pids = pids[1:]
		if members[pid] {
			continue
		}
		members[pid] = true
		for _, child := range children[pid] {
			pids = append(pids, child.pid)
		}
	}
	return members
}

// proven reports whether the group and session with the leader's number are
// still those that it led: its number is not given away while one of them lives.
func (f *family) proven(p place, all table) bool {
	if s, ok := all[f.leader.PID]; ok {
		return p.id(s) == f.leader
	}
	for id := range f.known {
		if s, ok := all[id.PID]; ok && p.id(s) == id && f.leads(s) {
			return true
		}
	}
	return false
}

// leads reports whether a process is in the group or session with the leader's
// number.
func (f *family) leads(s stat) bool {
	return s.group == f.leader.PID || s.session == f.leader.PID
}

// belongs reports whether a process is of the family by what it is itself.
func (f *family) belongs(p place, s stat, proven bool) bool {
	id := p.id(s)
	if id == f.leader || f.known[id] || proven && f.leads(s) {
		return true
	}
	return len(f.env) > 0 && carries(s.pid, f.env)
}

// Any makes a finder of what at least one of the finders finds.
func Any(finders ...func() ([]ID, error)) func() ([]ID, error) {
	return func() ([]ID, error) {
		seen := map[ID]bool{}
		var found []ID
		for _, find := range finders {
			ids, err := find()
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				if !seen[id] {
					seen[id] = true
					found = append(found, id)
				}
			}
		}
		return found, nil
	}
}
