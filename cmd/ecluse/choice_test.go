package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecluse/steps/docker/dockertest"
)

// choiceConfig is a native service beside containers.
const choiceConfig = `
mode = "hybrid"
max_slots = 3
port_search_range = 2
[env]
STORE = "localhost:${ECLUSE_STORE_PORT}"
[hooks]
pre_spawn = 'if [ -e "$LEDGER/slow" ]; then touch "$LEDGER/waiting"; while [ -e "$LEDGER/slow" ]; do sleep 0.1; done; fi'
[[services]]
name = "web"
base_port = %d
command = "exec webapp"
`

// choiceFile has services of which one depends on another, and one of a profile that
// is not active.
const choiceFile = `
services:
  front:
    image: IMAGE
    command: ["-serve", ":80"]
    ports: ["PORT1:80"]
    depends_on: [store]
  store:
    image: IMAGE
    command: ["-serve", ":80"]
    ports: ["PORT2:80"]
  mail:
    image: IMAGE
    command: ["-serve", ":80"]
    ports: ["PORT3:80"]
  rare:
    image: IMAGE
    command: ["-serve", ":80"]
    profiles: [rare]
`

// newChoiceWorld is a repository with these.
func newChoiceWorld(t *testing.T, config, file string) *world {
	t.Helper()
	dockertest.Require(t)
	w := newWorld(t, config)
	w.docker = true
	w.write(".gitignore", ".ecluse/\n")
	w.write("compose.yaml", strings.NewReplacer("IMAGE", dockertest.Image(t),
		"PORT1", fmt.Sprint(w.base+10), "PORT2", fmt.Sprint(w.base+20), "PORT3", fmt.Sprint(w.base+30)).Replace(file))
	w.commit("services")
	t.Cleanup(func() {
		for _, left := range w.resources() {
			w.t.Errorf("the test leaves %s", left)
		}
		ids, _ := exec.Command("docker", "ps", "-aq", "--filter", "label=ecluse.repo="+w.root+"/.git").Output()
		for _, id := range lines(string(ids)) {
			_ = exec.Command("docker", "rm", "-f", id).Run()
		}
	})
	return w
}

// contained are the services of a session that run in Docker.
func (w *world) contained(slug string) []string {
	w.t.Helper()
	names := lines(w.must(exec.Command("docker", "ps", "--filter", "label=ecluse.slug="+slug,
		"--filter", "label=ecluse.repo="+filepath.Join(w.root, ".git"), "--format", `{{.Label "com.docker.compose.service"}}`)))
	slices.Sort(names)
	return names
}

// runs fails the test unless these services of a session run in Docker, and web is
// as it is told to be.
func (w *world) runs(slug string, web bool, want ...string) {
	w.t.Helper()
	w.mustBeUp("up", slug)
	if have := w.contained(slug); !slices.Equal(have, want) {
		w.t.Errorf("in Docker there are %v, want %v", have, want)
	}
	if have := strings.HasPrefix(answer(w.ports(slug)["web"]), slug); have != web {
		w.t.Errorf("web runs: %t, want %t", have, web)
	}
}

// ports are the leases of a session.
func (w *world) ports(slug string) map[string]int {
	w.t.Helper()
	var list []struct {
		Slug  string
		Ports map[string]int
	}
	if err := json.Unmarshal([]byte(w.ecluse(0, "ls", "--json").stdout), &list); err != nil {
		w.t.Fatal(err)
	}
	for _, s := range list {
		if s.Slug == slug {
			return s.Ports
		}
	}
	return nil
}

// Only what was chosen runs, in Docker and natively, and all else is as it would be.
func TestChosenContainers(t *testing.T) {
	t.Parallel()
	w := newChoiceWorld(t, choiceConfig, choiceFile)
	for _, test := range []struct {
		flags string
		web   bool
		want  []string
	}{
		{"--services web", true, nil}, // not everything in Docker because none of it was named
		{"--services front", false, []string{"front", "store"}},
		{"--services web --services mail", true, []string{"mail"}},
		{"--services rare,store", false, []string{"rare", "store"}},
		{"--skip front,web", false, []string{"mail", "store"}},
		{"--skip store", true, []string{"front", "mail"}},
	} {
		w.ecluse(0, append([]string{"up", "feat-x"}, strings.Fields(test.flags)...)...)
		w.runs("feat-x", test.web, test.want...)
		for _, name := range []string{"web", "front", "store", "mail"} {
			if w.ports("feat-x")[name] == 0 {
				t.Errorf("%s: %s has no port", test.flags, name)
			}
		}
		if o := w.ecluse(0, "up", "feat-x", "--json"); !strings.Contains(o.stdout, `"changed": false`) {
			t.Errorf("%s: a second up changed something: %s", test.flags, o.stdout)
		}
		w.ecluse(0, "down", "feat-x")
		w.mustBeClean(test.flags)
	}
}

