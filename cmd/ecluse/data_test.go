package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecluse/saga/session"
	"ecluse/steps/docker/dockertest"
	"ecluse/store"
)

// dataConfig is a native application with a real PostgreSQL and a real Redis in
// containers.
const dataConfig = `
mode = "hybrid"
max_slots = 2
port_search_range = 2

[hooks]
post_up = "notes migrate"

[[services]]
name = "web"
base_port = %d
command = "exec notes"

[[services]]
name = "postgres"
run = "docker"
base_port = 5432
host_port = %d

[[services]]
name = "redis"
run = "docker"
base_port = 6379
host_port = %d

[env]
DATABASE_URL = "postgres://shop:shop@127.0.0.1:${ECLUSE_POSTGRES_PORT}/shop"
REDIS = "127.0.0.1:${ECLUSE_REDIS_PORT}"
`

// dataFile publishes the ports that everybody publishes. Redis keeps its data in a
// volume without a name, which its image asks for.
const dataFile = `
services:
  postgres:
    image: postgres:15
    command: ["postgres", "-c", "fsync=off"]
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: shop, POSTGRES_INITDB_ARGS: --no-sync}
    ports: ["5432:5432"]
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "shop"], interval: 2s, retries: 60}
  redis:
    image: redis:7
    ports: ["6379:6379"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 2s, retries: 60}
volumes: {data: {}}
`

// fixedPorts are those of dataFile.
var fixedPorts = []int{5432, 6379}

// newDataWorld makes a repository of the application.
func newDataWorld(t testing.TB) *world {
	t.Helper()
	dockertest.RequireImages(t, dockertest.Postgres, dockertest.Redis)
	w := newWorld(t, dataConfig)
	w.docker = true
	w.write(".gitignore", ".ecluse/\n")
	w.write("compose.yaml", dataFile)
	w.commit("data")
	t.Cleanup(w.sweepDocker)
	return w
}

// holds fails the test unless a session says that it was sent so many notes, and
// has these.
func (w *world) holds(when, slug string, sent int, list ...string) {
	w.t.Helper()
	want := fmt.Sprintf("%s sent %d: %s\n", slug, sent, strings.Join(list, ", "))
	if got := answer(w.record(slug).Ports["web"]); got != want {
		w.t.Errorf("%s: the session holds %q, want %q", when, got, want)
	}
}

// TestDataSideBySide brings up two sessions of a repository, and one of another
// that has the same prefix, slug and ports. Each holds its own.
func TestDataSideBySide(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("half a minute")
	}
	one, two := newDataWorld(t), newDataWorld(t)
	two.state, two.base = one.state, one.base
	two.write(".ecluse.toml", fmt.Sprintf(dataConfig, one.base, one.base+10, one.base+20))
	two.commit("the same ports")
	free := freeOf(fixedPorts)
	type where struct {
		w    *world
		slug string
	}
	all := map[string]where{"one feat-x": {one, "feat-x"}, "one feat-y": {one, "feat-y"}, "two feat-x": {two, "feat-x"}}
	names := slices.Sorted(maps.Keys(all))
	one.side(names, func(name string) outcome { return all[name].w.run(nil, "up", all[name].slug) })
	ports := map[int]string{}
	for _, name := range names {
		at := all[name]
		at.w.mustBeUp("after up", at.slug)
		for lease, port := range at.w.record(at.slug).Ports {
			if other := ports[port]; other != "" || slices.Contains(fixedPorts, port) {
				t.Errorf("%s has port %d for %s, and so has %q", name, port, lease, other)
			}
			ports[port] = name
		}
		post(at.w.record(at.slug).Ports["web"], "note of "+name)
	}
	if len(ports) != 3*len(all) {
		t.Errorf("the sessions have the ports %v", ports)
	}
	post(two.record("feat-x").Ports["web"], "another of two feat-x")
	one.holds("after a note", "feat-x", 1, "migrated by feat-x", "note of one feat-x")
	one.holds("after a note", "feat-y", 1, "migrated by feat-y", "note of one feat-y")
	two.holds("after two notes", "feat-x", 2, "another of two feat-x", "migrated by feat-x", "note of two feat-x")
	if still := freeOf(free); len(still) != len(free) {
		t.Errorf("of the base ports %v, which were free, only %v are", free, still)
	}
	one.notPublished(fixedPorts)
	two.notPublished(fixedPorts)
	volumes := slices.Concat(one.volumes(), two.volumes())
	if slices.Sort(volumes); len(slices.Compact(volumes)) != 2*len(all) {
		t.Errorf("three sessions have the volumes %q", volumes)
	}
	// The namesake goes; the others keep what they have.
	two.ecluse(0, "down", "feat-x")
	one.mustBeUp("after the down of the namesake", "feat-x")
	one.holds("after the down of the namesake", "feat-x", 1, "migrated by feat-x", "note of one feat-x")
	one.side([]string{"feat-x", "feat-y"}, func(slug string) outcome { return one.run(nil, "down", slug) })
	one.mustBeClean("at the end")
	two.mustBeClean("at the end")
	one.mustBeGone(volumes)
}

