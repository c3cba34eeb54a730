package rebuild

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// Where the record of a [Rebuilt] comes from.
const (
	FromRecord   = "record"
	FromCopy     = "copy"
	FromEvidence = "evidence"
	FromFormer   = "original"
)

// Rebuilt is a session of the state that is to be.
type Rebuilt struct {
	session.Session
	// From is one of the From constants, Found what spoke for it.
	From  string
	Found []string
}

// Rebuilding is how the records are made.
type Rebuilding struct {
	Traces
	// Copy: the records are those of a copy, which may be out of date.
	Copy bool
	// Config is the configuration of a repository, by its main worktree.
	Config func(root string) (settings.Config, error)
	Now    time.Time

	cfgs map[session.Key]settings.Config
	rows []Rebuilt
}

// Rows are the records of a state that is rebuilt of records that can still be read, and
// of evidence; and what nothing is made of. Evidence is younger than a copy. The slot
// and the ports of each are its alone.
func (r *Rebuilding) Rows(ctx context.Context, g Gathered) ([]Rebuilt, []Doubt, error) {
	r.cfgs = map[session.Key]settings.Config{}
	doubts := slices.Clone(g.Doubts)
	left := map[session.Key]Evidence{}
	for _, e := range g.Evidence {
		left[e.Key] = e
	}
	var old []Rebuilt
	for _, row := range r.Sessions {
		e, found := left[row.Key]
		if found && e.Former { // which it was before it was ours
			delete(left, row.Key)
			found = false
		}
		if !r.Copy {
			delete(left, row.Key)
			r.rows = append(r.rows, Rebuilt{row, FromRecord, nil})
			continue
		}
		if found {
			same, more := r.renew(ctx, row, e)
			if doubts = append(doubts, more...); same {
				delete(left, row.Key)
			}
			continue
		}
		if private, _ := r.Known(row.Key); !private {
			doubts = append(doubts, Doubt{Key: row.Key, What: fmt.Sprintf("session %s is in the copy, and nothing is there of it: it was taken down since", row.Slug)})
			continue
		}
		Doubtful(&row, "it is of a copy of the state, and nothing but its private folder was found of it")
		old = append(old, Rebuilt{row, FromCopy, nil})
	}
	for _, key := range slices.SortedFunc(maps.Keys(left), byName) {
		more, err := r.fromEvidence(ctx, left[key])
		if err != nil { // one repository that is broken is no other's affair
			more = []Doubt{{Key: key, What: err.Error() + "; nothing is made of it", Fix: left[key].end(), Lost: true}}
		}
		doubts = append(doubts, more...)
	}
	more, err := r.settle(ctx, append(r.rows, old...))
	slices.SortFunc(r.rows, func(a, b Rebuilt) int { return byName(a.Key, b.Key) })
	if doubts = append(doubts, more...); err != nil {
		return nil, nil, err
	}
	more, err = r.lost(doubts)
	return r.rows, append(doubts, more...), err
}

// renew makes a row of one of a copy, with what was found of its session; false if that
// is of another session of the name.
func (r *Rebuilding) renew(ctx context.Context, row session.Session, e Evidence) (same bool, doubts []Doubt) {
	renewed, same, err := e.Renewed(ctx, row, r.Home)
	if err != nil {
		doubts = append(doubts, Doubt{Key: row.Key, What: fmt.Sprintf("session %s is as the copy has it: %v", row.Slug, err)})
		Doubtful(&row, "it is of a copy of the state, and could not be compared with what is there")
		renewed, same = row, true
	}
	if same {
		r.rows = append(r.rows, Rebuilt{renewed, FromCopy, e.Found})
	}
	return same, doubts
}

// lost are the private folders that neither a row nor a doubt accounts for: each is of a
// session that was not found, because its repository cannot be looked into.
func (r *Rebuilding) lost(told []Doubt) ([]Doubt, error) {
	if r.Unclaimed == nil {
		return nil, nil
	}
	var keys []session.Key
	for _, row := range r.rows {
		keys = append(keys, row.Key)
	}
	for _, d := range told {
		keys = append(keys, d.Key)
	}
	folders, err := r.Unclaimed(keys)
	var doubts []Doubt
	for _, folder := range folders {
		name := filepath.Base(folder)
		slug := name[:max(0, strings.LastIndex(name, "-"))]
		doubts = append(doubts, Doubt{Key: session.Key{Slug: slug}, Lost: true, What: fmt.Sprintf(
			"%s is of a session %s, and nothing else was found of it: is its repository moved, or not mounted? Put it back and run this in it before the state is made anew; after that, nothing of it is known", folder, slug)})
	}
	return doubts, err
}