// A session that is cut off goes on with its choice.
func TestChosenContainersAreRemembered(t *testing.T) {
	t.Parallel()
	w := newChoiceWorld(t, choiceConfig, choiceFile)
	pin := fmt.Sprint(w.base + portsPerWorld - 1)
	for _, verb := range []string{"up", "recover"} {
		w.hold()
		cut := w.command("up", "feat-x", "--services", "store", "--port", "store="+pin, "--port", "web="+fmt.Sprint(w.base+portsPerWorld-2))
		if err := cut.Start(); err != nil {
			t.Fatal(err)
		}
		w.eventually("the hook waits", func() bool { _, err := os.Stat(filepath.Join(w.dir, "waiting")); return err == nil })
		_ = cut.Process.Kill()
		_ = cut.Wait()
		w.must(exec.Command("rm", filepath.Join(w.dir, "slow"), filepath.Join(w.dir, "waiting")))
		w.ecluse(0, verb, "feat-x")
		w.runs("feat-x", false, "store")
		if have := fmt.Sprint(w.ports("feat-x")["store"]); have != pin {
			t.Errorf("store has port %s, want %s", have, pin)
		}
		w.must(exec.Command("sh", "-c", "docker rm -f $(docker ps -q --filter label=ecluse.repo="+w.root+"/.git)"))
		w.ecluse(0, "recover", "feat-x", "--repair")
		w.runs("feat-x", false, "store")
		w.ecluse(0, "down", "feat-x")
		w.mustBeClean(verb)
	}
}

// hold makes the hook wait.
func (w *world) hold() {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "slow"), nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// What there is not, or cannot be had, is refused before anything of Docker is made.
func TestChoiceIsRefused(t *testing.T) {
	t.Parallel()
	w := newChoiceWorld(t, choiceConfig, choiceFile)
	for _, test := range []struct{ flags, says string }{
		{"--services stor", "there are: front, mail, store, web"},
		{"--skip stor", "there are: front, mail, store, web"},
		{"--port stor=" + fmt.Sprint(w.base+39), "there are: front, mail, store, web"},
	} {
		o := w.ecluse(6, append([]string{"up", "feat-x"}, strings.Fields(test.flags)...)...)
		if !strings.Contains(o.stderr, test.says) || !strings.Contains(o.stderr, "step ports") {
			t.Errorf("%s: %s", test.flags, o.stderr)
		}
		w.mustBeClean(test.flags)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
	if o := w.ecluse(11, "up", "feat-x", "--port", "store="+taken); !strings.Contains(o.stderr, taken) {
		t.Errorf("it does not name the port: %s", o.stderr)
	}
	w.mustBeClean("a port that is taken")
}

// --force starts containers and services again, and keeps them otherwise.
func TestForceStartsContainersAgain(t *testing.T) {
	t.Parallel()
	w := newChoiceWorld(t, choiceConfig, choiceFile)
	w.ecluse(0, "up", "feat-x", "--services", "store,web")
	started := func() string {
		return w.must(exec.Command("sh", "-c", "docker inspect --format '{{.State.StartedAt}}' $(docker ps -q --filter label=ecluse.repo="+w.root+"/.git)"))
	}
	before := started()
	w.ecluse(0, "up", "feat-x")
	if started() != before {
		t.Error("an up without --force started the container again")
	}
	w.ecluse(0, "up", "feat-x", "--force")
	w.runs("feat-x", true, "store")
	if started() == before {
		t.Error("--force did not start the container again")
	}
	if o := w.ecluse(0, "up", "feat-x", "--json"); !strings.Contains(o.stdout, `"changed": false`) {
		t.Errorf("an up after --force changed something: %s", o.stdout)
	}
	w.ecluse(0, "down", "feat-x")
	w.mustBeClean("down")
}