// volumes are those that the repository's containers have, those without a name and
// without a label among them.
func (w *world) volumes() []string {
	w.t.Helper()
	ids := w.ps("{{.ID}}")
	if len(ids) == 0 {
		return nil
	}
	// One may have gone since.
	out, _ := exec.Command("docker", append([]string{"inspect", "--format", `{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}`}, ids...)...).Output()
	return strings.Fields(string(out))
}

// ps lists the repository's containers, each as a template of Docker says.
func (w *world) ps(format string) []string {
	w.t.Helper()
	filter := "label=ecluse.repo=" + filepath.Join(w.root, ".git")
	return lines(dockertest.Docker(w.t, "ps", "--all", "--no-trunc", "--filter", filter, "--format", format))
}

// mustBeGone fails the test when a volume is there.
func (w *world) mustBeGone(volumes []string) {
	w.t.Helper()
	there := strings.Fields(dockertest.Docker(w.t, "volume", "ls", "--quiet"))
	for _, volume := range volumes {
		if slices.Contains(there, volume) {
			w.t.Errorf("left behind: volume %s", volume)
		}
	}
}

// A moment is when a command is killed.
type moment struct {
	name    string
	reached func(*world) bool
	// chosen says that it comes in every run.
	chosen bool
}

// The moments in the middle of what Compose does.
var (
	composeBegun = moment{"compose has begun", func(w *world) bool {
		return slices.ContainsFunc(processesWith("ECLUSE_STATE_DIR="+w.state), func(p string) bool {
			return strings.Contains(p, "--project-name") && (strings.Contains(p, " up --detach ") || strings.HasSuffix(p, " stop "))
		})
	}, true}
	postgresMade = moment{"postgres is there", func(w *world) bool { return len(w.postgres()) > 0 }, true}
	notHealthy   = moment{"postgres is not healthy yet", func(w *world) bool {
		return slices.ContainsFunc(w.postgres(), func(s string) bool { return strings.Contains(s, "(health: starting)") })
	}, true}
	postgresStopped = moment{"postgres is stopped", func(w *world) bool {
		return !slices.ContainsFunc(w.postgres(), func(s string) bool { return strings.HasPrefix(s, "postgres Up") })
	}, true}
)

// somewhere is an instant that nobody chose.
func somewhere(within time.Duration) moment {
	after := time.Duration(rand.Int64N(int64(within)))
	var begun time.Time
	return moment{fmt.Sprintf("after %s", after.Round(time.Millisecond)), func(*world) bool {
		if begun.IsZero() {
			begun = time.Now()
		}
		return time.Since(begun) >= after
	}, false}
}

// postgres is the status of each container of the service.
func (w *world) postgres() []string {
	return slices.DeleteFunc(w.ps(`{{.Label "com.docker.compose.service"}} {{.Status}}`), func(s string) bool {
		return !strings.HasPrefix(s, "postgres ")
	})
}

// dataKill is a command that is killed, and the one that comes after it.
type dataKill struct {
	verb string // up, down, or repair: an up of a session that lost its database
	at   moment
	then string
}

