// Package dockertest lets tests use a real engine and a real Compose, and see to it
// that nothing is left. Its image is made of one static program, so no registry
// is asked for anything.
package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed tool/main.go
var source []byte

// EnvRequire is the variable that makes a missing engine a failure: "require".
const EnvRequire = "ECLUSE_TEST_DOCKER"

// Require skips the test where no engine or no Compose answers, or fails it if
// they are required.
func Require(t testing.TB) {
	t.Helper()
	if err := available(); err != nil {
		if os.Getenv(EnvRequire) == "require" {
			t.Fatalf("docker is required here: %v", err)
		}
		t.Skipf("no docker here: %v", err)
	}
}

// Wanted reports whether tests that need an engine are to run: where one answers, and
// where it is required.
func Wanted() bool { return available() == nil || os.Getenv(EnvRequire) == "require" }

var available = sync.OnceValue(func() error {
	for _, args := range [][]string{{"version"}, {"compose", "version"}} {
		if out, err := docker(nil, args...); err != nil {
			return fmt.Errorf("docker %s: %w: %s", args[0], err, out)
		}
	}
	return nil
})

// Image is the name of the image whose program is /tool; see there for what it can
// do. It is built if this machine does not have it yet, and stays.
func Image(t testing.TB) string {
	t.Helper()
	name, err := image()
	if err != nil {
		t.Fatalf("make the test image: %v", err)
	}
	return name
}

// Tool is the path of the program itself, for images that a test builds.
func Tool(t testing.TB) string {
	t.Helper()
	path, err := tool()
	if err != nil {
		t.Fatalf("build the program of the test image: %v", err)
	}
	return path
}

// version names what the image and the program are made of.
func version() string {
	return fmt.Sprintf("%x", sha256.Sum256(source))[:12]
}

// tool builds the program, once a machine.
var tool = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("ecluse-test-tool-%d-%s", os.Getuid(), version()))
	path := filepath.Join(dir, "tool")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), source, 0o644); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path+".new", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GO111MODULE=off", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, os.Rename(path+".new", path)
})

// image imports the program as an image, once a machine.
var image = sync.OnceValues(func() (string, error) {
	name := "ecluse-test/tool:" + version()
	path, err := tool()
	if err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(filepath.Dir(path), "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := docker(nil, "image", "inspect", name); err == nil {
		return name, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "tool", Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg},
		{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir},
	} {
		if err := w.WriteHeader(&h); err != nil {
			return "", err
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(data); err != nil {
				return "", err
			}
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if out, err := docker(b.Bytes(), "import", "--change", `ENTRYPOINT ["/tool"]`, "-", name); err != nil {
		return "", fmt.Errorf("docker import: %w: %s", err, out)
	}
	return name, nil
})

// lock takes an exclusive lock that ends with the process at the latest.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// docker runs docker for at most a minute.
func docker(stdin []byte, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return bytes.TrimSpace(out), err
}

// Docker runs docker and returns what it wrote; a failure fails the test.
func Docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := docker(nil, args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Left lists everything that carries a label ("ecluse.session=x"): containers,
// networks, volumes and images.
func Left(t testing.TB, label string) []string {
	t.Helper()
	var left []string
	for kind, args := range map[string][]string{
		"container": {"ps", "--all", "--quiet"}, "network": {"network", "ls", "--quiet"},
		"volume": {"volume", "ls", "--quiet"}, "image": {"image", "ls", "--quiet"},
	} {
		out := Docker(t, append(args, "--filter", "label="+label)...)
		for _, id := range strings.Fields(out) {
			left = append(left, kind+" "+id)
		}
	}
	return left
}

// Clean fails the test at its end if anything carries the label then, and removes
// it.
func Clean(t testing.TB, label string) {
	t.Helper()
	t.Cleanup(func() {
		left := Left(t, label)
		if len(left) == 0 {
			return
		}
		t.Errorf("still there with label %s: %s", label, strings.Join(left, ", "))
		for _, kind := range []string{"container", "network", "volume", "image"} {
			for _, one := range left {
				if id, ok := strings.CutPrefix(one, kind+" "); ok {
					args := []string{kind, "rm", "--force", id}
					if kind == "network" {
						args = []string{kind, "rm", id}
					}
					_, _ = docker(nil, args...)
				}
			}
		}
	})
}
