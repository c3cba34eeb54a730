package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ecluse/steps/docker/dockertest"
)

// houseFile has a volume to be kept.
const houseFile = `
services:
  store:
    image: IMAGE
    command: ["-serve", ":80"]
    ports: ["PORT:80"]
    volumes: ["data:/data"]
volumes:
  data: {}
`

// found is what gc says of one thing.
type found struct {
	Kind, Name, Slug, Why, Keep string
	Removed                     bool
}

// collects runs gc and lists what it says of one kind.
func (w *world) collects(kind string, args ...string) []found {
	w.t.Helper()
	var all, mine []found
	o := w.ecluse(0, append([]string{"gc", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(o.stdout), &all); err != nil {
		w.t.Fatal(err)
	}
	for _, one := range all {
		if one.Kind == kind {
			mine = append(mine, one)
		}
	}
	return mine
}

// What carries the label of a session that is gone goes; what a person made from a
// session's image, what lives, and what another state folder knows stays.
func TestGCOfDocker(t *testing.T) {
	t.Parallel()
	w := newContainerWorld(t, "mode = \"container\"\nmax_slots = 4\nport_search_range = 2\n", houseFile)
	w.ecluse(0, "up", "feat-x")
	w.ecluse(0, "up", "feat-y")
	id := at(t, w.ecluse(0, "ls", "--json"), "0.slug")
	label := strings.TrimSpace(dockertest.Docker(t, "ps", "--filter", "label=ecluse.slug="+id, "--filter", "label=ecluse.repo="+w.root+"/.git",
		"--format", "{{.Label \"ecluse.session\"}}"))
	w.ecluse(0, "down", "feat-x", "--keep-volumes")

	// What docker may have left of it: a network and a container that Compose made, one
	// that a person made, and one of a session that this state has never known.
	image := dockertest.Image(t)
	create := func(name string, labels ...string) {
		args := []string{"create", "--name", name, "--label", "ecluse.repo=" + w.root + "/.git"}
		for _, one := range labels {
			args = append(args, "--label", one)
		}
		dockertest.Docker(t, append(args, image)...)
		t.Cleanup(func() { _ = exec.Command("docker", "rm", "-f", name).Run() })
	}
	tag := filepath.Base(w.dir) + "-" + label
	create("left-"+tag, "ecluse.session="+label, "com.docker.compose.config-hash=x", "com.docker.compose.project=left-"+strings.ToLower(tag))
	create("person-"+tag, "ecluse.session="+label)
	create("stranger-"+tag, "ecluse.session=NEVERKNOWN"+label, "com.docker.compose.config-hash=x")

	if list := w.collects("container"); len(list) != 1 || list[0].Name != "left-"+tag || list[0].Slug != "feat-x" || list[0].Keep != "" {
		t.Errorf("containers %+v", list)
	}
	volumes := w.collects("volume")
	if len(volumes) != 1 || volumes[0].Why != "kept volume of feat-x" || volumes[0].Keep == "" {
		t.Errorf("volumes %+v", volumes)
	}
	// While somebody owns the name nothing of it is touched; here a session is there
	// again.
	w.ecluse(0, "up", "feat-x")
	for _, one := range w.collects("container", "--yes") {
		if one.Removed {
			t.Errorf("%+v was removed although its session is there again", one)
		}
	}
	w.ecluse(0, "down", "feat-x", "--keep-volumes")
	if list := w.collects("container", "--yes"); len(list) != 1 || !list[0].Removed {
		t.Errorf("containers %+v", list)
	}
	have := dockertest.Docker(t, "ps", "--all", "--format", "{{.Names}}")
	for name, want := range map[string]bool{"left-" + tag: false, "person-" + tag: true, "stranger-" + tag: true} {
		if strings.Contains(have, name) != want {
			t.Errorf("%s is there: %t, want %t", name, !want, want)
		}
	}
	if list := w.collects("volume", "--yes"); len(list) == 0 || list[0].Removed {
		t.Errorf("volumes %+v", list)
	}
	w.ecluse(0, "status", "feat-y")
	w.ecluse(0, "doctor")
	w.flushed("person-"+tag, "stranger-"+tag)
}

// flushed flushes all; what nobody can prove to be ours the test removes.
func (w *world) flushed(foreign ...string) {
	w.t.Helper()
	w.ecluse(0, "flush", "--yes")
	if list := w.collects("volume", "--older-than", "0s"); len(list) != 0 {
		w.t.Errorf("after a flush there are %+v", list)
	}
	dockertest.Docker(w.t, append([]string{"rm", "-f"}, foreign...)...)
	w.mustBeClean("after a flush")
}

// Looking works on a state folder that is read-only, and says so.
func TestHouseOnAReadOnlyStateFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "mode = \"host\"\n")
	w.ecluse(0, "up", "feat-x")
	if err := os.MkdirAll(filepath.Join(w.root, ".ecluse/worktrees/empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if status, out := w.readOnly("gc"); status != 0 || !strings.Contains(out, "empty") {
		t.Errorf("gc ended with %d: %s", status, out)
	}
	if status, out := w.readOnly("doctor", "--json"); status != 1 || !strings.Contains(out, `"verdict": "fail"`) || strings.Contains(out, "feat-x was") {
		t.Errorf("doctor ended with %d: %s", status, out)
	}
	if status, out := w.readOnly("gc", "--yes"); status != exitState {
		t.Errorf("gc --yes ended with %d: %s", status, out)
	}
	w.ecluse(0, "flush", "--yes")
	w.mustBeClean("after a flush")
}
