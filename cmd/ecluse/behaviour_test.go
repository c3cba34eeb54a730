package main

import (
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestBehaviour runs one script for each behaviour of the tool that this one
// replaces: the compatibility that we promise, and where we differ on purpose,
// what takes the behaviour's place. Every script begins with the behaviour.
func TestBehaviour(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/behaviour")
}

// behaviours is how many there are, numbered from 1.
const behaviours = 29

var numberedScript = regexp.MustCompile(`^(\d\d)_[a-z0-9_]+\.txtar$`)

// Each behaviour has exactly one script that begins with its number. What
// begins otherwise, such as with docker, is beside the numbers.
func TestEveryBehaviourHasAScript(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/behaviour/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int][]string{}
	for _, path := range paths {
		name := filepath.Base(path)
		if match := numberedScript.FindStringSubmatch(name); match != nil {
			number, _ := strconv.Atoi(match[1])
			found[number] = append(found[number], name)
		} else if name[0] >= '0' && name[0] <= '9' {
			t.Errorf("%s is no name such as 01_version_works.txtar", name)
		}
	}
	for number := 1; number <= behaviours; number++ {
		if names := found[number]; len(names) != 1 {
			t.Errorf("behaviour %d has the scripts %q, want one", number, names)
		}
		delete(found, number)
	}
	for number, names := range found {
		t.Errorf("there is no behaviour %d: %q", number, names)
	}
}
