package main

import "testing"

// TestWeakness runs one script for each fault of the tool that this one replaces
// that no other test shows to be gone: it does what made the fault appear, and
// looks whether it does.
func TestWeakness(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/weakness")
}
