package display

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"ecluse/saga"
)

// screen is as much of a terminal as live needs. It breaks long lines, as
// terminals do, and on a resize it reflows them, as most do.
type screen struct {
	columns  int
	rows     []screenRow
	row, col int
	wrap     bool
	// highest is the highest row that was written to or wiped since it was
	// last reset.
	highest int
}

type screenRow struct {
	cells []rune
	// more: the next row goes on with the same line.
	more bool
}

func newScreen(columns int) *screen {
	return &screen{columns: columns, wrap: true, rows: make([]screenRow, 1)}
}

func (s *screen) Write(text string) {
	for text != "" {
		if strings.HasPrefix(text, "\x1b[") {
			end := 2 + strings.IndexFunc(text[2:], func(r rune) bool { return r >= 0x40 })
			s.control(text[2:end], text[end])
			text = text[end+1:]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\n':
			s.rows[s.row].more = false
			s.feed()
			s.col = 0
		case '\r':
			s.col = 0
		default:
			s.put(r)
		}
	}
}

func (s *screen) feed() {
	s.row++
	if s.row == len(s.rows) {
		s.rows = append(s.rows, screenRow{})
	}
}

func (s *screen) put(r rune) {
	if s.col >= s.columns {
		if !s.wrap {
			s.col = s.columns - 1
		} else {
			s.rows[s.row].more = true
			s.feed()
			s.col = 0
		}
	}
	s.highest = min(s.highest, s.row)
	row := &s.rows[s.row]
	for len(row.cells) <= s.col {
		row.cells = append(row.cells, ' ')
	}
	row.cells[s.col] = r
	s.col++
}

func (s *screen) control(parameters string, final byte) {
	switch final {
	case 'A':
		n, err := strconv.Atoi(parameters)
		if err != nil || n < 1 {
			panic(fmt.Sprintf("cursor up %q", parameters))
		}
		s.row = max(0, s.row-n)
	case 'K':
		s.highest = min(s.highest, s.row)
		row := &s.rows[s.row]
		if parameters == "2" {
			row.cells = nil
		} else {
			row.cells = row.cells[:min(s.col, len(row.cells))]
		}
		row.more = false
	case 'h', 'l':
		if parameters != "?7" {
			panic("mode " + parameters)
		}
		s.wrap = final == 'h'
	case 'm':
	default:
		panic(fmt.Sprintf("escape sequence %q %c", parameters, final))
	}
}

// resize breaks all lines anew.
func (s *screen) resize(columns int) {
	var rows []screenRow
	var line []rune
	for i, r := range s.rows {
		line = append(line, r.cells...)
		if r.more && i < len(s.rows)-1 {
			continue
		}
		if i == s.row {
			s.row = len(rows)
		}
		for len(line) > columns {
			rows = append(rows, screenRow{cells: line[:columns:columns], more: true})
			line = line[columns:]
		}
		rows = append(rows, screenRow{cells: line})
		line = nil
	}
	s.rows, s.columns, s.col = rows, columns, 0
}

// text is what can be read, lines that were broken put together.
func (s *screen) text() string {
	var b strings.Builder
	for _, r := range s.rows {
		text := string(r.cells)
		if !r.more {
			text = strings.TrimRight(text, " ") + "\n"
		}
		b.WriteString(text)
	}
	return strings.TrimRight(b.String(), "\n")
}

func newTestLive(s *screen, o lines) *live { return newLive(o, func() int { return s.columns }) }

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func TestLive(t *testing.T) {
	s := newScreen(60)
	s.Write("$ ecluse up feat-x\n")
	v := newTestLive(s, lines{style: style{color: true}})
	step := func(name string, i int, phase saga.Phase, seconds int, err string) {
		t.Helper()
		s.Write(v.notice(at(seconds), saga.Notice{Step: name, Index: i, Total: 6, Phase: phase, Attempt: 1, Elapsed: time.Second, Err: err}))
	}
	want := func(moment string, lines ...string) {
		t.Helper()
		lines = append([]string{"$ ecluse up feat-x"}, lines...)
		if diff := cmp.Diff(strings.Join(lines, "\n"), s.text()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", moment, diff)
		}
		if s.col != 0 || !s.wrap || len(strings.TrimSpace(string(s.rows[s.row].cells))) > 0 {
			t.Fatalf("%s: the cursor is at %d,%d, wrap %t", moment, s.row, s.col, s.wrap)
		}
	}
	step("compose", 3, saga.Started, 0, "")
	want("started", "⠋ 3/6 compose 0s")
	s.Write(v.notice(at(1), saga.Notice{Step: "compose", Message: "waiting for db"}))
	s.Write(v.tick(at(2)))
	want("two seconds later", "⠙ 3/6 compose 2s waiting for db")
	step("service:api", 4, saga.Started, 2, "")
	want("two at once", "⠙ 3/6 compose 2s waiting for db", "⠙ 4/6 service:api 0s")
	s.Write(v.notice(at(3), saga.Notice{Step: "compose", Message: "port 1 moved", Warning: true}))
	want("a warning", "warning: compose: port 1 moved", "⠙ 3/6 compose 3s waiting for db", "⠙ 4/6 service:api 1s")
	step("compose", 3, saga.Done, 4, "")
	want("one is done", "warning: compose: port 1 moved", "✓ 3/6 compose 1.0s", "⠙ 4/6 service:api 2s")
	step("service:api", 4, saga.Failed, 5, "exit status 1\nno port")
	step("compose", 3, saga.Compensating, 5, "")
	kept := []string{"warning: compose: port 1 moved", "✓ 3/6 compose 1.0s", "✗ 4/6 service:api exit status 1", "  │ no port"}
	want("back", append(kept, "⠙ 3/6 compose compensating 0s")...)
	s.Write(v.end())
	want("closed", kept...)
	if got := v.tick(at(9)); got != "" {
		t.Errorf("a tick with nothing in hand writes %q", got)
	}
}

