package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ecluse/steps/docker/dockertest"
)

// TestTheme runs the scripts of what the unit tests of the tool that this one
// replaces were about, a theme each, on the real binary. Where we differ on
// purpose, the first comment of a script says so, and why.
func TestTheme(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/theme")
}

// cmdCompose fills in the compose files below a folder that becomes a repository,
// and sees to it that nothing is left of its sessions in Docker.
func cmdCompose(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: compose DIR")
		}
		dir := ts.MkAbs(args[0])
		base, err := strconv.Atoi(ts.Getenv("BASE"))
		ts.Check(err)
		image := dockertest.Image(t)
		ts.Check(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text := strings.ReplaceAll(withPorts(string(data), base), "IMAGE", image)
			return os.WriteFile(path, []byte(text), 0o600)
		}))
		dockertest.Clean(t, "ecluse.repo="+filepath.Join(dir, ".git"))
		ts.Setenv("WITH_DOCKER", "1")
	}
}

// cmdReleased puts a state file of the first release in a place.
func cmdReleased(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: released FILE")
	}
	data, err := os.ReadFile("../../store/testdata/schema-1.db")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// pidsCanBeChosen reports whether processes can be had whose numbers are their own
// affair.
func pidsCanBeChosen() bool {
	return exec.Command("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo 1 > /proc/sys/kernel/ns_last_pid").Run() == nil
}
