package dockertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The images that .ci/images makes.
const (
	Postgres = "postgres:15"
	Redis    = "redis:7"
	// Node stands in for an image of Node.js. Its npm knows nothing but ci, and its
	// packages are Debian's: pg and redis, for all that is run in it.
	Node = "ecluse-test/node:1"
)

// RequireImages is Require for a test that runs these images as well. They are
// made by .ci/images, not by a test.
func RequireImages(t testing.TB, names ...string) {
	t.Helper()
	Require(t)
	for _, name := range names {
		if out, err := docker(nil, "image", "inspect", "--format", "{{.Id}}", name); err != nil {
			if os.Getenv(EnvRequire) == "require" {
				t.Fatalf("the image %s is required here, see .ci/images: %v: %s", name, err, out)
			}
			t.Skipf("there is no image %s here, see .ci/images", name)
		}
	}
}

// NPM is a folder with an npm for the PATH, for machines on which no registry can
// be asked: `npm ci` gives a project the packages that are in the image Node,
// which must be there, and nothing else is known to it.
func NPM(t testing.TB) string {
	t.Helper()
	dir, err := npm()
	if err != nil {
		t.Fatalf("make the npm of the tests: %v", err)
	}
	return dir
}

// npmScript is what `npm ci` is for a project of the tests.
const npmScript = `#!/bin/sh
test "$1" = ci && test -f package-lock.json || exit 1
rm -rf node_modules
exec cp -R -P "$(dirname "$0")/modules" node_modules
`

// npm makes the folder, once a machine.
var npm = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("ecluse-test-npm-%d-%s", os.Getuid(), strings.ReplaceAll(filepath.Base(Node), ":", "-")))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, "npm")
	if _, err := os.Stat(path); err == nil {
		return dir, nil
	}
	modules := filepath.Join(dir, "modules")
	if err := os.RemoveAll(modules); err != nil {
		return "", err
	}
	id, err := docker(nil, "create", Node)
	if err != nil {
		return "", fmt.Errorf("docker create: %w: %s", err, id)
	}
	defer func() { _, _ = docker(nil, "rm", string(id)) }()
	if out, err := docker(nil, "cp", string(id)+":/usr/share/nodejs", modules); err != nil {
		return "", fmt.Errorf("docker cp: %w: %s", err, out)
	}
	if err := os.WriteFile(path+".new", []byte(npmScript), 0o755); err != nil {
		return "", err
	}
	return dir, os.Rename(path+".new", path)
})

// RequireNode skips the test where there is no Node.js, or fails it if that is
// required.
func RequireNode(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv(EnvRequire) == "require" {
			t.Fatalf("node is required here: %v", err)
		}
		t.Skipf("no node here: %v", err)
	}
}
