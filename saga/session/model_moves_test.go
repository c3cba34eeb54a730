package session

import (
	"errors"
	"fmt"
	"slices"

	"ecluse/fsm"
	"ecluse/saga"
)

// emit takes one move: what it is called, where it leads, and the violation that
// the move itself is, if it is one. A fault is a move that spends a budget.
type emit func(label move, to mstate, fault bool, violation string)

// move names a move: which process, what, and at which step; -1 where there is
// none.
type move struct {
	proc, step int8
	what, more string
}

// and says what came of it.
func (l move) and(more string) move { l.more = more; return l }

// text is the move for people.
func (m *model) text(l move) string {
	out := l.what + " " + l.more
	if l.proc >= 0 {
		out = fmt.Sprintf("%d: %s", l.proc, out)
	}
	if l.step >= 0 {
		out += " at " + m.name(int(l.step))
	}
	return out
}

// moves lists everything that can happen in a state.
func (m *model) moves(s mstate, emit emit) {
	for i := range m.procs {
		switch p := s.procs[i]; p.mode {
		case idle:
			m.begin(s, i, emit)
		case locked:
			m.look(s, i, emit)
		case looked:
			m.claim(s, i, emit)
		case draining:
			m.drain(s, i, emit)
		case working:
			m.work(s, i, emit)
		}
	}
	m.afar(s, emit)
	if m.rows[s.row].s.State == fsm.Active && s.damages > 0 {
		for i := range m.plan.Steps {
			for _, extent := range []uint8{none, half} {
				to := s
				to.damages--
				to.world[i], to.damaged = extent, s.damaged|1<<i
				emit(move{-1, int8(i), "a user damages", ""}, to, true, "")
			}
		}
	}
}

func (m *model) name(step int) string { return m.plan.Steps[step].Name }

// held reports whether a live process holds the owner lock.
func (m *model) held(s mstate) bool {
	return !m.noLock && slices.ContainsFunc(s.procs[:], func(p mproc) bool { return p.mode != idle })
}

// begin starts a command, or asks the owner of an up to stop.
func (m *model) begin(s mstate, i int, emit emit) {
	if !m.held(s) {
		for v := range m.verbs {
			to := s
			to.procs[i] = mproc{mode: locked, verb: uint8(v)}
			emit(move{int8(i), -1, string(m.verbs[v].verb), string(m.verbs[v].mode)}, to, false, "")
		}
		return
	}
	v := slices.IndexFunc(m.verbs, func(v mverb) bool { return v.verb == VerbDown })
	if row := m.rows[s.row].s; v < 0 || row.State != fsm.PendingUp || row.Run.Stop != nil {
		return
	}
	a := m.ask(mcall{row: s.row, kind: AskStop, fresh: true, verb: uint8(v)})
	to := s
	to.row = a.row
	emit(move{int8(i), -1, "down asks, and dies before it signals", ""}, to, true, a.fault)
	for j := range to.procs {
		if p := &to.procs[j]; p.flags&owns != 0 {
			p.flags |= softStop
			emit(move{int8(i), -1, "down asks the owner to stop", ""}, to, false, a.fault)
		}
	}
}

// look is what a command does between taking the lock and claiming: it reads the
// record, looks at the world, and decides.
func (m *model) look(s mstate, i int, emit emit) {
	p := s.procs[i]
	row := m.rows[s.row]
	verb := m.verbs[p.verb]
	to := s
	q := &to.procs[i]
	*q = mproc{mode: looked, verb: p.verb, seen: s.epoch, haunted: row.haunted}
	leave := func(why string) {
		*q = mproc{}
		emit(move{int8(i), -1, why, ""}, to, false, "")
	}
	way, next, wantsLook := m.way(row.s, verb)
	if way == "" {
		leave("nothing to do")
		return
	}
	if wantsLook {
		for j := range m.plan.Steps {
			if row.done&(1<<j) != 0 && s.world[j] != whole {
				q.missing |= 1 << j
			}
		}
	}
	if row.s.State == fsm.Active && way == ClaimUp && q.missing == 0 {
		leave("all is well")
		return
	}
	if next {
		q.flags |= again
	}
	q.way = uint8(slices.Index(claims, way))
	emit(move{int8(i), -1, "looks, and will", string(way)}, to, false, "")
}

