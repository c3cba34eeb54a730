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

// TestExitStatusesAreToldAlike: the help, the README and the package say the same of
// each exit status.
func TestExitStatusesAreToldAlike(t *testing.T) {
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	help, err := exec.Command("ecluse", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := exitStatuses(string(help), "Exit status:", regexp.MustCompile(`^  (\d[\d, ]*?)  +(\S.*)$`))
	if len(want) != 14 {
		t.Fatalf("the help has %q", want)
	}
	readme := exitStatuses(read("../../README.md"), "| exit status |", regexp.MustCompile(`^\| (\d[\d, ]*) \| (.*) \|$`))
	doc := exitStatuses(read("../cli/doc.go"), "# Exit statuses", regexp.MustCompile(`^\t(\d[\d, ]*?)  +(\S.*)$`))
	if diff := cmp.Diff(want, readme); diff != "" {
		t.Errorf("README.md (-help +readme): %s", diff)
	}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Errorf("cmd/cli/doc.go (-help +doc): %s", diff)
	}
}
