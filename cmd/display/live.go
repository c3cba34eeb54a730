package display

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"ecluse/saga"
)

const (
	// frame is the time between two redraws.
	frame = 100 * time.Millisecond
	// mostLive bounds the live lines: a block that is higher than the
	// terminal could not be redrawn.
	mostLive = 8
	// minLabel is how much of a label must be left beside the time.
	minLabel = 6
	// brief is a wait that nobody needs to be told of.
	brief = 2 * time.Second
	// usualWidth is taken for the width when nobody knows it.
	usualWidth = 80
)

// What moves the cursor. It is never hidden, so nothing has to bring it back.
const (
	up       = "\r\x1b[%dA"
	wipe     = "\x1b[2K"
	wipeRest = "\x1b[K"
	wrapOff  = "\x1b[?7l"
	wrapOn   = "\x1b[?7h"
)

// live writes the lines that stay and, below them, a block with one line for
// each step in hand, which it redraws in place. The cursor rests at the start of
// the line below the block.
//
// A line of the block is shorter than the terminal is wide. If the terminal
// became narrower than a line that stands there, it may have broken it, and
// nobody can tell where the block begins: it is then left as it stands and a new
// one is begun below. The same holds after the process was suspended, when the
// shell has written below it.
type live struct {
	lines
	width func() int
	hand  inHand
	turn  int
	// drawn are the widths of the lines of the block as it stands there.
	drawn     []int
	continued chan os.Signal
}

func newLive(l lines, width func() int) *live {
	v := &live{lines: l, width: width, continued: make(chan os.Signal, 1)}
	signal.Notify(v.continued, syscall.SIGCONT)
	return v
}

func (v *live) notice(now time.Time, n saga.Notice) string {
	v.hand.note(now, n, v.label(n))
	stays := ""
	switch {
	case n.Phase == saga.Started && n.Attempt < 2, n.Phase == saga.Compensating && n.Attempt < 2:
		// The live line says it.
	case n.Phase == "" && n.Step != "" && !n.Warning && !v.verbose:
		// So it does here.
	default:
		stays = v.lines.notice(n)
	}
	return v.draw(now, stays)
}

func (v *live) tick(now time.Time) string {
	v.turn++
	if len(v.drawn) == 0 && len(v.block(now, 0)) == 0 {
		return ""
	}
	return v.draw(now, "")
}

func (v *live) said(now time.Time, n saga.Notice, lines []string) string {
	return v.draw(now, v.output(n, lines))
}

func (v *live) end() string {
	v.hand = inHand{}
	text := v.draw(time.Time{}, "")
	signal.Stop(v.continued)
	return text
}

func (v *live) every() time.Duration { return frame }

// draw writes what stays where the block stood and the block below it. The line
// where the cursor rests is wiped, too: the terminal may have echoed a ^C there.
func (v *live) draw(now time.Time, stays string) string {
	columns := usualWidth
	if v.width != nil {
		if w := v.width(); w > 0 {
			columns = w
		}
	}
	v.giveUp(columns)
	block := v.block(now, columns-1)
	var b strings.Builder
	if n := len(v.drawn); n > 0 {
		fmt.Fprintf(&b, up, n)
		if stays != "" || len(block) < n {
			b.WriteString(strings.Repeat(wipe+"\n", n) + wipe)
			fmt.Fprintf(&b, up, n)
		}
	}
	b.WriteString(stays)
	v.drawn = v.drawn[:0]
	if len(block) > 0 {
		b.WriteString(wrapOff)
		for _, line := range block {
			b.WriteString(v.paintLive(line) + wipeRest + "\n")
			v.drawn = append(v.drawn, width(line.text()))
		}
		b.WriteString(wrapOn + wipe)
	}
	return b.String()
}

// giveUp leaves the block as it stands if it cannot be found again.
func (v *live) giveUp(columns int) {
	select {
	case <-v.continued:
		v.drawn = nil
	default:
	}
	for _, w := range v.drawn {
		if w > columns {
			v.drawn = nil
			return
		}
	}
}

// liveLine is a line of the block.
type liveLine struct{ mark, label, elapsed, message string }

func (l liveLine) text() string { return join(l.mark, l.label, l.elapsed, l.message) }

func (v *live) paintLive(l liveLine) string {
	return join(v.style.paint(Yellow, l.mark), l.label, v.style.paint(Dim, join(l.elapsed, l.message)))
}

// block is what the block should hold now, in lines of at most limit columns.
func (v *live) block(now time.Time, limit int) []liveLine {
	turning := spinner[v.turn%len(spinner)]
	if what := v.hand.waiting(now); what != "" && len(v.hand.steps) == 0 && now.Sub(v.hand.toldAt) >= brief {
		return []liveLine{liveLine{mark: turning, label: what}.fit(limit)}
	}
	var block []liveLine
	for i, s := range v.hand.steps {
		if i == mostLive-1 && len(v.hand.steps) > mostLive {
			return append(block, liveLine{label: fmt.Sprintf("  and %d more", len(v.hand.steps)-i)}.fit(limit))
		}
		line := liveLine{mark: turning, label: s.label, elapsed: Seconds(now.Sub(s.since)), message: s.message}
		if s.back && !s.titled {
			line.label += " compensating"
		}
		block = append(block, line.fit(limit))
	}
	return block
}

// fit cuts a line to limit columns: first its message, then its label.
func (l liveLine) fit(limit int) liveLine {
	l.mark = truncate(l.mark, limit)
	rest := limit - width(l.mark) - 1
	if l.elapsed != "" && rest < width(l.elapsed)+minLabel {
		l.elapsed = ""
	}
	if l.elapsed != "" {
		rest -= width(l.elapsed) + 1
	}
	l.label = truncate(l.label, rest)
	l.message = truncate(l.message, rest-width(l.label)-1)
	return l
}
