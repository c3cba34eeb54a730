package display

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"ecluse/saga"
)

// mostAgain is how much of a failure is said again, in columns.
const mostAgain = 60

// lines writes notices as lines that stay.
type lines struct {
	style    style
	sessions bool
	verbose  bool
	log      func(saga.Notice) string
	// failed is what was last said of the failure of a step. Nil: it is said in
	// full each time.
	failed map[failing]string
}

// failing is one way of a step to fail.
type failing struct {
	repo, session, run, step string
	phase                    saga.Phase
}

// label names what a notice is about: "feat-x 3/6 compose".
func (l lines) label(n saga.Notice) string {
	var session, place string
	if l.sessions {
		session = oneLine(n.Session)
	}
	if n.Index > 0 && n.Total > 0 {
		place = fmt.Sprintf("%d/%d", n.Index, n.Total)
	}
	return join(session, place, oneLine(cmp.Or(n.Title, n.Step)))
}

// transition is the line of a step that changed its phase.
func (l lines) transition(n saga.Notice) string {
	label, took := l.label(n), l.style.paint(Dim, Duration(n.Elapsed))
	switch n.Phase {
	case saga.Started:
		return l.mark(n, Bold, markStart, join(label, attempt(n)))
	case saga.Done:
		return l.mark(n, Green, markDone, join(label, took))
	case saga.Failed:
		if n.Cancelled { // what failed is another one
			return l.mark(n, Dim, markCancelled, join(label, "cancelled", took))
		}
		return l.mark(n, Red, markFailed, join(label, l.failure(n)))
	case saga.Compensating:
		return l.mark(n, Yellow, markBack, join(label, unless(n.Title, "compensating"), attempt(n)))
	case saga.Compensated:
		return l.mark(n, Green, markDone, join(label, unless(n.Title, "compensated"), took))
	case saga.CompensationFailed:
		return l.mark(n, Red, markFailed, join(label, unless(n.Title, "compensation failed:"), l.failure(n)))
	default:
		return l.mark(n, Normal, markMessage, join(label, oneLine(string(n.Phase))))
	}
}

// unless is the word for what becomes of a step, unless it has a name for that.
func unless(title, word string) string {
	if title != "" {
		return ""
	}
	return word
}

// attempt marks what is not the first attempt.
func attempt(n saga.Notice) string {
	if n.Attempt < 2 {
		return ""
	}
	return fmt.Sprintf("(attempt %d)", n.Attempt)
}

// failure says why a step failed and where its output is; in a few words if it is just
// what the attempt before it failed with.
func (l lines) failure(n saga.Notice) string {
	text := clean(n.Err)
	key := failing{n.Repo, n.Session, n.Run, n.Step, n.Phase}
	if before, known := l.failed[key]; known && before == text {
		return "again: " + truncate(oneLine(text), mostAgain)
	}
	if l.failed != nil {
		l.failed[key] = text
	}
	if log := logOf(l.log, n); log != "" {
		log = l.style.paint(Dim, "(log: "+log+")")
		first, rest, more := strings.Cut(text, "\n")
		if text = join(first, log); more {
			text += "\n" + rest
		}
	}
	return text
}

// logOf is the path of the log that belongs to a notice.
func logOf(log func(saga.Notice) string, n saga.Notice) string {
	if log == nil || n.Step == "" {
		return ""
	}
	return clean(log(n))
}

// message is the line of a message, of a step or of the run as a whole.
func (l lines) message(n saga.Notice) string {
	text := clean(n.Message)
	if text == "" {
		text = clean(n.Err)
	}
	if text == "" {
		return ""
	}
	n.Index = 0
	label := l.label(n)
	if label != "" {
		label += ":"
	}
	indent := ""
	if n.Step != "" {
		indent = "  "
	}
	return l.mark(n, Normal, indent+l.style.paint(Dim, markMessage), join(label, text))
}

// warning is the line of a message that must be seen.
func (l lines) warning(n saga.Notice) string {
	n.Index = 0
	text := clean(n.Message)
	if text == "" {
		text = clean(n.Err)
	}
	label := l.label(n)
	if label != "" {
		label += ":"
	}
	return l.mark(n, Yellow, "warning:", join(label, text))
}

// mark makes a line, or several when text has more than one.
func (l lines) mark(n saga.Notice, s Style, mark, text string) string {
	clock := ""
	if l.verbose && !n.Time.IsZero() {
		clock = l.style.paint(Dim, n.Time.Local().Format(time.TimeOnly)) + " "
	}
	text = strings.ReplaceAll(text, "\n", "\n  "+l.style.paint(Dim, markMore)+" ")
	return clock + l.style.paint(s, mark) + " " + text + "\n"
}

// notice is the line of any notice.
func (l lines) notice(n saga.Notice) string {
	switch {
	case n.Warning:
		return l.warning(n)
	case n.Phase != "":
		return l.transition(n)
	default:
		return l.message(n)
	}
}
