package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"ecluse/steps/docker/dockertest"
)

// Many services come up and go away, and looking at them takes no longer than at
// few.
func TestManyServices(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("half a minute")
	}
	n := 40
	if os.Getenv("ECLUSE_TEST_CRASH") == "all" {
		n = 200
	}
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  service-%d: {image: IMAGE, network_mode: none}\n", i)
	}
	b.WriteString("  web: {image: IMAGE, command: [\"-serve\", \":80\"], ports: [\"@0:80\"]}\n")
	w := newComposeWorld(t, composeConfig, b.String())
	times := map[string]time.Duration{}
	for _, args := range [][]string{{"up", "feat-x"}, {"ls"}, {"up", "feat-x"}, {"down", "feat-x"}} {
		cmd := w.command(args...)
		begun := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		name := args[0]
		if name == "up" && times["up"] != 0 {
			name = "second up"
		}
		times[name] = time.Since(begun).Round(time.Millisecond)
		if name == "up" {
			w.mustBeUp("after up", "feat-x")
			if have := w.containers(); have != n+1 {
				t.Errorf("%d containers of %d", have, n+1)
			}
		}
	}
	w.mustBeClean("after down")
	t.Logf("%d services: %v", n, times)
}

// Two repositories with the same name, prefix, slug, services and ports share
// nothing but the machine.
func TestTwoRepositoriesThatLookTheSame(t *testing.T) {
	t.Parallel()
	const text = `
services:
  web:
    image: IMAGE
    container_name: web
    command: ["-serve", ":80", "-write", "/data/mark=${ECLUSE_ROOT}"]
    ports: ["@0:80"]
    volumes: ["data:/data"]
volumes: {data: {name: the-data}}
`
	config := composeConfig + "prefix = \"twin\"\n"
	one, two := newComposeWorld(t, config, text), newComposeWorld(t, config, "")
	two.base, two.state = one.base, one.state
	two.compose(text)
	two.commit("the same services")
	both := func(do func(w *world)) {
		var wg sync.WaitGroup
		for _, w := range []*world{one, two} {
			wg.Go(func() { do(w) })
		}
		wg.Wait()
	}
	both(func(w *world) { w.ecluse(0, "up", "feat-x") })
	for _, w := range []*world{one, two} {
		w.mustBeUp("after both ups", "feat-x")
		if have := w.inContainer("feat-x", "web", "/data/mark"); have != w.root {
			t.Errorf("the data of %s is of %q", w.root, have)
		}
	}
	one.ecluse(0, "down", "feat-x")
	two.mustBeUp("after the other's down", "feat-x")
	if have := two.inContainer("feat-x", "web", "/data/mark"); have != two.root {
		t.Errorf("after the other's down the data of %s is of %q", two.root, have)
	}
	two.ecluse(0, "down", "feat-x")
	both(func(w *world) { w.mustBeClean("at the end") })
}

// container is the id of the container of a service.
func (w *world) container(slug, service string) string {
	w.t.Helper()
	return strings.TrimSpace(w.must(exec.Command("docker", "ps", "--quiet", "--filter", "label="+w.label(),
		"--filter", "label=ecluse.slug="+slug, "--filter", "label=com.docker.compose.service="+service)))
}

// published is where a port of a container is published: "0.0.0.0:8080".
func (w *world) published(slug, service, port string) string {
	w.t.Helper()
	first, _, _ := strings.Cut(w.must(exec.Command("docker", "port", w.container(slug, service), port)), "\n")
	return first
}

// inContainer is a file of a container that serves at port 80, as it tells itself.
func (w *world) inContainer(slug, service, path string) string {
	w.t.Helper()
	_, port, _ := strings.Cut(w.published(slug, service, "80"), ":")
	return fetch(w.t, fmt.Sprintf("http://127.0.0.1:%s/file?path=%s", port, path))
}