// byName is the order in which sessions are listed.
func byName(a, b session.Key) int {
	return cmp.Or(strings.Compare(a.Repo, b.Repo), strings.Compare(a.Slug, b.Slug))
}

// fromEvidence makes a record of evidence alone.
func (r *Rebuilding) fromEvidence(ctx context.Context, e Evidence) ([]Doubt, error) {
	cfg, err := r.Config(e.Root)
	if err != nil {
		return nil, fmt.Errorf("rebuild session %s of %s: %w", e.Slug, e.Root, err)
	}
	s, doubts, err := e.Session(ctx, cfg, r.Home, r.Now)
	if err != nil {
		return nil, fmt.Errorf("rebuild session %s of %s: %w", e.Slug, e.Root, err)
	}
	from := FromEvidence
	if e.Former {
		from = FromFormer
	}
	r.cfgs[e.Key] = cfg
	r.rows = append(r.rows, Rebuilt{s, from, e.Found})
	return doubts, nil
}

// settle gives every row a slot and ports of its own. Rows that claim those of one
// before them are left out: that one has more that speaks for it, or as much.
func (r *Rebuilding) settle(ctx context.Context, rows []Rebuilt) (doubts []Doubt, err error) {
	r.rows = nil
	slots, ports := map[session.Key]string{}, map[int]string{}
	at := func(s session.Session) session.Key { return session.Key{Repo: s.Repo, Slug: fmt.Sprint(s.Slot)} }
	var open []Rebuilt
	for _, row := range rows {
		what := row.claims(slots[at(row.Session)], ports)
		if what != "" && row.Found != nil {
			doubts = append(doubts, Doubt{Key: row.Key, What: what + "; it gets another"})
			row.yield(slots[at(row.Session)], ports)
		} else if what != "" {
			doubts = append(doubts, Doubt{Key: row.Key, What: what, Fix: "ecluse -C " + git.Quote(row.Worktree) + " up"})
			continue
		}
		for _, port := range row.Ports {
			ports[port] = row.Slug
		}
		if row.Slot == 0 {
			open = append(open, row)
			continue
		}
		slots[at(row.Session)] = row.Slug
		r.rows = append(r.rows, row)
	}
	for _, row := range open {
		if err := r.place(row); err != nil {
			return nil, err
		}
	}
	for i := range r.rows {
		if err := r.lease(ctx, &r.rows[i].Session, ports); err != nil {
			return nil, err
		}
	}
	return doubts, nil
}

// claims says what of another session a row has, or nothing: its slot, if that is by's,
// or a port.
func (r Rebuilt) claims(by string, ports map[int]string) string {
	if by != "" && r.Slot != 0 {
		return fmt.Sprintf("session %s has slot %d, which %s has, too", r.Slug, r.Slot, by)
	}
	for name, port := range r.Ports {
		if other, taken := ports[port]; taken {
			return fmt.Sprintf("session %s has port %d (%s), which %s has, too", r.Slug, port, name, other)
		}
	}
	return ""
}

// yield takes from a row what is another session's.
func (r *Rebuilt) yield(by string, ports map[int]string) {
	if by != "" {
		r.Slot = 0
	}
	r.Ports = maps.Clone(r.Ports)
	maps.DeleteFunc(r.Ports, func(_ string, port int) bool { return ports[port] != "" })
	Doubtful(&r.Session, "what it had of slot and ports is another session's")
}

// place adds a row whose slot nothing tells, in one that is free.
func (r *Rebuilding) place(row Rebuilt) (err error) {
	held := map[int]string{}
	for _, other := range r.rows {
		if other.Repo == row.Repo {
			held[other.Slot] = other.Slug
		}
	}
	if row.Slot, err = session.FreeSlot(held, max(r.cfgs[row.Key].MaxSlots, len(held)+1)); err != nil {
		return err
	}
	r.rows = append(r.rows, row)
	return nil
}

// lease gives a session the ports of its native services that nothing tells: those of
// containers its up leases.
func (r *Rebuilding) lease(ctx context.Context, s *session.Session, taken map[int]string) error {
	cfg, made := r.cfgs[s.Key]
	missing := func(name string) bool { return s.Ports[name] == 0 }
	if !made || s.State != fsm.Failed || !slices.ContainsFunc(cfg.NativeLeases(), missing) {
		return nil
	}
	wants, err := steps.Wants(ctx, cfg, s.Slot)
	if err != nil {
		return err
	}
	others := maps.Clone(taken)
	for _, port := range s.Ports {
		delete(others, port)
	}
	if s.Ports, err = session.Reserve(s.Ports, wants, others); err != nil {
		return fmt.Errorf("lease ports for session %s: %w", s.Slug, err)
	}
	for _, port := range s.Ports {
		taken[port] = s.Slug
	}
	return nil
}
