package display

import (
	"time"

	"ecluse/saga"
)

// silence is how long plain is silent before it says what it waits for, mostSilence how
// long at most before it says so again: each pause is twice the one before.
const silence, mostSilence = 10 * time.Second, time.Minute

// plain appends one line for each notice.
type plain struct {
	lines
	hand inHand
	last time.Time // when something was last written
	// told is how often it has said since then what it waits for.
	told int
}

func (p *plain) notice(now time.Time, n saga.Notice) string {
	p.hand.note(now, n, p.label(n))
	p.last, p.told = now, 0
	return p.lines.notice(n)
}

func (p *plain) tick(now time.Time) string {
	if now.Sub(p.last) < min(silence<<min(p.told, 8), mostSilence) {
		return ""
	}
	what := p.hand.waiting(now)
	if what == "" {
		return ""
	}
	p.last = now
	p.told++
	return p.style.paint(Dim, "  "+what) + "\n"
}

func (p *plain) said(now time.Time, n saga.Notice, lines []string) string {
	p.last, p.told = now, 0
	return p.output(n, lines)
}

func (p *plain) end() string          { return "" }
func (p *plain) every() time.Duration { return time.Second }

// quiet shows what must be seen.
type quiet struct{ lines }

func (q quiet) notice(_ time.Time, n saga.Notice) string {
	if !n.Warning {
		return ""
	}
	return q.warning(n)
}

func (q quiet) tick(time.Time) string { return "" }
func (q quiet) end() string           { return "" }
func (q quiet) every() time.Duration  { return 0 }
