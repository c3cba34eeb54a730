package docker_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
)

// TestAt: the first question tells of an engine that is not there what asking for just
// that would tell, whatever the question is.
func TestAt(t *testing.T) {
	t.Parallel()
	dockertest.Require(t)
	silent := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // nobody accepts, and the system does
	for name, at := range map[string]docker.Place{
		"nobody":     {Host: "unix://" + t.TempDir() + "/none"},
		"silent":     {Host: "unix://" + silent},
		"no host":    {Host: "what://ever"},
		"no context": {Context: "ecluse-test-no-such-context"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			e := docker.At(at)
			err := e.Down(ctx, docker.DownOptions{Project: docker.Project{Name: "x"}, Session: "x"})
			if !errors.Is(err, docker.ErrUnreachable) || !strings.Contains(err.Error(), at.String()) {
				t.Errorf("down: %v; want ErrUnreachable at %s", err, at)
			}
			if errors.Is(err, docker.ErrNoContext) != (name == "no context") {
				t.Errorf("down: %v", err)
			}
		})
	}
	// Who gives up is told of that alone.
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	time.AfterFunc(200*time.Millisecond, func() { cancel(enough) })
	if _, err := docker.At(docker.Place{Host: "unix://" + silent}).PublishedPorts(ctx); !errors.Is(err, enough) || errors.Is(err, docker.ErrUnreachable) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestFirstAnswer: what an engine that is there answers is no word of whether it is; and
// once it has answered, it is not asked that.
func TestFirstAnswer(t *testing.T) {
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho $1 >>" + calls + "\ncase $1 in version) echo 1; exit 0;; esac\necho no such thing >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	e := docker.At(docker.Place{Context: "default"})
	for range 2 {
		if _, err := e.PublishedPorts(t.Context()); err == nil || errors.Is(err, docker.ErrUnreachable) || !strings.Contains(err.Error(), "no such thing") {
			t.Errorf("asked: %v; want what docker has said", err)
		}
	}
	said, err := os.ReadFile(calls)
	if got := strings.Fields(string(said)); err != nil || strings.Join(got, " ") != "ps version ps" {
		t.Errorf("docker was called for %v, %v", got, err)
	}
}