// TestDataSurvivesKills kills up and down in the middle of what Compose does with
// the databases, and looks that the next command ends all or nothing.
func TestDataSurvivesKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a minute")
	}
	const up, down = 6 * time.Second, 2 * time.Second
	kills := []dataKill{
		{"up", composeBegun, "up"}, {"up", postgresMade, "recover"}, {"up", notHealthy, "up"}, {"up", notHealthy, "down"},
		{"up", somewhere(up), "up"}, {"up", somewhere(up), "recover"},
		{"down", composeBegun, "down"}, {"down", postgresStopped, "recover"}, {"down", composeBegun, "up"}, {"down", somewhere(down), "down"},
		{"repair", notHealthy, "up"},
	}
	slots := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for _, k := range kills {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			t.Run(fmt.Sprintf("%s killed when %s, then %s", k.verb, k.at.name, k.then), k.run)
		})
	}
	wg.Wait()
}

// run tries until the command was killed at the moment: who looks may be slower than it.
func (k dataKill) run(t *testing.T) {
	for range 5 {
		if k.try(t, newDataWorld(t)) || t.Failed() {
			return
		}
	}
	t.Errorf("%s always ended before %s", k.verb, k.at.name)
}

// try reports whether the command was killed at the moment. Where it was not, nothing
// else is told.
func (k dataKill) try(t *testing.T, w *world) bool {
	const slug = "feat-x"
	verb := k.verb
	if verb != "up" {
		w.ecluse(0, "up", slug)
		if t.Failed() {
			return false
		}
		post(w.record(slug).Ports["web"], "kept")
		w.holds("before", slug, 1, "kept", "migrated by feat-x")
	}
	volumes := w.volumes()
	if verb == "repair" {
		verb = "up"
		dockertest.Docker(w.t, "rm", "--force", w.ps(`{{if eq (.Label "com.docker.compose.service") "postgres"}}{{.ID}}{{end}}`)[0])
	}
	if !w.kill(k.at, verb, slug) && k.at.chosen {
		if o := w.run(nil, "down", slug); o.status != 0 && o.status != 4 {
			t.Errorf("down ended with %d: %s", o.status, o.stderr)
		}
		return false
	}
	// At an instant that nobody chose it may not have begun, or have ended.
	begun := w.has(slug)
	volumes = append(volumes, w.volumes()...)
	args := []string{k.then}
	if k.then != "recover" { // which takes up all that there is, and sweeps
		args = append(args, slug)
	}
	o := w.run(nil, args...)
	if o.status != 0 && (begun || o.status != 4) {
		t.Errorf("%s ended with %d\nstdout: %s\nstderr: %s", k.then, o.status, o.stdout, o.stderr)
	}
	there := w.has(slug)
	if want := k.then == "up" || k.then == "recover" && verb == "up" && begun; there != want {
		t.Errorf("after %s the session is there: %t", k.then, there)
	}
	switch {
	case !there:
		w.mustBeClean("after " + k.then)
	case k.verb == "repair":
		w.mustBeUp("after "+k.then, slug)
		w.holds("after "+k.then, slug, 1, "kept", "migrated by feat-x")
	default:
		w.mustBeUp("after "+k.then, slug)
		post(w.record(slug).Ports["web"], "fresh")
		w.holds("after "+k.then, slug, 1, "fresh", "migrated by feat-x")
	}
	volumes = append(volumes, w.volumes()...)
	if o := w.run(nil, "down", slug); o.status != 0 && o.status != 4 {
		t.Errorf("the last down ended with %d: %s", o.status, o.stderr)
	}
	w.mustBeClean("at the end")
	w.mustBeGone(volumes)
	return true
}

// has reports whether the store knows a session.
func (w *world) has(slug string) bool {
	_, err := store.New(w.state).Get(session.Key{Repo: filepath.Join(w.root, ".git"), Slug: slug})
	return err == nil
}

// kill starts a command and kills it at a moment. It reports whether it was still
// at work then.
func (w *world) kill(at moment, args ...string) bool {
	w.t.Helper()
	cmd := w.command(args...)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	deadline := time.After(patience)
	for !at.reached(w) {
		select {
		case <-ended:
			return false
		case <-deadline:
			w.t.Errorf("%v hangs", args)
			_ = cmd.Process.Kill()
		case <-time.After(20 * time.Millisecond):
		}
	}
	_ = cmd.Process.Kill()
	<-ended
	return !cmd.ProcessState.Exited()
}