// way is which claim a command makes, as the Manager decides it; next means that
// an up goes on after it, look that it looks for missing steps first.
func (m *model) way(row Session, verb mverb) (way EventKind, next, look bool) {
	absent := row.State == fsm.Absent
	switch verb.verb {
	case VerbUp:
		way, next = upWay(row)
		return way, next, !next && !absent
	case VerbDown:
		if absent || row.stopped(verb.opts) {
			return "", false, false
		}
		return ClaimDown, false, false
	}
	if absent {
		return "", false, false
	}
	way, err := RecoverRequest{Mode: verb.mode}.Way(row)
	if err != nil {
		return "", false, false
	}
	return way, false, row.State != fsm.PendingDown && way != ClaimDown && way != ClaimRollback
}

// claim writes the first transition of the run.
func (m *model) claim(s mstate, i int, emit emit) {
	p := s.procs[i]
	a := m.ask(mcall{row: s.row, kind: claims[p.way], fresh: p.seen == s.epoch, missing: p.missing, verb: p.verb})
	label := move{int8(i), -1, string(claims[p.way]), ""}
	to := s
	q := &to.procs[i]
	if a.err != nil {
		*q = mproc{}
		emit(label.and("is refused"), to, false, "")
		return
	}
	to.row = a.row
	if m.verbs[p.verb].abandons && claims[p.way] == ClaimDown {
		for _, name := range m.rows[s.row].s.Progress.Uncompensated(m.plan) {
			to.world[m.plan.Index(name)] = none // it is the user's from now on
		}
	}
	to.epoch = m.epochAfter(s)
	for j := range to.procs {
		to.procs[j].flags &^= owns
		if j != i && !m.reuseEpochs {
			to.procs[j].fence = 0 // as good as any number that is not the record's
			if to.procs[j].mode == looked {
				to.procs[j].seen = unseen
			}
		}
	}
	*q = mproc{mode: draining, verb: p.verb, fence: to.epoch, haunted: p.haunted, flags: p.flags&again | owns}
	if q.haunted == 0 || m.noDrain {
		q.mode, q.haunted = working, 0
	}
	m.take(&to, i, a, label, emit)
}

// epochAfter is the number that a claim gives the record.
func (m *model) epochAfter(s mstate) uint8 {
	switch {
	case m.reuseEpochs:
		return s.epoch + 1
	default:
		return 1
	}
}

// take gives a process what a decision has it do, or ends its run.
func (m *model) take(to *mstate, i int, a manswer, label move, emit emit) {
	p := &to.procs[i]
	fault := a.fault
	for _, action := range a.actions {
		j := m.plan.Index(action.Step)
		switch action.Kind {
		case saga.ActVerify:
			p.flags |= looking
		case saga.ActCancel:
			p.tries[j] |= cancelled
		case saga.ActDo, saga.ActCompensate:
			if p.tries[j] != 0 {
				fault = "overlap: two attempts of one step in one process"
			}
			p.tries[j] = doing
			if action.Kind == saga.ActCompensate {
				p.tries[j] = undoing
			}
		}
	}
	if a.row == 0 {
		to.epoch = 0 // the row is gone
	}
	if a.outcome != saga.Running {
		if p.tries != [maxModel]try{} {
			fault = "overlap: a run ended while its attempts go on"
		}
		if p.mode == working {
			m.leave(to, i)
		}
	}
	emit(label, *to, false, fault)
}

// leave ends a command, or begins its next claim under the same lock.
func (m *model) leave(to *mstate, i int) {
	p := &to.procs[i]
	if row := m.rows[to.row].s; p.flags&again != 0 && (row.State != fsm.Failed || !backward(row) && !parked(row)) {
		*p = mproc{mode: locked, verb: p.verb}
		return
	}
	*p = mproc{}
}