// fetch is what a server answers; it may still be starting.
func fetch(t testing.TB, url string) string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		body, err := get(url)
		if err == nil || time.Now().After(deadline) {
			if err != nil {
				t.Errorf("%s: %v", url, err)
			}
			return body
		}
		<-time.After(20 * time.Millisecond)
	}
}

// everything is a compose file with all that two sessions could collide in.
const everything = `
services:
  named:
    image: IMAGE
    container_name: ecluse-test-named-@0
    command: ["-serve", ":80", "-write", "/own/mark=${ECLUSE_SLUG}"]
    ports: ["127.0.0.1:@0:80"]
    volumes: ["own:/own", "shared:/shared"]
    networks: [fixed, shared]
  fixed:
    image: IMAGE
    networks: {fixed: {ipv4_address: 10.213.77.5}}
  hosted:
    image: IMAGE
    network_mode: host
  udp:
    image: IMAGE
    command: ["-udp", ":53"]
    ports: ["@1:53/udp"]
  many:
    image: IMAGE
    ports: ["@2-@4:8000-8002"]
volumes:
  own: {name: ecluse-test-own-@0}
  shared: {external: true, name: ecluse-test-shared-@0}
networks:
  fixed: {ipam: {config: [{subnet: 10.213.77.0/24}]}}
  shared: {external: true, name: ecluse-test-shared-@0}
`

// Two sessions of one compose file that names and numbers everything run at once,
// and leave alone what is not theirs.
func TestEverythingThatCouldCollide(t *testing.T) {
	t.Parallel()
	w := newComposeWorld(t, composeConfig, everything)
	shared := w.fill("ecluse-test-shared-@0")
	for _, kind := range []string{"network", "volume"} {
		dockertest.Docker(t, kind, "create", shared)
		t.Cleanup(func() { _ = exec.Command("docker", kind, "rm", shared).Run() })
	}
	slugs := []string{"feat-x", "feat-y"}
	var wg sync.WaitGroup
	for _, slug := range slugs {
		wg.Go(func() { w.ecluse(0, "up", slug) })
	}
	wg.Wait()
	seen := map[string]string{}
	for _, slug := range slugs {
		w.mustBeUp("after both ups", slug)
		if have := w.inContainer(slug, "named", "/own/mark"); have != slug {
			t.Errorf("the data of %s is of %q", slug, have)
		}
		if at := w.published(slug, "named", "80"); !strings.HasPrefix(at, "127.0.0.1:") {
			t.Errorf("%s is published at %s", slug, at)
		}
		w.echoes(slug)
		for service, ports := range map[string][]string{"named": {"80/tcp"}, "udp": {"53/udp"}, "many": {"8000/tcp", "8001/tcp", "8002/tcp"}} {
			for _, port := range ports {
				_, number, _ := strings.Cut(w.published(slug, service, port), ":")
				if other, taken := seen[number]; taken {
					t.Errorf("port %s is published by %s and %s of %s", number, other, service, slug)
				}
				seen[number] = service + " of " + slug
			}
		}
	}
	for n := range 5 {
		if who, taken := seen[fmt.Sprint(w.base+n)]; taken {
			t.Errorf("the base port %d is published by %s", w.base+n, who)
		}
	}
	for _, slug := range slugs {
		w.ecluse(0, "down", slug)
		for _, kind := range []string{"network", "volume"} {
			dockertest.Docker(t, kind, "inspect", shared)
		}
	}
	w.mustBeClean("after both downs")
}

// echoes fails the test unless the session's UDP service answers.
func (w *world) echoes(slug string) {
	w.t.Helper()
	_, port, _ := strings.Cut(w.published(slug, "udp", "53/udp"), ":")
	conn, err := net.Dial("udp", "127.0.0.1:"+port)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 10)
	w.eventually("the UDP service of "+slug+" answers", func() bool {
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = conn.Write([]byte(slug))
		n, err := conn.Read(answer)
		return err == nil && string(answer[:n]) == slug
	})
}

// get asks a server once.
func get(url string) (string, error) {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}
