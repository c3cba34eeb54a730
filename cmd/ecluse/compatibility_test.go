package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compatibilityPage tells what of the original is the same here.
const compatibilityPage = "../../docs/compatibility.md"

// codeMark is what a page has in backquotes.
var codeMark = regexp.MustCompile("`([^`]+)`")

// pageTable is a table of a page as the cells of its rows, by their first cell.
func pageTable(t *testing.T, path, head string) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(data), "\n"+head+"\n")
	if !found {
		t.Fatalf("%s has no table %q", path, head)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") {
			break
		}
		if name := strings.Trim(cells[0], " `"); !strings.HasPrefix(name, "---") {
			rows[name] = cells[1:]
		}
	}
	return rows
}

// marked are the words of a cell that are code, without the dashes of flags.
func marked(cells ...string) []string {
	words := []string{}
	for _, found := range codeMark.FindAllStringSubmatch(strings.Join(cells, " "), -1) {
		words = append(words, strings.TrimPrefix(found[1], "--"))
	}
	slices.Sort(words)
	return words
}

// helpFlags are a command's own flags, by its help.
func helpFlags(t *testing.T, args ...string) []string {
	t.Helper()
	help, err := exec.Command("ecluse", append(args, "--help")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(help), "\nFlags:\n")
	text, _, _ = strings.Cut(text, "\n\n")
	flags := []string{}
	for _, found := range regexp.MustCompile(`(?m)^  (?:-\w,|   ) --([a-z-]+)`).FindAllStringSubmatch(text, -1) {
		if found[1] != "help" {
			flags = append(flags, found[1])
		}
	}
	slices.Sort(flags)
	return flags
}

// TestCompatibilityFlags: the page lists the flags of each of the original's commands,
// no more and no less.
func TestCompatibilityFlags(t *testing.T) {
	t.Parallel()
	rows := pageTable(t, compatibilityPage, "| command | flags as they were | flags that are new |")
	for name, cells := range rows {
		if diff := cmp.Diff(helpFlags(t, strings.Fields(name)[1:]...), marked(cells...)); diff != "" {
			t.Errorf("%s: flags (-help +page): %s", name, diff)
		}
	}
	if len(rows) < 13 {
		t.Errorf("the page has %d commands, and the original had 12", len(rows)-1)
	}
}

// TestCompatibilityKeys: the keys that the page promises are in the schemas, which are
// those of what the commands print.
func TestCompatibilityKeys(t *testing.T) {
	t.Parallel()
	rows := pageTable(t, compatibilityPage, "| command | keys as they were |")
	for name, cells := range rows {
		data, err := os.ReadFile("../../docs/schema/" + strings.TrimPrefix(name, "ecluse ") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var schema any
		if err := json.Unmarshal(data, &schema); err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		properties(schema, there)
		for _, key := range marked(cells...) {
			if !there[key] {
				t.Errorf("%s has no key %s", name, key)
			}
		}
	}
	if len(rows) != 6 {
		t.Errorf("the page has the keys of %d commands, want 6", len(rows))
	}
}

// properties collects the names of the properties in a schema, but for those of errors.
func properties(node any, into map[string]bool) {
	switch node := node.(type) {
	case []any:
		for _, one := range node {
			properties(one, into)
		}
	case map[string]any:
		for key, value := range node {
			if named, ok := value.(map[string]any); ok && key == "properties" {
				for name := range named {
					into[name] = true
				}
				delete(named, "error")
			}
			properties(value, into)
		}
	}
}
