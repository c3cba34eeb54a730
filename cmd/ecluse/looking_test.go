package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecluse/steps/docker/dockertest"
)

// lookingConfig has a native service beside those of the compose file.
const lookingConfig = `
mode = "hybrid"
max_slots = 2
port_search_range = 2
[[services]]
name = "web"
base_port = %d
command = "exec webapp"
`

const lookingFile = `
services:
  store:
    image: IMAGE
    command: ["-say", "hello from store", "-serve", ":80"]
    ports: ["PORT:80"]
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 200ms}
  plain:
    image: IMAGE
  once:
    image: IMAGE
    command: ["-exit", "0"]
`

// newContainerWorld is a world whose containers go with the test.
func newContainerWorld(t *testing.T, config, compose string) *world {
	t.Helper()
	dockertest.Require(t)
	w := newWorld(t, config)
	w.docker = true
	w.write("compose.yaml", strings.NewReplacer("IMAGE", dockertest.Image(t), "PORT", fmt.Sprint(w.base+30)).Replace(compose))
	w.commit("compose")
	t.Cleanup(func() {
		for _, left := range w.resources() {
			t.Errorf("the test leaves %s", left)
		}
		ids, _ := exec.Command("docker", "ps", "-aq", "--filter", "label=ecluse.repo="+w.root+"/.git").Output()
		for _, id := range lines(string(ids)) {
			_ = exec.Command("docker", "rm", "-f", id).Run()
		}
	})
	return w
}

// at is a value of what a command printed with --json.
func at(t *testing.T, o outcome, path string) string {
	t.Helper()
	have, err := valueAt([]byte(o.stdout), path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return have
}

// mustBe compares values of what a command printed with --json.
func mustBe(t *testing.T, o outcome, want map[string]string) {
	t.Helper()
	for path, value := range want {
		if have := at(t, o, path); have != value {
			t.Errorf("%s is %s, not %s\n%s", path, have, value, o.stdout)
		}
	}
}

func TestLookingAtContainers(t *testing.T) {
	t.Parallel()
	w := newContainerWorld(t, lookingConfig, lookingFile)
	w.ecluse(0, "up", "feat-x")
	calls := w.countingDocker()
	o := w.run([]string{calls.path}, "status", "feat-x", "--json")
	mustBe(t, o, map[string]string{
		"all_healthy": "true", "drift.#": "0", "services.#": "4", "services.0.state": "up",
		"services.1.name": "once", "services.1.state": "exited", "services.1.healthy": "true",
		"services.2.name": "plain", "services.2.state": "running", "services.2.port": "null",
		"services.3.name": "store", "services.3.type": "docker", "services.3.state": "healthy", "services.3.actual_port": "null",
	})
	port := at(t, o, "services.3.port")
	if port != at(t, o, "services.3.listening_ports.0") || !strings.HasPrefix(port, fmt.Sprint(w.base + 30)[:3]) {
		t.Errorf("its port is %s: %s", port, o.stdout)
	}
	if n := calls.of("ps"); n > 2 {
		t.Errorf("docker was asked %d times for what there is: %v", n, calls.all())
	}
	store := at(t, o, "services.3.container")
	w.ownsContainer(store, port)

	// What it wrote, followed over a restart, until the session goes.
	if o := w.ecluse(0, "logs", "feat-x", "store"); !strings.Contains(o.stdout, "hello from store") {
		t.Errorf("the log of the container is %q", o.stdout)
	}
	var followed bytes.Buffer
	follower := w.command("logs", "feat-x", "store", "-f")
	output := filepath.Join(w.dir, "followed")
	file, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	follower.Stdout, follower.Stderr = file, &followed
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	says := func() int {
		data, _ := os.ReadFile(output)
		return strings.Count(string(data), "hello from store")
	}
	w.eventually("the log is followed", func() bool { return says() == 1 })

	// A container that is ended is not healthy; nor is one that is paused.
	dockertest.Docker(t, "pause", store)
	mustBe(t, w.ecluse(1, "status", "feat-x", "--json"), map[string]string{"services.3.state": "paused", "services.3.healthy": "false", "services.2.healthy": "true"})
	dockertest.Docker(t, "unpause", store)
	dockertest.Docker(t, "kill", store)
	mustBe(t, w.ecluse(1, "status", "feat-x", "--json"), map[string]string{"services.3.state": "exited", "services.0.healthy": "true"})
	dockertest.Docker(t, "start", store)
	w.eventually("the restarted one is followed", func() bool { return says() == 2 })
	w.ecluse(0, "status", "feat-x", "--wait", "1m")
	dockertest.Docker(t, "rm", "-f", store)
	o = w.ecluse(1, "status", "feat-x", "--json")
	mustBe(t, o, map[string]string{"services.3.state": "down", "services.3.container": "null", "drift.#": "1"})
	w.ecluse(0, "up", "feat-x")
	w.ecluse(0, "status", "feat-x")
	// Where the engine does not answer nothing is said to be well, and the rest is
	// shown all the same.
	o = w.run([]string{w.refusingDocker()}, "status", "feat-x", "--json")
	mustBe(t, o, map[string]string{"services.0.state": "up", "services.3.state": "unknown", "all_healthy": "false"})

	w.ecluse(0, "down", "feat-x")
	if err := follower.Wait(); err != nil {
		t.Errorf("following ended with %v: %s", err, followed.String())
	}
	w.mustBeClean("at the end")
}

// ownsContainer asks whose the process of a container is. Where the engine's processes
// are not ours to see there is nothing to be asked.
func (w *world) ownsContainer(id, port string) {
	t := w.t.(*testing.T)
	t.Helper()
	pid := strings.TrimSpace(dockertest.Docker(t, "inspect", "--format", "{{.State.Pid}}", id))
	data, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil || !strings.Contains(string(data), id) {
		t.Logf("the container's process %s cannot be told from here: %v %s", pid, err, data)
		return
	}
	mustBe(t, w.ecluse(0, "whose-pid", pid, "--json"), map[string]string{
		"slug": "feat-x", "service": "store", "container": id, "port": port,
	})
}

// countingDocker is a docker that notes how it was called.
type countingDocker struct{ path, notes string }

func (w *world) countingDocker() countingDocker {
	w.t.Helper()
	program, err := exec.LookPath("docker")
	if err != nil {
		w.t.Fatal(err)
	}
	c := countingDocker{path: "PATH=" + filepath.Join(w.dir, "bin") + ":" + os.Getenv("PATH"), notes: filepath.Join(w.dir, "calls")}
	script := fmt.Sprintf("#!/bin/sh\necho \"$1\" >> %s\nexec %s \"$@\"\n", c.notes, program)
	if err := os.MkdirAll(filepath.Join(w.dir, "bin"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "bin", "docker"), []byte(script), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// refusingDocker is a PATH with a docker that never reaches its engine.
func (w *world) refusingDocker() string {
	w.t.Helper()
	dir := filepath.Join(w.dir, "refusing")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	script := "#!/bin/sh\necho 'Cannot connect to the Docker daemon at unix:///none. Is the docker daemon running?' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH")
}

// all are the calls, by their first word.
func (c countingDocker) all() []string {
	data, _ := os.ReadFile(c.notes)
	return lines(string(data))
}

// of counts the calls that begin with a word.
func (c countingDocker) of(word string) int {
	return len(slices.DeleteFunc(c.all(), func(one string) bool { return one != word }))
}
