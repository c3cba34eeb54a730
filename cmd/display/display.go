package display

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"ecluse/saga"
)

// Mode is how progress is shown. Its text is the value of --progress.
type Mode string

// The modes; the package documentation says what each shows.
const (
	Auto  Mode = "auto"
	TTY   Mode = "tty"
	Plain Mode = "plain"
	Quiet Mode = "quiet"
	JSON  Mode = "json"
)

// Modes lists every mode.
func Modes() []Mode { return []Mode{Auto, TTY, Plain, Quiet, JSON} }

// String returns the mode's text; with Set and Type it makes Mode a flag.
func (m *Mode) String() string { return string(*m) }

// Set accepts one of [Modes].
func (m *Mode) Set(text string) error {
	if !slices.Contains(Modes(), Mode(text)) {
		return fmt.Errorf("%q is not a way to show progress; use one of %s", text, m.Type())
	}
	*m = Mode(text)
	return nil
}

// Type names the values, for the help of a flag.
func (m *Mode) Type() string {
	var names []string
	for _, mode := range Modes() {
		names = append(names, string(mode))
	}
	return strings.Join(names, "|")
}

// Options say where progress is written and what is there.
type Options struct {
	// Stderr takes everything that a [Display] writes.
	Stderr io.Writer
	// Terminal: Stderr is a terminal whose cursor can be moved.
	Terminal bool
	// Color: colors may be used.
	Color bool
	// Width is the terminal's present width in columns, 0 if unknown. May be
	// nil. It is asked before every redraw, so that a resize is noticed.
	Width func() int
	// Verbose puts the time of day before every line, lets tty keep the
	// messages of steps that it would show only while they are the last, and
	// shows, in tty and plain, what the programs of steps write to their Log.
	Verbose bool
	// Sessions: several sessions are worked on at once, so every line names
	// its own.
	Sessions bool
	// Log is where the output of the step's attempt went, "" if nowhere. It
	// is named when a step failed. May be nil.
	Log func(saga.Notice) string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Detect finds out what f is: whether it is a terminal, how wide, and, by the
// NO_COLOR and TERM of the environment, whether it may be colored.
func Detect(f *os.File, getenv func(string) string) Options {
	o := Options{Stderr: f}
	fd := int(f.Fd())
	o.Terminal = term.IsTerminal(fd) && getenv("TERM") != "dumb"
	o.Color = o.Terminal && getenv("NO_COLOR") == ""
	if o.Terminal {
		o.Width = func() int {
			width, _, err := term.GetSize(fd)
			if err != nil {
				return 0
			}
			return width
		}
	}
	return o
}

// renderer turns notices and the passing of time into text.
type renderer interface {
	// notice, tick and end return what is to be written; "" is nothing.
	notice(now time.Time, n saga.Notice) string
	tick(now time.Time) string
	end() string
	// every is the time between two ticks, 0 for none.
	every() time.Duration
}

// narrator is a renderer that can show what the programs of a step say.
type narrator interface {
	said(now time.Time, n saga.Notice, lines []string) string
}

// Display shows the progress of one or several runs. It is safe for concurrent
// use. Close it before anything else is written to the same terminal.
type Display struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows, and the order of writes
	r      renderer
	out    *outlet
	closed bool
	follow *follower // nil if nothing is followed

	stop chan struct{}
	idle sync.WaitGroup
}

var _ saga.Sink = (*Display)(nil)

// New makes a display. It writes nothing before it is notified.
func New(mode Mode, o Options) *Display {
	d := &Display{now: o.Now, r: newRenderer(mode, o), out: newOutlet(o.Stderr), stop: make(chan struct{})}
	if d.now == nil {
		d.now = time.Now
	}
	every := d.r.every()
	if _, can := d.r.(narrator); can && o.Verbose && o.Log != nil {
		d.follow, every = &follower{log: o.Log}, followEvery
	}
	if every > 0 {
		d.idle.Go(func() { d.watch(every) })
	}
	return d
}

func newRenderer(mode Mode, o Options) renderer {
	if mode == Auto || mode == TTY {
		mode = Plain
		if o.Terminal {
			mode = TTY
		}
	}
	l := lines{style: style{o.Color}, sessions: o.Sessions, log: o.Log, verbose: o.Verbose, failed: map[failing]string{}}
	switch mode {
	case JSON:
		return jsonLines{log: o.Log}
	case Quiet:
		return quiet{l}
	case TTY:
		return newLive(l, o.Width)
	default:
		return &plain{lines: l}
	}
}

// Notify implements [saga.Sink].
func (d *Display) Notify(n saga.Notice) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if d.follow != nil && n.Phase != "" {
		d.say(d.follow.end(n))
	}
	d.write(d.r.notice(d.now(), n))
	if d.follow != nil && n.Phase.Running() {
		d.follow.begin(n)
	}
}

// write writes a text of the renderer.
func (d *Display) write(text string) {
	if d.out.write(text) {
		return
	}
	if v, ok := d.r.(*live); ok {
		v.drawn = nil // it does not know what is on the screen any more
	}
}

// say writes what the programs of a step said.
func (d *Display) say(n saga.Notice, lines []string) {
	if len(lines) > 0 {
		d.write(d.r.(narrator).said(d.now(), n, lines))
	}
}

// Close takes away the live lines and returns when everything is written, or
// when the writer has not taken it within a second. Later notices are ignored.
func (d *Display) Close() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.closed = true
	d.out.write(d.r.end())
	d.mu.Unlock()
	close(d.stop)
	d.idle.Wait()
	d.out.close()
}

// watch lets time pass for the renderer.
func (d *Display) watch(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			d.tick()
		case <-d.stop:
			return
		}
	}
}

func (d *Display) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.out.stalled() {
		return
	}
	if d.follow != nil {
		for _, one := range d.follow.steps {
			d.say(one.notice, one.read())
		}
	}
	d.out.write(d.r.tick(d.now()))
}
