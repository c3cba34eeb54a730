package fsm

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// want is the table of the design, written down a second time on purpose: rows
// are states, columns events, "" is "means nothing here".
var want = map[State]map[Event]State{
	Absent:      {Up: PendingUp},
	PendingUp:   {Up: PendingUp, Down: PendingDown, Done: Active, Rollback: PendingDown, Fail: Failed},
	Active:      {Up: PendingUp, Down: PendingDown},
	Stopped:     {Up: PendingUp, Down: PendingDown},
	Failed:      {Up: PendingUp, Down: PendingDown},
	PendingDown: {Down: PendingDown, Done: Absent, Keep: Stopped, Fail: Failed},
}

func TestNextIsTheTable(t *testing.T) {
	for _, s := range States() {
		for _, e := range Events() {
			got, err := Next(s, e)
			to, ok := want[s][e]
			switch {
			case ok && (err != nil || got != to):
				t.Errorf("Next(%s, %s) = %s, %v; want %s", s, e, got, err, to)
			case !ok && !errors.Is(err, ErrTransition):
				t.Errorf("Next(%s, %s) = %s, %v; want ErrTransition", s, e, got, err)
			case !ok && got != s:
				t.Errorf("Next(%s, %s) moved to %s although it refused", s, e, got)
			}
		}
	}
}

func TestNextRefusesTheUnknown(t *testing.T) {
	for _, c := range []struct {
		s State
		e Event
	}{{"zombie", Up}, {"", Up}, {Active, "explode"}, {Active, ""}} {
		if got, err := Next(c.s, c.e); !errors.Is(err, ErrTransition) || got != c.s {
			t.Errorf("Next(%q, %q) = %q, %v", c.s, c.e, got, err)
		}
	}
}

// Wherever a crash leaves a session (a crash changes no state: it only takes
// the owner away), commands and the ends that their runs can reach lead to
// active and lead to absent.
func TestEveryStateHasAWayOut(t *testing.T) {
	for _, goal := range []State{Active, Absent} {
		for _, from := range States() {
			seen := map[State]bool{from: true}
			for queue := []State{from}; len(queue) > 0; queue = queue[1:] {
				for _, e := range Events() {
					if to, err := Next(queue[0], e); err == nil && !seen[to] {
						seen[to] = true
						queue = append(queue, to)
					}
				}
			}
			if !seen[goal] {
				t.Errorf("no way from %s to %s", from, goal)
			}
		}
	}
}

// No pending state is a dead end even when every run fails at once.
func TestAFailedRunLeavesAStateThatCommandsAccept(t *testing.T) {
	for _, s := range States() {
		if !s.Pending() {
			continue
		}
		failed, err := Next(s, Fail)
		if err != nil {
			t.Fatalf("%s cannot fail: %v", s, err)
		}
		for _, e := range []Event{Up, Down} {
			if _, err := Next(failed, e); err != nil {
				t.Errorf("%s after a failure in %s: %v", e, s, err)
			}
		}
	}
}

func TestReadmeShowsTheDiagram(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), Mermaid()) {
		t.Errorf("README.md does not carry the lifecycle as generated:\n%s", Mermaid())
	}
}
