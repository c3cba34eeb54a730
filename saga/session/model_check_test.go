package session

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecluse/fsm"
)

// judgeState checks what must hold in every state; the text is the violation.
func (m *model) judgeState(s mstate) string {
	row := m.rows[s.row]
	state := row.s.State
	acting, orphans := false, uint8(0)
	for j := range m.plan.Steps {
		actors := 0
		for _, p := range s.procs {
			if p.tries[j].running() {
				actors++
			}
		}
		for _, o := range s.orphans {
			if o.try != 0 && int(o.step) == j {
				actors++
				orphans |= 1 << j
			}
		}
		if actors > 1 {
			return "actors: two at " + m.name(j)
		}
		acting = acting || actors > 0
	}
	for j := range m.plan.Steps {
		if v := m.judgeStep(s, row, j); v != "" {
			return v
		}
	}
	waited := row.haunted
	for _, p := range s.procs {
		waited |= p.haunted
	}
	switch {
	case acting && (state == fsm.Absent || state == fsm.Active || state == fsm.Stopped):
		return fmt.Sprintf("actors: somebody acts while the session is %s", state)
	case orphans&^waited != 0:
		return "haunted: nobody will wait for an orphan"
	case (acting || s.world != [maxModel]uint8{}) && (row.s.Slot == 0 || len(row.s.Ports) == 0):
		return "lease: slot or ports are free while something is there"
	}
	return ""
}

// judgeStep is judgeState of one step.
func (m *model) judgeStep(s mstate, row mrow, j int) string {
	bit := uint8(1) << j
	there, entire := s.world[j] != none, s.world[j] == whole || s.damaged&bit != 0
	made := row.done&bit != 0
	switch state := row.s.State; {
	case state == fsm.Absent && there:
		return "leak: " + m.name(j) + " is there and the session is not"
	case state == fsm.Active && !made && !m.plan.Steps[j].Policy.BestEffort:
		return "active: " + m.name(j) + " was not done"
	case state == fsm.Active && made && !entire:
		return "active: " + m.name(j) + " is not whole"
	case state == fsm.Stopped && there && !made:
		return "leak: " + m.name(j) + " is there though the session is stopped"
	case state == fsm.Stopped && made && !entire:
		return "stopped: " + m.name(j) + " was to be kept"
	case there && (row.remaining|row.kept)&bit == 0:
		return "intent: " + m.name(j) + " is there and the journal does not know"
	}
	return ""
}

// canonical is the representative of all states that differ in names only.
func (m *model) canonical(s mstate) mstate {
	slices.SortFunc(s.orphans[:], func(a, b orphan) int {
		return cmp.Or(cmp.Compare(b.step, a.step), cmp.Compare(b.try, a.try))
	})
	slices.SortFunc(s.procs[:m.procs], func(a, b mproc) int {
		return cmp.Or(
			cmp.Compare(b.mode, a.mode), cmp.Compare(b.verb, a.verb), cmp.Compare(b.seen, a.seen), cmp.Compare(b.way, a.way),
			cmp.Compare(b.missing, a.missing), cmp.Compare(b.haunted, a.haunted), cmp.Compare(b.fence, a.fence),
			cmp.Compare(b.flags, a.flags), slices.Compare(b.tries[:], a.tries[:]))
	})
	return s
}

// graph is what was explored.
type graph struct {
	m      *model
	states []mstate
	index  map[mstate]uint32
	parent []uint32
	label  []uint16 // in names
	names  []move
	number map[move]uint16
	// The moves that are no faults, as pairs.
	from, to []uint32
	moves    int
	// violation found, if any, and the moves that lead to it.
	violation string
	trace     []string
	took      time.Duration
}

// explore visits every state that can be reached, breadth-first, until a violation
// is found or limit states were seen.
func (m *model) explore(start mstate, limit int) *graph {
	begun := time.Now()
	g := &graph{m: m, index: map[mstate]uint32{}, number: map[move]uint16{}}
	g.add(start, 0, move{})
	for at := 0; at < len(g.states) && g.violation == "" && len(g.states) < limit; at++ {
		m.moves(g.states[at], func(label move, to mstate, fault bool, violation string) {
			if g.violation != "" {
				return
			}
			g.moves++
			id, isNew := g.add(m.canonical(to), uint32(at), label)
			if !fault {
				g.from, g.to = append(g.from, uint32(at)), append(g.to, id)
			}
			if violation == "" && isNew {
				violation = m.judgeState(g.states[id])
			}
			if class, _, _ := strings.Cut(violation, ":"); violation != "" && !slices.Contains(m.unchecked, class) {
				g.violation, g.trace = violation, append(g.path(uint32(at)), m.text(label))
			}
		})
	}
	g.took = time.Since(begun)
	return g
}

// add numbers a state.
func (g *graph) add(s mstate, parent uint32, label move) (uint32, bool) {
	if id, ok := g.index[s]; ok {
		return id, false
	}
	id := uint32(len(g.states))
	g.index[s] = id
	name, ok := g.number[label]
	if !ok {
		name = uint16(len(g.names))
		g.number[label], g.names = name, append(g.names, label)
	}
	g.states, g.parent, g.label = append(g.states, s), append(g.parent, parent), append(g.label, name)
	return id, true
}

// path is the shortest way to a state.
func (g *graph) path(id uint32) []string {
	var out []string
	for ; id != 0; id = g.parent[id] {
		out = append(out, g.m.text(g.names[g.label[id]]))
	}
	slices.Reverse(out)
	return out
}

// stranded lists states from which no state that is a goal can be reached without
// another fault.
func (g *graph) stranded(goal func(mstate) bool) []uint32 {
	// Predecessors, packed.
	begin := make([]uint32, len(g.states)+1)
	for _, to := range g.to {
		begin[to+1]++
	}
	for i := 1; i < len(begin); i++ {
		begin[i] += begin[i-1]
	}
	before, next := make([]uint32, len(g.to)), slices.Clone(begin)
	for k, to := range g.to {
		before[next[to]] = g.from[k]
		next[to]++
	}
	reached := make([]bool, len(g.states))
	var queue []uint32
	for id, s := range g.states {
		if goal(s) {
			reached[id] = true
			queue = append(queue, uint32(id))
		}
	}
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, p := range before[begin[id]:begin[id+1]] {
			if !reached[p] {
				reached[p] = true
				queue = append(queue, p)
			}
		}
	}
	var out []uint32
	for id, ok := range reached {
		if !ok {
			out = append(out, uint32(id))
		}
	}
	return out
}

// quiet reports whether nobody is at work.
func quiet(s mstate) bool {
	return s.procs == [maxProcs]mproc{} && s.orphans == [maxOrphans]orphan{}
}

// clean is the state in which nothing of the session is left.
func clean(s mstate) bool { return s.row == 0 && quiet(s) && s.world == [maxModel]uint8{} }

// ready is a state in which the session is active and whole.
func (m *model) ready(s mstate) bool {
	if m.rows[s.row].s.State != fsm.Active || !quiet(s) {
		return false
	}
	for j := range m.plan.Steps {
		if s.world[j] != whole && !m.plan.Steps[j].Policy.BestEffort {
			return false
		}
	}
	return true
}
