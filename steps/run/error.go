package run

import (
	"fmt"
	"regexp"
	"strings"

	"ecluse/steps/proc"
)

// maxProgram bounds how much of a command an error shows, in runes.
const maxProgram = 200

// Error is a program that did not do what it should.
type Error struct {
	// Program is the command as people would type it.
	Program string
	// Status is what it exited with; -1 if it did not start or a signal ended
	// it.
	Status int
	// Signal is the name of the signal that ended it ("SIGKILL"), else empty.
	Signal string
	// Tail is the end of its output, at most 1 KB of whole lines without
	// control characters. A log that several programs write to at once may
	// have put a word of another in.
	Tail string
	// Err is why it did not start, or why it was ended: the cause of the
	// context. Nil if it failed all by itself.
	Err error
}

// Error says what happened and what the program said of it, and shows the end of the
// output.
func (e *Error) Error() string {
	text := e.Program + ": "
	exit := proc.Exit{Status: e.Status, Signal: e.Signal}
	switch {
	case e.Err == nil:
		text += exit.String()
	case e.Signal != "":
		text += fmt.Sprintf("%s (%s)", e.Err, exit)
	default:
		text += e.Err.Error()
	}
	if e.Tail == "" {
		return text
	}
	return text + ": " + Shown(e.Tail, "    ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// plain matches what no shell gives a meaning to.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// String is the command as people would type it: of a script that is handed to
// the shell, the script.
func (c Command) String() string {
	if c.Name == "sh" && len(c.Args) == 2 && c.Args[0] == "-c" {
		return shorten(c.Args[1])
	}
	words := make([]string, 0, len(c.Args)+1)
	for _, word := range append([]string{c.Name}, c.Args...) {
		if !plain.MatchString(word) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words = append(words, word)
	}
	return shorten(strings.Join(words, " "))
}

// shorten is the first line of a text, and not too much of it.
func shorten(text string) string {
	text = strings.TrimSpace(text)
	first, _, more := strings.Cut(text, "\n")
	runes := []rune(strings.ToValidUTF8(first, "?"))
	if len(runes) > maxProgram {
		runes, more = runes[:maxProgram], true
	}
	if more {
		return strings.TrimRight(string(runes), " ") + " …"
	}
	return string(runes)
}
