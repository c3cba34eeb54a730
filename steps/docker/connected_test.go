package docker_test

import (
	"errors"
	"strings"
	"testing"

	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
)

// A container that somebody has connected to a network of ours keeps it. Who takes the
// session down is told which one it is, and what to do; then nothing is left.
func TestANetworkThatSomebodyElseUses(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": "services: {a: {image: IMAGE}}\n"})
	s.start(t)
	network := s.up.Name + "_default"
	theirs := s.up.Name + "-theirs"
	dockertest.Docker(t, "run", "--detach", "--name", theirs, "--network", network, dockertest.Image(t))
	t.Cleanup(func() { dockertest.Docker(t, "rm", "--force", theirs) })
	var left *docker.LeftError
	err := s.engine.Down(t.Context(), docker.DownOptions{Project: s.up.Project, Session: s.up.Session, Step: "compose"})
	if !errors.As(err, &left) || len(left.Left.Networks) != 1 || len(left.Left.Containers) != 0 {
		t.Fatalf("down: %v, want that the network is left", err)
	}
	command := []string{"network", "disconnect", network, theirs} // as it is told
	if !strings.Contains(err.Error(), "docker "+strings.Join(command, " ")) {
		t.Errorf("down does not say how to let go of the network: %v", err)
	}
	if running := dockertest.Docker(t, "ps", "--quiet", "--filter", "name="+theirs); running == "" {
		t.Error("down has ended a container that is not the session's")
	}
	dockertest.Docker(t, command...)
	s.down(t, docker.DownOptions{Step: "compose"})
	s.gone(t)
}
