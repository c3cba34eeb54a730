package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exitStatuses are the rows of a table of exit statuses in a text: "5: busy".
func exitStatuses(text, after string, row *regexp.Regexp) []string {
	_, text, _ = strings.Cut(text, after)
	var list []string
	for line := range strings.Lines(text) {
		match := row.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case match != nil:
			list = append(list, match[1]+": "+match[2])
		case len(list) > 0:
			return list
		}
	}
	return list
}

// TestExitStatusesAreToldAlike: the help and the README say the same of each exit status.
func TestExitStatusesAreToldAlike(t *testing.T) {
	help, err := exec.Command("ecluse", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := exitStatuses(string(help), "Exit status:", regexp.MustCompile(`^  (\d[\d, ]*?)  +(\S.*)$`))
	if len(want) != 14 {
		t.Fatalf("the help has %q", want)
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := exitStatuses(string(text), "| exit status |", regexp.MustCompile(`^\| (\d[\d, ]*) \| (.*) \|$`))
	if diff := cmp.Diff(want, readme); diff != "" {
		t.Errorf("README.md (-help +readme): %s", diff)
	}
}
