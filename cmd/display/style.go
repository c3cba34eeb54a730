package display

import "strings"

// Style is how a text stands out where colors are allowed. Nothing is said by
// a style alone.
type Style string

// The styles: all the colors there are.
const (
	Normal Style = ""
	Dim    Style = "2"
	Bold   Style = "1"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// The marks.
const (
	markStart     = "»"
	markDone      = "✓"
	markFailed    = "✗"
	markCancelled = "–"
	markBack      = "↩"
	markMessage   = "→"
	markMore      = "│"
	ellipsis      = "…"
)

// spinner is what turns in front of a live line.
var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// style colors texts, or leaves them alone.
type style struct{ color bool }

// paint returns text in the style s.
func (p style) paint(s Style, text string) string {
	if !p.color || s == Normal || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// join joins what is not empty by spaces.
func join(parts ...string) string {
	var filled []string
	for _, part := range parts {
		if part != "" {
			filled = append(filled, part)
		}
	}
	return strings.Join(filled, " ")
}
