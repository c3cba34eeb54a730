package display

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga"
)

var epoch = time.Date(2026, 5, 4, 9, 30, 0, 0, time.UTC)

// transcript is a run that sees every kind of notice.
func transcript() []saga.Notice {
	notices := []saga.Notice{
		{Message: "asking up by pid 4711 to stop"},
		{Step: "compose", Index: 3, Phase: saga.Started, Attempt: 1},
		{Step: "compose", Index: 3, Attempt: 1, Message: "pulling\x1b[31m db\x1b[0m"},
		{Step: "compose", Index: 3, Attempt: 1, Message: "port 5432 moved", Warning: true},
		{Step: "compose", Index: 3, Phase: saga.Done, Attempt: 1, Elapsed: 4100 * time.Millisecond},
		{Step: "hook:post_up", Index: 5, Phase: saga.Started, Attempt: 2},
		{Step: "hook:post_up", Index: 5, Phase: saga.Failed, Attempt: 2, Elapsed: time.Second, Err: "exit status 1\nno such table"},
		{Step: "compose", Index: 3, Phase: saga.Compensating, Attempt: 1},
		{Step: "compose", Index: 3, Phase: saga.Compensated, Attempt: 1, Elapsed: 1200 * time.Millisecond},
		{Step: "worktree", Index: 1, Phase: saga.CompensationFailed, Attempt: 1, Err: "locked"},
	}
	for i := range notices {
		n := &notices[i]
		n.Repo, n.Session, n.Run, n.Time = "/r/.git", "feat-x", "r1", epoch
		if n.Step != "" {
			n.Total = 6
		}
	}
	return notices
}

func show(t *testing.T, mode Mode, o Options, notices []saga.Notice) string {
	t.Helper()
	var b bytes.Buffer
	o.Stderr = &b
	d := New(mode, o)
	for _, n := range notices {
		d.Notify(n)
	}
	d.Close()
	return b.String()
}

// What has a name of its own on the way back is called by that.
func TestTitles(t *testing.T) {
	var notices []saga.Notice
	for _, phase := range []saga.Phase{"", saga.Compensating, saga.Compensated, saga.CompensationFailed} {
		notices = append(notices, saga.Notice{Step: "hook:post_up", Title: "hook:pre_down", Index: 5, Total: 6, Phase: phase, Attempt: 1, Err: "why"})
	}
	want := "  → hook:pre_down: why\n↩ 5/6 hook:pre_down\n✓ 5/6 hook:pre_down 0s\n✗ 5/6 hook:pre_down why\n"
	if got := show(t, Plain, Options{}, notices); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	var e Event
	if err := json.Unmarshal([]byte(show(t, JSON, Options{}, notices[1:2])), &e); err != nil || e.Step != "hook:post_up" || e.Title != "hook:pre_down" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func logNamed(n saga.Notice) string { return "/logs/" + n.Step }

func TestPlain(t *testing.T) {
	want := `→ asking up by pid 4711 to stop
» 3/6 compose
  → compose: pulling db
warning: compose: port 5432 moved
✓ 3/6 compose 4.1s
» 5/6 hook:post_up (attempt 2)
✗ 5/6 hook:post_up exit status 1 (log: /logs/hook:post_up)
  │ no such table
↩ 3/6 compose compensating
✓ 3/6 compose compensated 1.2s
✗ 1/6 worktree compensation failed: locked (log: /logs/worktree)
`
	for _, mode := range []Mode{Plain, Auto, TTY} { // nowhere is a terminal
		if diff := cmp.Diff(want, show(t, mode, Options{Log: logNamed}, transcript())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mode, diff)
		}
	}
}

