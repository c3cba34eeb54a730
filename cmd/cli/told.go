package cli

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"ecluse/cmd/display"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
)

// told is what people were told while it happened, and need not be told again, and what
// is kept for the end, where it is found.
type told struct {
	mode display.Mode

	mu       sync.Mutex // guards what follows
	failures map[string]bool
	hints    []string
}

// note takes note of a notice, and returns what is to be shown of it now.
func (t *told) note(n saga.Notice) saga.Notice {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mode == display.JSON {
		return n // for programs
	}
	if n.Err != "" && t.mode != display.Quiet {
		t.failures[n.Err] = true
	}
	if saved, command, ok := steps.SavedWork(n.Message); ok && n.Warning {
		n.Message = saved
		if !slices.Contains(t.hints, command) {
			t.hints = append(t.hints, command)
		}
	}
	return n
}

// brief is the text of an error in which a failure that was shown already is only named,
// by its first line: below it is what a program said.
func (t *told) brief(text string, of session.Failure) string {
	if t == nil {
		return text
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	first, _, more := strings.Cut(of.Message, "\n")
	if !more || !t.failures[of.Message] {
		return text
	}
	return strings.Replace(text, of.Message, first, 1)
}

// hint says at the end, after the result, what was kept for it.
func (a *app) hint() {
	if a.told == nil {
		return
	}
	a.told.mu.Lock()
	defer a.told.mu.Unlock()
	for _, command := range a.told.hints {
		fmt.Fprintf(a.Stderr, "hint: %s\n", command)
	}
	a.told.hints = nil
}
