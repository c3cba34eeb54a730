package run

import (
	"regexp"
	"strings"
)

var (
	// noise are lines that stand at the end, or have "error" in them, and say nothing of
	// the cause: what package managers, compilers and runtimes add to it.
	noise = regexp.MustCompile(`(?i)^(npm (err!|error)( (code|errno|syscall|path|command|a complete log|run "npm help).*| *)?` +
		`|(error: )?could not compile .*|error: aborting due to .*|for more information about this error.*|some errors have detailed.*` +
		"|note: run with `rust_backtrace.*|stack backtrace:|goroutine \\d+ .*|main\\.\\S+\\(.*\\)|exit status \\d+|node\\.js v[\\d.]+" +
		`|.*\b(0|no) errors?\b.*|to see a list of supported npm commands.*|traceback .*|[{}()\[\];^~ ]*)$`)
	// cause are words of lines that tell one.
	cause = regexp.MustCompile(`(?i)(^|[^a-z])errors?\b|[a-z]error\b|\bpanic:|\bfatal\b|[a-z]exception\b|\berr!|unknown command|not found|no such file|cannot find|permission denied|\brefused\b`)
	// manager begins what a package manager says of what it ran, or ran into.
	manager = regexp.MustCompile(`(?i)^npm (err!|error\b)`)
)

// Telling is the line of a program's output that most likely says why it failed: the
// last one that speaks of an error, or the last one. What is indented goes on with what
// stands before it, as a stack does. Of npm it is the first: it goes on with advice.
func Telling(text string) string {
	var last, flush, told, managed string
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		if bare == "" {
			continue
		}
		last = bare
		if noise.MatchString(bare) || strings.TrimLeft(line, " \t") != line {
			continue
		}
		flush = bare
		switch {
		case manager.MatchString(bare):
			if managed == "" {
				managed = bare
			}
		case cause.MatchString(bare):
			told = bare
		}
	}
	for _, found := range []string{told, managed, flush, last} {
		if found != "" {
			return found
		}
	}
	return ""
}

// Shown is a program's output as an error shows it: the line that tells most, and, if
// there are more, all of them below it, indented.
func Shown(text, indent string) string {
	if !strings.Contains(text, "\n") {
		return strings.TrimSpace(text)
	}
	return Telling(text) + "\n" + indent + strings.ReplaceAll(text, "\n", "\n"+indent)
}