// A retry that fails just as the attempt before says so in a line.
func TestTheSameFailureAgain(t *testing.T) {
	failed := func(step string, attempt int, err string) saga.Notice {
		return saga.Notice{Session: "x", Step: step, Index: 1, Total: 2, Phase: saga.CompensationFailed, Attempt: attempt, Err: err}
	}
	got := show(t, Plain, Options{Log: logNamed}, []saga.Notice{
		failed("database", 1, "no server\nDETAIL: timeout"), failed("database", 2, "no server\nDETAIL: timeout"), failed("database", 3, "no server\nDETAIL: timeout"),
		failed("other", 1, "no server\nDETAIL: timeout"), failed("database", 4, "refused\nDETAIL: role"), failed("database", 5, "no server\nDETAIL: timeout"),
	})
	if have := strings.Count(got, "DETAIL"); have != 4 {
		t.Errorf("details are shown %d times, want 4:\n%s", have, got)
	}
	if have := strings.Count(got, "✗ 1/2 database"); have != 5 {
		t.Errorf("%d of 5 failures are shown:\n%s", have, got)
	}
}

func TestSeveralSessionsAreNamed(t *testing.T) {
	got := show(t, Plain, Options{Sessions: true}, transcript()[:4])
	for line := range strings.Lines(got) {
		if !strings.Contains(line, "feat-x") {
			t.Errorf("%q does not name its session", line)
		}
	}
}

func TestVerboseTellsTheTime(t *testing.T) {
	got := show(t, Plain, Options{Verbose: true}, transcript()[1:2])
	if want := epoch.Local().Format(time.TimeOnly) + " » 3/6 compose\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQuietShowsWarningsOnly(t *testing.T) {
	got := show(t, Quiet, Options{Terminal: true}, transcript())
	if want := "warning: compose: port 5432 moved\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestColor(t *testing.T) {
	plain := show(t, Plain, Options{}, transcript())
	if strings.Contains(plain, "\x1b") || strings.Contains(plain, "\r") {
		t.Errorf("control characters without color: %q", plain)
	}
	colored := show(t, Plain, Options{Color: true}, transcript())
	if !strings.Contains(colored, "\x1b[32m") || clean(colored) != strings.TrimSuffix(plain, "\n") {
		t.Errorf("colors are missing or change the text: %q", colored)
	}
}

// Whatever a field holds, no control character of it gets out.
func TestNothingGetsOutUncleaned(t *testing.T) {
	evil := "a\x1b[2Jb\u009b31mc\r\ad"
	for _, phase := range []saga.Phase{"", saga.Started, saga.Failed, saga.Compensating, saga.CompensationFailed, saga.Phase(evil)} {
		n := saga.Notice{Repo: evil, Session: evil, Run: evil, Step: evil, Index: 1, Total: 1, Phase: phase, Message: evil, Err: evil}
		for _, mode := range Modes() {
			for _, n.Warning = range []bool{false, true} {
				o := Options{Sessions: true, Log: func(saga.Notice) string { return evil }}
				got := show(t, mode, o, []saga.Notice{n})
				if strings.ContainsAny(got, "\x1b\u009b\r\a") || strings.Contains(got, `\u00`) {
					t.Errorf("%s, phase %q: %q", mode, phase, got)
				}
			}
		}
	}
}