func TestLiveTellsWhatTheRunWaitsFor(t *testing.T) {
	s := newScreen(60)
	v := newTestLive(s, lines{})
	s.Write(v.notice(at(0), saga.Notice{Message: "asking pid 4711 to stop"}))
	if got, want := s.text(), "→ asking pid 4711 to stop"; got != want {
		t.Errorf("at once: %q, want %q", got, want)
	}
	s.Write(v.tick(at(12)))
	if got, want := s.text(), "→ asking pid 4711 to stop\n⠙ still waiting, 12s (asking pid 4711 to stop)"; got != want {
		t.Errorf("later: %q, want %q", got, want)
	}
}

func TestLiveIsNarrow(t *testing.T) {
	for columns, want := range map[int]string{
		40: "⠋ 5/6 hook:post_up 0s compiling everyt…",
		30: "⠋ 5/6 hook:post_up 0s compil…",
		20: "⠋ 5/6 hook:post… 0s",
		10: "⠋ 5/6 ho…",
		3:  "⠋",
		1:  "",
	} {
		s := newScreen(columns)
		v := newTestLive(s, lines{})
		v.hand.note(at(0), saga.Notice{Step: "h", Phase: saga.Started}, "5/6 hook:post_up")
		s.Write(v.notice(at(0), saga.Notice{Step: "h", Message: "compiling everything once more"}))
		if got := s.text(); got != want {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
}

func TestLiveBlockIsBounded(t *testing.T) {
	s := newScreen(60)
	v := newTestLive(s, lines{})
	for i := range 50 {
		s.Write(v.notice(at(0), saga.Notice{Step: fmt.Sprint("s", i), Phase: saga.Started}))
	}
	got := strings.Split(s.text(), "\n")
	if len(got) != mostLive || got[mostLive-1] != "  and 43 more" {
		t.Errorf("the block is\n%s", s.text())
	}
}

// After the process was suspended the shell has written below the block.
func TestLiveAfterSuspension(t *testing.T) {
	s := newScreen(60)
	v := newTestLive(s, lines{})
	s.Write(v.notice(at(0), saga.Notice{Step: "a", Phase: saga.Started}))
	s.Write("[1]+ Stopped\n$ fg\n")
	v.continued <- syscall.SIGCONT
	s.Write(v.tick(at(3)))
	want := "⠋ a 0s\n[1]+ Stopped\n$ fg\n⠙ a 3s"
	if diff := cmp.Diff(want, s.text()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The terminal echoes what is typed at the cursor.
func TestLiveAfterAnEcho(t *testing.T) {
	s := newScreen(60)
	v := newTestLive(s, lines{})
	s.Write(v.notice(at(0), saga.Notice{Step: "a", Phase: saga.Started}))
	s.Write("^C")
	s.Write(v.tick(at(1)))
	if got, want := s.text(), "⠙ a 1s"; got != want {
		t.Errorf("after a tick: %q, want %q", got, want)
	}
	s.Write("^C")
	s.Write(v.notice(at(1), saga.Notice{Step: "a", Phase: saga.Done, Elapsed: time.Second}))
	if got, want := s.text(), "✓ a 1.0s"; got != want {
		t.Errorf("in the end: %q, want %q", got, want)
	}
}

// When lines were dropped nobody knows what stands on the screen.
func TestLiveAfterDroppedLines(t *testing.T) {
	v := newTestLive(newScreen(60), lines{}) // takes signals, which a bubble cannot
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		d := &Display{now: time.Now, r: v, out: newOutlet(w), stop: make(chan struct{})}
		d.Notify(saga.Notice{Step: "a", Phase: saga.Started})
		long := saga.Notice{Message: strings.Repeat("x", 1000)}
		for d.out.dropped == 0 {
			if d.Notify(long); d.out.dropped == 0 && len(v.drawn) != 1 {
				t.Fatal("the block was given up before anything was dropped")
			}
		}
		if len(v.drawn) != 0 {
			t.Error("the next redraw will move up although the block may not be there")
		}
		_ = r.Close()
		d.Close()
	})
}

// Whatever happens in whatever order, on a terminal of whatever changing width:
// lines that stay are there, whole and in order; lines that stood there before
// are not touched; in the end no live line is left, but for those that a
// narrower terminal has broken.
func TestLiveKeepsWhatStays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newScreen(rapid.IntRange(1, 60).Draw(rt, "columns"))
		s.Write("before\n")
		v := newTestLive(s, lines{})
		resizes := rapid.Bool().Draw(rt, "resizes")
		kept := []string{"before"}
		for now := range rapid.IntRange(1, 40).Draw(rt, "events") {
			s.highest = len(s.rows)
			own := s.row - len(v.drawn)
			n, stays := drawNotice(rt, now)
			switch {
			case n.Step != "":
				s.Write(v.notice(at(now), n))
			case resizes && rapid.Bool().Draw(rt, "resize"):
				s.resize(rapid.IntRange(1, 60).Draw(rt, "columns"))
				continue
			default:
				s.Write(v.tick(at(now)))
			}
			kept = append(kept, stays...)
			if !resizes && s.highest < own {
				rt.Fatalf("row %d was touched, the block began at %d:\n%s", s.highest, own, s.text())
			}
		}
		s.Write(v.end())
		var got []string
		for _, line := range strings.Split(s.text(), "\n") {
			if strings.ContainsAny(line, strings.Join(spinner, "")) || strings.HasPrefix(line, "  and ") {
				continue
			}
			got = append(got, line)
		}
		if !resizes {
			got = strings.Split(s.text(), "\n")
		}
		if diff := cmp.Diff(kept, got); diff != "" {
			rt.Errorf("(-want +got):\n%s\n%s", diff, s.text())
		}
	})
}