// drain waits until nothing runs at the haunted steps, and ends what does.
func (m *model) drain(s mstate, i int, emit emit) {
	m.crash(s, i, emit)
	held := false
	for k, o := range s.orphans {
		if o.try == 0 || s.procs[i].haunted&(1<<o.step) == 0 {
			continue
		}
		held = true
		to := s
		to.orphans[k] = orphan{}
		emit(move{int8(i), int8(o.step), "ends the orphan", ""}, to, false, "")
	}
	if held {
		return
	}
	to := s
	to.procs[i].mode, to.procs[i].haunted = working, 0
	if m.rows[s.row].s.State.Pending() {
		emit(move{int8(i), -1, "is alone", ""}, to, false, "")
		return
	}
	m.leave(&to, i) // the claim had parked it
	emit(move{int8(i), -1, "is alone, and done", ""}, to, false, "")
}

// work is a runner at work: stops, attempts and the last look.
func (m *model) work(s mstate, i int, emit emit) {
	m.crash(s, i, emit)
	p := s.procs[i]
	if s.signals > 0 && p.flags&(softStop|stopped) == 0 {
		to := s
		to.signals--
		to.procs[i].flags |= softStop
		emit(move{int8(i), -1, "is signalled", ""}, to, true, "")
	}
	if p.flags&softStop != 0 {
		row := m.rows[s.row].s
		to := s
		to.procs[i].flags = p.flags&^softStop | stopped
		if e, ok := stopEvent(row.Run.Stop, errors.New("x"), row.Progress.Direction); ok {
			m.tell(to, i, mcall{event: e.Kind, step: -1}, move{int8(i), -1, "heeds the signal:", string(e.Kind)}, emit)
		} else {
			emit(move{int8(i), -1, "goes on in spite of the signal", ""}, to, false, "")
		}
	}
	for j := range m.plan.Steps {
		if p.tries[j] != 0 {
			m.attempt(s, i, j, emit)
		}
	}
	if p.flags&looking != 0 {
		m.lookOnceMore(s, i, emit)
	}
}

// lookOnceMore is the last look of a run that goes forward.
func (m *model) lookOnceMore(s mstate, i int, emit emit) {
	c := mcall{event: saga.Verified, step: -1}
	for j := range m.plan.Steps {
		if m.rows[s.row].done&(1<<j) != 0 && s.world[j] != whole {
			c.event, c.lost = "", c.lost|1<<j
		}
	}
	to := s
	to.procs[i].flags &^= looking
	if m.rows[s.row].s.Progress.Direction == saga.Backward {
		emit(move{int8(i), -1, "nobody asks for the look", ""}, to, false, "")
		return
	}
	m.tell(to, i, c, move{int8(i), -1, "looked once more", string(c.event)}, emit)
}

// tell commits an event of the engine.
func (m *model) tell(to mstate, i int, c mcall, label move, emit emit) {
	p := &to.procs[i]
	c.row, c.kind = to.row, Journal
	c.fresh = m.noFence || p.fence == to.epoch && to.row != 0
	if m.noFence && to.row == 0 {
		c.fresh = false
	}
	a := m.ask(c)
	if a.err != nil {
		// Superseded, or a fault: the run ends its attempts and leaves.
		fault := ""
		if !errors.Is(a.err, ErrSuperseded) {
			fault = "grammar: " + a.err.Error()
		}
		*p = mproc{}
		emit(label.and("is refused"), to, false, fault)
		return
	}
	if p.flags&owns == 0 {
		a.fault = "superseded: a process that was superseded wrote"
	}
	to.row = a.row
	m.take(&to, i, a, label, emit)
}