func TestJSON(t *testing.T) {
	notices := transcript()
	got := show(t, JSON, Options{Terminal: true, Color: true, Log: logNamed}, notices)
	var events []Event
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, `{"schema":"ecluse.progress.v1",`) {
			t.Errorf("%q does not begin with the schema", line)
		}
		var e Event
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events = append(events, e)
	}
	if len(events) != len(notices) {
		t.Fatalf("%d events of %d notices", len(events), len(notices))
	}
	took, none := int64(4100), int64(0)
	want := map[int]Event{
		0: {Type: MessageEvent, Message: "asking up by pid 4711 to stop"},
		1: {Type: StepEvent, Step: "compose", Index: 3, Total: 6, Phase: saga.Started, Attempt: 1, Log: "/logs/compose"},
		2: {Type: MessageEvent, Step: "compose", Index: 3, Total: 6, Attempt: 1, ElapsedMS: &none, Message: "pulling db"},
		3: {Type: WarningEvent, Step: "compose", Index: 3, Total: 6, Attempt: 1, ElapsedMS: &none, Message: "port 5432 moved"},
		4: {Type: StepEvent, Step: "compose", Index: 3, Total: 6, Phase: saga.Done, Attempt: 1, ElapsedMS: &took, Log: "/logs/compose"},
	}
	for i, e := range want {
		e.Schema, e.Time, e.Repo, e.Session, e.Run = SchemaName, epoch, "/r/.git", "feat-x", "r1"
		if diff := cmp.Diff(e, events[i]); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
	if got, want := events[6].Error, "exit status 1\nno such table"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

// The schema that is published and the struct that is written must not differ.
func TestSchemaHasTheKeysOfEvent(t *testing.T) {
	var schema struct {
		Required   []string
		Properties map[string]any
	}
	if err := json.Unmarshal([]byte(Schema), &schema); err != nil {
		t.Fatal(err)
	}
	var required []string
	for field := range reflect.TypeFor[Event]().Fields() {
		key, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, ok := schema.Properties[key]; !ok {
			t.Errorf("%s is not in the schema", key)
		}
		delete(schema.Properties, key)
		if options == "" {
			required = append(required, key)
		}
	}
	for key := range schema.Properties {
		t.Errorf("%s is in the schema only", key)
	}
	if diff := cmp.Diff(required, schema.Required); diff != "" {
		t.Errorf("required keys (-written +schema):\n%s", diff)
	}
}

func TestSchemaHasThePhases(t *testing.T) {
	var schema struct {
		Properties struct {
			Phase struct{ Enum []saga.Phase }
			Type  struct{ Enum []EventType }
		}
	}
	if err := json.Unmarshal([]byte(Schema), &schema); err != nil {
		t.Fatal(err)
	}
	if n := len(schema.Properties.Phase.Enum); n != 7 {
		t.Errorf("%d phases", n)
	}
	for _, phase := range schema.Properties.Phase.Enum {
		if !phase.Known() {
			t.Errorf("no such phase: %s", phase)
		}
	}
	if diff := cmp.Diff([]EventType{StepEvent, MessageEvent, WarningEvent}, schema.Properties.Type.Enum); diff != "" {
		t.Errorf("types (-want +schema):\n%s", diff)
	}
}

func TestPlainSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &lockedBuffer{}
		d := New(Plain, Options{Stderr: b})
		defer d.Close()
		d.Notify(saga.Notice{Step: "compose", Index: 3, Total: 6, Phase: saga.Started})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := b.String(); got != "» 3/6 compose\n" {
			t.Fatalf("after 9s: %q", got)
		}
		time.Sleep(191 * time.Second)
		synctest.Wait()
		want := "» 3/6 compose\n"
		for _, after := range []string{"10s", "30s", "1m10s", "2m10s", "3m10s"} {
			want += "  still waiting for 3/6 compose, " + after + "\n"
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("after 200s (-want +got):\n%s", diff)
		}
		d.Notify(saga.Notice{Step: "compose", Message: "db is starting (1 of 2 ready)"})
		time.Sleep(11 * time.Second)
		synctest.Wait()
		want += "  → compose: db is starting (1 of 2 ready)\n  still waiting for 3/6 compose: db is starting (1 of 2 ready), 3m30s\n"
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("after a message (-want +got):\n%s", diff)
		}
		d.Notify(saga.Notice{Step: "compose", Index: 3, Total: 6, Phase: saga.Done})
		said := b.String()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.String(); got != said {
			t.Errorf("waits for nothing: %q", strings.TrimPrefix(got, said))
		}
	})
}

