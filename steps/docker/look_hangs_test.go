package docker_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
)

// TestLookHangs: an engine that takes the question and never answers counts as one that
// does not answer.
func TestLookHangs(t *testing.T) {
	t.Parallel()
	dockertest.Require(t)
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // nobody accepts, and the system does
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := docker.Look(ctx, docker.Place{Host: "unix://" + socket}, "x"); !errors.Is(err, docker.ErrUnreachable) {
		t.Errorf("look: %v, want ErrUnreachable", err)
	}
}
