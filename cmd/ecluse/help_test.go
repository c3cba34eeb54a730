package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ecluse/cmd/cli"
)

// helpOf is what a verb says of itself.
func helpOf(t *testing.T, verb ...string) string {
	t.Helper()
	out, err := exec.Command("ecluse", append(verb, "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", verb, err, out)
	}
	return string(out)
}

// TestExamplesOfTheHelp: there are some for the verbs that people begin with, and each is
// a command line with flags that its verb has.
func TestExamplesOfTheHelp(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	pages := map[string]string{"": helpOf(t)}
	for _, verb := range cli.Verbs() {
		pages[verb] = helpOf(t, verb)
	}
	for verb, help := range pages {
		_, examples, _ := strings.Cut(help, "\nExamples:\n")
		examples, _, _ = strings.Cut(examples, "\n\n")
		for line := range strings.Lines(examples) {
			for _, part := range strings.Split(strings.TrimSpace(line), " && ") {
				words := strings.Fields(part)
				end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w, `#|>$`) || w == "--" })
				if end >= 0 {
					words = words[:end]
				}
				if len(words) < 2 || words[0] != "ecluse" {
					continue
				}
				have[verb] = true
				// With --help flags are read, and nothing is done.
				if got := helpOf(t, words[1:]...); got != pages[words[1]] {
					t.Errorf("%q is no command line of %s", part, words[1])
				}
			}
		}
	}
	for _, verb := range []string{"", "up", "down", "recover", "exec", "env", "status", "logs"} {
		if !have[verb] {
			t.Errorf("there is no example in `ecluse %s`", strings.TrimSpace(verb+" --help"))
		}
	}
}

// TestHelpEndsWithItsFlags: only the first page has the table of all exit statuses, the
// others say where it is.
func TestHelpEndsWithItsFlags(t *testing.T) {
	t.Parallel()
	if help := helpOf(t); !strings.Contains(help, "\nExit status:\n") {
		t.Errorf("the help has no exit statuses:\n%s", help)
	}
	for _, verb := range cli.Verbs() {
		if help := helpOf(t, verb); !strings.HasSuffix(help, "\n\nExit statuses: ecluse help exit-status\n") || strings.Contains(help, "\nExit status:\n") {
			t.Errorf("the help of %s ends so:\n%s", verb, help[max(0, len(help)-300):])
		}
	}
}
