package main

import (
	"os"
	"path/filepath"
	"testing"
)

// tmuxCrashConfig is one service, in tmux.
const tmuxCrashConfig = `
mode = "host"
max_slots = 2
port_search_range = 2

[hooks]
pre_up = 'touch "$LEDGER/$ECLUSE_SLUG.pre_up"'
post_down = 'rm -f "$LEDGER/$ECLUSE_SLUG.pre_up"'
post_up = 'touch "$LEDGER/$ECLUSE_SLUG.post_up"; test ! -e "$LEDGER/fail"'
pre_down = 'rm -f "$LEDGER/$ECLUSE_SLUG.post_up"'

[[services]]
name = "api"
base_port = %d
command = "exec webapp"
`

// everyThird chooses every third point, or all with ECLUSE_TEST_CRASH=all.
func everyThird(points []string) []int {
	var some []int
	for i, k := range everyPoint(points) {
		if i%3 == 0 || os.Getenv("ECLUSE_TEST_CRASH") == "all" {
			some = append(some, k)
		}
	}
	return some
}

// TestCrashAroundTmux kills ecluse at points of making, and of ending, a tmux server
// and what runs in it.
func TestCrashAroundTmux(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("minutes")
	}
	crashes{config: tmuxCrashConfig, choose: everyThird, atOnce: 2, rotate: true, setUp: func(w *world) {
		dir := filepath.Join(w.dir, ".config", "ecluse")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte("process_manager = \"tmux\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}}.run(t)
}
