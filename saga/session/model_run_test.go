package session

import (
	"strings"
	"testing"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
)

// modelPlan: tree is kept by a teardown that is asked to; web and db stand on it,
// side by side.
func modelPlan() saga.Plan {
	return saga.Plan{Steps: []saga.Spec{
		{Name: "tree", Kind: "test", Keep: true},
		{Name: "web", Kind: "test", Needs: []string{"tree"}},
		{Name: "db", Kind: "test", Needs: []string{"tree"}},
	}}
}

var (
	runUp             = mverb{verb: VerbUp}
	runUpKeep         = mverb{verb: VerbUp, opts: Options{KeepOnFailure: true}}
	runDown           = mverb{verb: VerbDown}
	runStop           = mverb{verb: VerbDown, opts: Options{KeepWorktree: true}}
	runPause          = mverb{verb: VerbDown, opts: Options{KeepWorktree: true, KeepVolumes: true}}
	runAbandon        = mverb{verb: VerbDown, abandons: true}
	runAbandonAndStop = mverb{verb: VerbDown, opts: Options{KeepWorktree: true}, abandons: true}
	runRecover        = mverb{verb: VerbRecover, mode: Auto}
	runBack           = mverb{verb: VerbRecover, mode: Rollback}
)

func TestModel(t *testing.T) {
	patient := modelPlan()
	patient.Steps[1].Policy.Retries, patient.Steps[1].Policy.CompensateRetries = 1, 1
	patient.Steps[2].Policy.BestEffort = true
	holding := saga.Plan{Steps: []saga.Spec{
		{Name: "tree", Kind: "test", Keep: true},
		{Name: "data", Kind: "test", Needs: []string{"tree"}, Data: true},
		{Name: "web", Kind: "test", Needs: []string{"data"}},
	}}
	for _, c := range []struct {
		name                             string
		plan                             saga.Plan
		procs                            int
		verbs                            []mverb
		crashes, fails, damages, signals uint8
	}{
		{"three processes", modelPlan(), 3, []mverb{runUp, runDown, runRecover}, 2, 1, 0, 0},
		{"more faults", modelPlan(), 2, []mverb{runUp, runDown, runRecover}, 3, 2, 0, 0},
		{"repairs", modelPlan(), 2, []mverb{runUp, runDown, runRecover, runBack}, 2, 0, 1, 0},
		{"failing repairs", modelPlan(), 2, []mverb{runUp, runDown, runRecover, runBack}, 1, 1, 1, 0},
		{"signals", modelPlan(), 2, []mverb{runUp, runDown, runRecover}, 1, 1, 0, 2},
		{"options", modelPlan(), 2, []mverb{runUp, runUpKeep, runDown, runStop, runRecover, runBack}, 1, 1, 0, 1},
		{"a stop that asks", modelPlan(), 2, []mverb{runUp, runStop, runDown, runRecover}, 1, 1, 0, 0}, // the first down is the one that asks
		{"retries and best effort", patient, 2, []mverb{runUp, runDown, runRecover}, 1, 3, 0, 0},
		{"data", holding, 2, []mverb{runUp, runDown, runStop, runPause, runRecover}, 1, 1, 0, 0},
		{"abandoning", modelPlan(), 2, []mverb{runUp, runDown, runAbandon, runRecover}, 1, 2, 0, 0},
		{"abandoning what is stopped", modelPlan(), 2, []mverb{runUp, runDown, runAbandonAndStop, runRecover}, 1, 1, 0, 0},
		{"parking", saga.Plan{Steps: modelPlan().Steps[:2]}, 2, []mverb{runUp, runDown, runRecover}, 7, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() || raceDetector {
				if c.crashes == 3 || len(c.verbs) == 6 || raceDetector && c.procs < 3 {
					t.Skip("so many states take too long here")
				}
				c.crashes, c.fails = min(c.crashes, 1), min(c.fails, 1)
			}
			m := newModel(c.plan, c.procs, variant{}, c.verbs...)
			g := m.explore(initial(c.crashes, c.fails, c.damages, c.signals), 1<<22)
			t.Logf("%d states, %d moves, %d records, %d questions to Transition, %s", len(g.states), g.moves, len(m.rows), len(m.memo), g.took)
			if g.violation != "" {
				t.Fatalf("%s\n%s", g.violation, strings.Join(g.trace, "\n"))
			}
			for what, goal := range map[string]func(mstate) bool{"clean": clean, "ready": m.ready} {
				if lost := g.stranded(goal); len(lost) > 0 {
					t.Errorf("%d states have no way to %s; the first: %+v\n%s", len(lost), what, g.states[lost[0]], strings.Join(g.path(lost[0]), "\n"))
				}
			}
			g.oneCommandIsEnough(t)
		})
	}
}

// oneCommandIsEnough checks promise P1 from every state in which nobody is at
// work, whatever happened before and whatever still runs on its own: without
// another fault one up ends with the session active and whole, and one down with
// nothing left. One recover leaves nothing pending.
func (g *graph) oneCommandIsEnough(t *testing.T) {
	begun := time.Now()
	var commands int
	for v, verb := range g.m.verbs {
		var starts []mstate
		seen := map[mstate]bool{}
		for _, s := range g.states {
			if s.procs != [maxProcs]mproc{} {
				continue
			}
			s.crashes, s.fails, s.damages, s.signals = 0, 0, 0, 0
			s.procs[0] = mproc{mode: locked, verb: uint8(v)}
			if parks := g.m.rows[s.row].s.Run.Takeovers >= maxTakeovers; !seen[s] && !parks {
				seen[s], starts = true, append(starts, s)
			}
		}
		commands += len(starts)
		for len(starts) > 0 {
			s := starts[len(starts)-1]
			starts = starts[:len(starts)-1]
			alone := *g.m
			alone.procs = 1
			alone.moves(s, func(_ move, to mstate, _ bool, violation string) {
				to = g.m.canonical(to)
				if violation == "" {
					violation = g.m.judgeState(to)
				}
				if violation == "" && to.procs[0].mode == idle {
					violation = g.m.notEnough(verb, to)
				} else if violation == "" && !seen[to] {
					seen[to], starts = true, append(starts, to)
				}
				if violation != "" && !t.Failed() {
					t.Errorf("one %s %s: %s\n%+v\n%s", verb.verb, verb.mode, violation, to, essence(g.m.rows[to.row].s))
				}
			})
		}
	}
	t.Logf("one command is enough from %d states, %s", commands, time.Since(begun))
}

// holds reports whether data is left.
func (m *model) holds(s mstate) bool {
	for i, spec := range m.plan.Steps {
		if spec.Data && s.world[i] != none {
			return true
		}
	}
	return false
}

// notEnough says what is wrong with the state that a command leaves.
func (m *model) notEnough(verb mverb, s mstate) string {
	row := m.rows[s.row].s
	switch {
	case verb.verb == VerbUp && (row.State != fsm.Active || !m.ready(s) && s.orphans == [maxOrphans]orphan{}):
		return "the session is not active"
	case verb.verb == VerbDown && !verb.opts.KeepWorktree && !clean(s):
		return "something is left"
	case verb.verb == VerbDown && !verb.opts.KeepVolumes && m.holds(s):
		return "data is left"
	case verb.verb == VerbDown && row.State != fsm.Stopped && row.State != fsm.Absent, row.State.Pending():
		return "the session is " + string(row.State)
	}
	return ""
}
