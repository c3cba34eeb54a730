package docker_test

import (
	"strings"
	"testing"

	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
)

// TestNotOurs: what a user made of a session's image, and runs of it, is the user's,
// whatever labels it has from there.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{
		"compose.yaml": "services: {web: {build: {context: .}, command: [\"-serve=:80\"]}}\n",
		"Dockerfile":   "FROM IMAGE\nENV X=1\n",
	})
	s.start(t)
	image, derived, other, taken := s.up.Name+"-web", "derived-"+s.up.Session, "tag-"+s.up.Session, "commit-"+s.up.Session
	s.write(t, "more/Dockerfile", "FROM "+image+"\nENV Y=2\n")
	dockertest.Docker(t, "build", "-q", "-t", derived, s.dir+"/more")
	dockertest.Docker(t, "tag", image, other)
	dockertest.Docker(t, "commit", s.up.Name+"-web-1", taken)
	names := map[string]string{derived: "", taken: "", image: ""}
	for from := range names {
		names[from] = dockertest.Docker(t, "run", "-d", from, "-serve=:80")
	}
	t.Cleanup(func() {
		for from, container := range names {
			dockertest.Docker(t, "rm", "-f", container)
			dockertest.Docker(t, "image", "rm", "-f", from)
		}
	})
	there := func(format, kind, name string) bool {
		return dockertest.Docker(t, kind, "ls", "--no-trunc", "--format", format, "--filter", name) != ""
	}
	if err := s.engine.Verify(t.Context(), s.up); err != nil {
		t.Errorf("beside the containers of the user: %v", err)
	}
	var stays []string
	s.downKeeping(t, docker.DownOptions{Stays: func(image string) { stays = append(stays, image) }})
	for from, container := range names {
		if !there("{{.ID}}", "container", "id="+container) {
			t.Errorf("the container of %s is gone or stopped", from)
		}
	}
	for _, image := range []string{derived, other, taken} {
		if !there("{{.ID}}", "image", "reference="+image) {
			t.Errorf("image %s is gone", image)
		}
	}
	if there("{{.ID}}", "container", "name="+s.up.Name+"-web-1") || there("{{.ID}}", "image", "reference="+image) || len(stays) > 0 {
		t.Errorf("the session's own is left, or was said to stay: %v", stays)
	}
	// With no other name the image of a container cannot go.
	dockertest.Docker(t, "tag", other, image)
	dockertest.Docker(t, "image", "rm", other)
	s.downKeeping(t, docker.DownOptions{Stays: func(image string) { stays = append(stays, image) }})
	if strings.Join(stays, " ") != image+":latest" || !there("{{.ID}}", "image", "reference="+image) {
		t.Errorf("said to stay is %v; want %s", stays, image)
	}
}
