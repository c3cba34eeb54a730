package session

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/fsm"
)

// What the real Manager does is what the model knows. Every transaction of every
// crash test is the answer of Transition to its record and event, and every record
// that they leave is one of those that the model explored.
func TestTracesOfTheManagerAreInTheModel(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("it explores many states")
	}
	var models []*model
	for _, c := range []struct {
		verbs                   []mverb
		crashes, fails, damages uint8
	}{
		{[]mverb{runUp, runDown, runRecover}, 3, 1, 0},
		{[]mverb{runUp, runDown, runStop, runRecover}, 2, 0, 0},
		{[]mverb{runUp, runUpKeep, runDown, runRecover}, 2, 1, 0},
		{[]mverb{runUp, runDown, runRecover}, 2, 0, 2},
		{[]mverb{runUp, runDown, runRecover}, 2, 1, 1},
	} {
		m := newModel(testPlan, 1, variant{noOrphans: true}, c.verbs...)
		g := m.explore(initial(c.crashes, c.fails, c.damages, 0), 1<<20)
		t.Logf("%d states, %d records, %s", len(g.states), len(m.rows), g.took)
		if g.violation != "" || len(g.states) == 1<<20 {
			t.Fatalf("not explored to the end: %q", g.violation)
		}
		models = append(models, m)
	}
	known := func(s Session) bool {
		if s.State == fsm.Absent {
			return true
		}
		return slices.ContainsFunc(models, func(m *model) bool {
			_, ok := m.index[essence(m.rename(s))]
			return ok
		})
	}
	checked := 0
	for _, verb := range verbs {
		for k := 1; ; k++ {
			machine := newMachine(t)
			verb.prepare(machine)
			last := !crashAt(machine, verb.run, k)
			crashAt(machine, runRecoverOf, 1+k%7)
			machine.process().up()
			machine.process().down()
			for i, tr := range machine.trace {
				result, err := Transition(tr.before, tr.event, tr.view)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tr.after, result.Session); d != "" {
					t.Fatalf("%s %d, transaction %d: %s", verb.name, k, i, d)
				}
				checked++
				if !known(tr.after) {
					t.Errorf("%s %d, transaction %d: the model does not know\n%s", verb.name, k, i, essence(models[0].rename(tr.after)))
				}
			}
			if last {
				break
			}
		}
	}
	t.Logf("%d transactions", checked)
}
