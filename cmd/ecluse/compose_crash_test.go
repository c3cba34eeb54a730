package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ecluse/steps/docker/dockertest"
)

// composeCrashConfig runs a container beside a native service.
const composeCrashConfig = `
mode = "hybrid"
max_slots = 2
port_search_range = 2
[hooks]
pre_up = 'touch "$LEDGER/$ECLUSE_SLUG.pre_up"'
post_down = 'rm -f "$LEDGER/$ECLUSE_SLUG.pre_up"'
post_up = 'touch "$LEDGER/$ECLUSE_SLUG.post_up"; test ! -e "$LEDGER/fail"'
pre_down = 'rm -f "$LEDGER/$ECLUSE_SLUG.post_up"'
[[services]]
name = "web"
base_port = %d
command = "exec webapp"
`

// composeCrashFile has a service with a volume, a network and a health check.
const composeCrashFile = `
services:
  store:
    image: IMAGE
    command: ["-serve", ":80", "-write", "/data/mark=here"]
    ports: ["PORT:80"]
    volumes: ["data:/data"]
    networks: [back]
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 200ms}
volumes: {data: {}}
networks: {back: {}}
`

// TestCrashWithContainers kills ecluse around everything that it does with Docker,
// on a real engine.
func TestCrashWithContainers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("minutes")
	}
	dockertest.Require(t)
	image := dockertest.Image(t)
	crashes{config: composeCrashConfig, choose: aroundDocker, atOnce: 3, rotate: true, setUp: func(w *world) {
		text := strings.NewReplacer("IMAGE", image, "PORT", fmt.Sprint(w.base+30)).Replace(composeCrashFile)
		w.write("compose.yaml", text)
		w.docker = true
		w.t.Cleanup(func() {
			// A test that fails must not leave containers to the next.
			for _, left := range w.resources() {
				w.t.Errorf("the test leaves %s", left)
			}
			label := "label=ecluse.repo=" + w.root + "/.git"
			ids, _ := exec.Command("docker", "ps", "-aq", "--filter", label).Output()
			for _, id := range lines(string(ids)) {
				_ = exec.Command("docker", "rm", "-f", id).Run()
			}
		})
	}}.run(t)
}

// aroundDocker chooses the transactions next to what is done with Docker, and of
// the programs that are run for it a few: the engine is asked again and again
// while services get ready, and each time is like the other.
func aroundDocker(points []string) []int {
	const most = 6
	var asked, chosen []int
	for i, point := range points {
		if strings.Contains(point, "docker") {
			asked = append(asked, i+1)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	first, last := asked[0], asked[len(asked)-1]
	chosen = append(chosen, first-1, last+1)
	for i := range most {
		chosen = append(chosen, asked[i*(len(asked)-1)/(most-1)])
	}
	for i, point := range points {
		if k := i + 1; k > first && k < last && !strings.Contains(point, "spawned") && !strings.Contains(point, "waited") {
			chosen = append(chosen, k)
		}
	}
	slices.Sort(chosen)
	return slices.Compact(chosen)
}