// attempt is one step's attempt getting on.
func (m *model) attempt(s mstate, i, j int, emit emit) {
	t := s.procs[i].tries[j]
	label := move{int8(i), int8(j), "do", ""}
	if t.kind() == undoing {
		label.what = "compensate"
	}
	next := func(stage int, extent uint8, what string, fault bool) {
		to := s
		if fault && t&cancelled == 0 {
			to.fails--
		}
		if extent == whole && t.kind() == doing {
			to.damaged &^= 1 << j
		}
		to.world[j] = extent
		to.procs[i].tries[j] = t.at(stage)
		emit(label.and(what), to, fault, m.order(s, j, t, stage))
	}
	mayFail := s.fails > 0 || t&cancelled != 0
	extent := s.world[j]
	switch t.stage() {
	case waiting:
		for k, o := range s.orphans {
			if o.try != 0 && int(o.step) == j && o.try.kind() == t.kind() && !m.noDrain {
				// Its lock is held: preparing the attempt ends who holds it.
				to := s
				to.orphans[k] = orphan{}
				emit(label.and("ends an orphan"), to, false, "")
				return
			}
		}
		next(spawned, extent, "starts", false)
		steps := m.rows[s.row].s.Progress.Steps // none, for a process that was superseded
		if t.kind() == doing && extent == whole && len(steps) > 0 && steps[j].Resumed {
			next(succeeded, extent, "finds it whole", false)
		}
	case spawned:
		if extent == t.goal() {
			next(succeeded, extent, "has nothing to do", false)
		} else {
			next(halfway, half, "half", false)
		}
	case halfway:
		next(succeeded, t.goal(), "all of it", false)
		if mayFail {
			next(failing, t.goal(), "all of it, and fails", true)
		}
	case succeeded, failing:
		m.report(s, i, j, label, emit)
		return
	}
	if mayFail {
		next(failing, extent, "fails", true)
	}
}

// order checks I3 in the world, when a program is started.
func (m *model) order(s mstate, j int, t try, stage int) string {
	if stage != spawned {
		return ""
	}
	row := m.rows[s.row]
	for k, spec := range m.plan.Steps {
		switch {
		case t.kind() == doing && slices.Contains(m.plan.Steps[j].Needs, spec.Name) &&
			(s.world[k]|s.damaged>>k&1) == none && !spec.Policy.BestEffort:
			return "order: " + m.name(j) + " is begun without " + spec.Name
		case t.kind() == undoing && slices.Contains(spec.Needs, m.name(j)) &&
			s.world[k] != none && row.kept&(1<<k) == 0 && row.s.Progress.Scope == "":
			return "order: " + m.name(j) + " is compensated under " + spec.Name
		}
	}
	return ""
}

// report commits what came of an attempt.
func (m *model) report(s mstate, i, j int, label move, emit emit) {
	t := s.procs[i].tries[j]
	c := mcall{step: int8(j)}
	switch {
	case t.kind() == doing && t.stage() == succeeded:
		c.event = saga.StepDone
	case t.kind() == doing:
		c.event = saga.StepFailed
	case t.stage() == succeeded:
		c.event = saga.StepCompensated
	default:
		c.event = saga.StepCompensationFailed
	}
	s.procs[i].tries[j] = 0
	m.tell(s, i, c, label.and(string(c.event)), emit)
}

// crash kills a process. Each of its programs dies with it or goes on alone.
func (m *model) crash(s mstate, i int, emit emit) {
	if s.crashes == 0 {
		return
	}
	var running []int
	for j, t := range s.procs[i].tries {
		if t.running() && !m.noOrphans {
			running = append(running, j)
		}
	}
	for subset := range 1 << len(running) {
		to := s
		to.crashes--
		to.procs[i] = mproc{}
		fits := true
		for k, j := range running {
			if subset&(1<<k) != 0 {
				fits = fits && to.adopt(orphan{uint8(j), s.procs[i].tries[j].at(s.procs[i].tries[j].stage())})
			}
		}
		if fits {
			emit(move{int8(i), -1, "is killed", ""}, to, true, "")
		}
	}
}

// adopt adds an orphan; there is room for a few.
func (s *mstate) adopt(o orphan) bool {
	k := slices.Index(s.orphans[:], orphan{})
	if k >= 0 {
		o.try &^= cancelled
		s.orphans[k] = o
	}
	return k >= 0
}

// afar is what orphans do: they go on and finish late, or die.
func (m *model) afar(s mstate, emit emit) {
	for k, o := range s.orphans {
		if o.try == 0 {
			continue
		}
		to := s
		if o.try.stage() == spawned && s.world[o.step] != o.try.goal() {
			to.world[o.step], to.orphans[k].try = half, o.try.at(halfway)
		} else {
			to.world[o.step], to.orphans[k] = o.try.goal(), orphan{}
			if o.try.kind() == doing {
				to.damaged &^= 1 << o.step
			}
		}
		emit(move{-1, int8(o.step), "an orphan goes on", ""}, to, false, "")
		to = s
		to.orphans[k] = orphan{}
		emit(move{-1, int8(o.step), "an orphan dies", ""}, to, true, "")
	}
}