// drawNotice draws a notice, or none, and says which line of it stays.
func drawNotice(rt *rapid.T, now int) (n saga.Notice, stays []string) {
	n = saga.Notice{
		Step:  rapid.SampledFrom([]string{"a", "service:api", strings.Repeat("long", 10), "日本語"}).Draw(rt, "step"),
		Index: 1, Total: 9, Elapsed: time.Second, Attempt: 1,
	}
	switch rapid.SampledFrom([]string{"none", "message", "warning", "start", "done", "failed"}).Draw(rt, "event") {
	case "none":
		return saga.Notice{}, nil
	case "message":
		n.Message = strings.Repeat("word ", rapid.IntRange(1, 30).Draw(rt, "words"))
	case "warning":
		n.Message, n.Warning = fmt.Sprint("number ", now), true
		stays = []string{fmt.Sprintf("warning: %s: number %d", n.Step, now)}
	case "start":
		n.Phase = saga.Started
	case "done":
		n.Phase = saga.Done
		stays = []string{fmt.Sprintf("✓ 1/9 %s 1.0s", n.Step)}
	case "failed":
		n.Phase, n.Err = saga.Failed, fmt.Sprint("error ", now)
		stays = []string{fmt.Sprintf("✗ 1/9 %s error %d", n.Step, now)}
	}
	return n, stays
}

// A real terminal is recognized, its width is followed, and its wishes obeyed.
func TestDetectTerminal(t *testing.T) {
	terminal := openTerminal(t)
	for _, c := range []struct {
		env             map[string]string
		terminal, color bool
	}{
		{nil, true, true},
		{map[string]string{"NO_COLOR": "1"}, true, false},
		{map[string]string{"NO_COLOR": ""}, true, true},
		{map[string]string{"TERM": "dumb"}, false, false},
	} {
		o := Detect(terminal, func(key string) string { return c.env[key] })
		if o.Terminal != c.terminal || o.Color != c.color {
			t.Errorf("%v: terminal %t, color %t", c.env, o.Terminal, o.Color)
		}
	}
	o := Detect(terminal, func(string) string { return "" })
	for _, columns := range []uint16{132, 20} {
		if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
			t.Fatal(err)
		}
		if got := o.Width(); got != int(columns) {
			t.Errorf("width %d, want %d", got, columns)
		}
	}
}

// openTerminal makes a pseudo terminal.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return slave
}
