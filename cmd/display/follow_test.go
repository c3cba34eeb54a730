package display

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecluse/saga"
)

// spoken is a display of a step whose program writes to a log.
type spoken struct {
	*Display
	t    *testing.T
	path string
	text bytes.Buffer // guarded by the display's own lock
}

func speak(t *testing.T, mode Mode, o Options) *spoken {
	s := &spoken{t: t, path: filepath.Join(t.TempDir(), "log")}
	o.Stderr, o.Log = &s.text, func(saga.Notice) string { return s.path }
	s.Display = New(mode, o)
	t.Cleanup(s.Close)
	return s
}

// write adds to the log, as a program does.
func (s *spoken) write(text string) {
	s.t.Helper()
	file, err := os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *spoken) phase(phase saga.Phase, title string) {
	s.Notify(saga.Notice{Step: "hook:post_up", Title: title, Index: 2, Total: 2, Phase: phase, Attempt: 1})
}

// shown is what was written so far.
func (s *spoken) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestWhatProgramsSayIsShown(t *testing.T) {
	s := speak(t, Plain, Options{Verbose: true})
	s.write("of an earlier attempt\n")
	s.phase(saga.Started, "")
	s.write("one\n\x1b[31mtwo\x1b[0m\nhal")
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(s.shown(), "two") { // it comes while the step goes on
		if time.Now().After(deadline) {
			t.Fatalf("it shows\n%s", s.shown())
		}
		<-time.After(5 * time.Millisecond)
	}
	s.write("f\nlast")
	s.phase(saga.Done, "")
	s.phase(saga.Compensating, "hook:pre_down")
	s.write("back\n")
	s.phase(saga.Compensated, "hook:pre_down")
	s.write("of nobody\n")
	s.Close()
	want := `» 2/2 hook:post_up
  hook:post_up │ one
  hook:post_up │ two
  hook:post_up │ half
  hook:post_up │ last
✓ 2/2 hook:post_up 0s
↩ 2/2 hook:pre_down
  hook:pre_down │ back
✓ 2/2 hook:pre_down 0s
`
	if got := s.text.String(); got != want {
		t.Errorf("it shows\n%s, not\n%s", got, want)
	}
}

func TestWhatProgramsSayIsNotShown(t *testing.T) {
	for name, test := range map[string]struct {
		mode    Mode
		verbose bool
	}{"not asked": {Plain, false}, "json": {JSON, true}, "quiet": {Quiet, true}} {
		s := speak(t, test.mode, Options{Verbose: test.verbose})
		s.phase(saga.Started, "")
		s.write("secret\n")
		s.phase(saga.Done, "")
		s.Close()
		if got := s.text.String(); strings.Contains(got, "secret") {
			t.Errorf("%s: it shows\n%s", name, got)
		}
	}
}

// A flood is cut, and its end is there.
func TestAFloodIsCut(t *testing.T) {
	s := speak(t, Plain, Options{Verbose: true})
	s.phase(saga.Started, "")
	var flood strings.Builder
	for n := range 200_000 {
		fmt.Fprintln(&flood, "line", n)
	}
	s.write(flood.String())
	s.write(strings.Repeat("x", 3*followLine))
	s.phase(saga.Done, "")
	s.Close()
	got := s.text.String()
	if len(got) > 8*followMost || !strings.Contains(got, "left out") || !strings.Contains(got, s.path) || !strings.Contains(got, "line 199999\n") {
		t.Errorf("it shows %d bytes, to the end of\n%.2000s", len(got), got)
	}
}

// Above the live lines it stays.
func TestWhatProgramsSayStaysAboveTheLiveLines(t *testing.T) {
	s := speak(t, TTY, Options{Terminal: true, Verbose: true, Color: true})
	s.phase(saga.Started, "")
	s.write("one\n")
	s.phase(saga.Done, "")
	s.Close()
	if got := s.text.String(); !strings.Contains(got, "\x1b[2m  hook:post_up │ one\x1b[0m\n") {
		t.Errorf("it shows %q", got)
	}
}