func TestPlainSaysWhatTheRunWaitsFor(t *testing.T) {
	p := &plain{}
	p.notice(epoch, saga.Notice{Message: "asking pid 4711 to stop"})
	want := "  still waiting, 12s (asking pid 4711 to stop)\n"
	if got := p.tick(epoch.Add(12 * time.Second)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := p.tick(epoch.Add(13 * time.Second)); got != "" {
		t.Errorf("again after a second: %q", got)
	}
}

func TestWaitingNamesNotMoreThanThree(t *testing.T) {
	var h inHand
	for i := range 5 {
		name := fmt.Sprint("s", i)
		h.note(epoch, saga.Notice{Step: name, Phase: saga.Started}, name)
	}
	want := "still waiting for s0, 2s; s1, 2s; s2, 2s; 2 more"
	if got := h.waiting(epoch.Add(2 * time.Second)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every line arrives whole, whoever notifies at the same time.
func TestConcurrentNotices(t *testing.T) {
	for _, o := range []Options{{}, {Terminal: true, Color: true, Width: func() int { return 40 }}} {
		b := &lockedBuffer{}
		o.Stderr = b
		d := New(Auto, o)
		var wg sync.WaitGroup
		const sessions, each = 8, 25
		for s := range sessions {
			wg.Go(func() {
				for i := range each {
					d.Notify(saga.Notice{Session: fmt.Sprint(s), Step: "a", Index: 1, Total: 1, Phase: saga.Started})
					d.Notify(saga.Notice{Session: fmt.Sprint(s), Step: "a", Message: fmt.Sprint(i)})
					d.Notify(saga.Notice{Session: fmt.Sprint(s), Step: "a", Index: 1, Total: 1, Phase: saga.Done})
				}
			})
		}
		wg.Wait()
		d.Close()
		d.Close()
		got := printable(b.String())
		if n := strings.Count(got, "✓ 1/1 a"); n != sessions*each {
			t.Errorf("%d lines of %d", n, sessions*each)
		}
		d.Notify(saga.Notice{Message: "late"})
		if strings.Contains(b.String(), "late") {
			t.Error("a closed display writes")
		}
	}
}

// A reader that does not read must not hold up the run for longer than it takes
// to find out, and must learn what it missed when it reads again.
func TestStalledWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		d := New(Plain, Options{Stderr: w})
		begun := time.Now()
		long := strings.Repeat("x", 1000)
		for range 1000 {
			d.Notify(saga.Notice{Message: long})
		}
		if held := time.Since(begun); held > patience {
			t.Errorf("the run was held up for %s", held)
		}
		var got bytes.Buffer
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(&got, r)
		}()
		synctest.Wait()
		d.Notify(saga.Notice{Message: "back again"})
		d.Close()
		_ = w.Close()
		<-read
		kept := strings.Count(got.String(), long)
		if want := backlog / 1010; kept < want-10 || kept > want+10 {
			t.Errorf("%d lines were kept, want about %d", kept, want)
		}
		if want := fmt.Sprintf("warning: %d lines of progress were dropped: nobody read them\n→ back again\n", 1000-kept); !strings.HasSuffix(got.String(), want) {
			t.Errorf("ends %q, want %q", got.String()[max(0, got.Len()-120):], want)
		}
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		d := New(Plain, Options{Stderr: w})
		begun := time.Now()
		d.Notify(saga.Notice{Message: "hello"})
		d.Close()
		if took := time.Since(begun); took > patience+farewell {
			t.Errorf("took %s", took)
		}
		_ = r.Close() // lets the writer's goroutine end
	})
}

func TestWriteErrorsAreNobodysBusiness(_ *testing.T) {
	r, w := io.Pipe()
	_ = r.Close()
	d := New(Plain, Options{Stderr: w})
	for range 3 {
		d.Notify(saga.Notice{Message: "hello"})
	}
	d.Close()
}

func TestModeIsAFlag(t *testing.T) {
	for _, mode := range Modes() {
		var m Mode
		if err := m.Set(string(mode)); err != nil || m != mode {
			t.Errorf("%s: %s, %v", mode, m, err)
		}
	}
	m := Plain
	if err := m.Set("fancy"); err == nil || m != Plain {
		t.Errorf("fancy: %s, %v", m, err)
	}
}

func TestDetectPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if o := Detect(w, func(string) string { return "" }); o.Terminal || o.Color || o.Width != nil {
		t.Errorf("a pipe is taken for a terminal: %+v", o)
	}
}

// lockedBuffer is a buffer that can be looked at while it is written.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
