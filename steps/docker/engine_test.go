package docker_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
)

// stack is a session as far as these tests need one.
type stack struct {
	engine  *docker.Engine
	dir     string
	up      docker.UpOptions
	leases  map[string]int
	labels  map[string]string
	changes []docker.Status
	mu      sync.Mutex
}

// newStack writes the files into a worktree and makes the private compose file.
// IMAGE in them is the test image.
func newStack(t *testing.T, files map[string]string) *stack {
	t.Helper()
	dockertest.Require(t)
	engine, err := docker.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := strings.ToLower(rand.Text()[:10])
	s := &stack{engine: engine, dir: t.TempDir(), leases: map[string]int{}, labels: map[string]string{
		docker.LabelSession: id, docker.LabelSlug: "test", docker.LabelRepo: "/repo", docker.LabelSlot: "1", docker.LabelRun: "r", docker.LabelStep: "compose",
	}}
	s.up = docker.UpOptions{
		Project: docker.Project{Name: "ecluse-test_" + id, File: filepath.Join(t.TempDir(), "private.yaml"), Dir: s.dir},
		Session: id, Timeout: 2 * time.Minute,
		Report: func(status docker.Status) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changes = append(s.changes, status)
		},
	}
	dockertest.Clean(t, docker.LabelSession+"="+id)
	dockertest.Clean(t, "com.docker.compose.project="+s.up.Name)
	for name, text := range files {
		s.write(t, name, strings.ReplaceAll(text, "IMAGE", dockertest.Image(t)))
	}
	s.rewrite(t)
	t.Cleanup(func() { s.down(t, docker.DownOptions{Doubt: t.Failed()}) })
	return s
}

func (s *stack) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// rewrite makes the private file of what is in the worktree.
func (s *stack) rewrite(t *testing.T) {
	t.Helper()
	m, err := docker.Load(t.Context(), docker.LoadOptions{Dir: s.dir, Project: s.up.Name})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Published() {
		if s.leases[p.Name] == 0 {
			s.leases[p.Name] = freePort(t)
		}
	}
	r, err := m.Rewrite(docker.Rewriting{Leases: s.leases, Labels: s.labels})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.up.File, r.File, 0o600); err != nil {
		t.Fatal(err)
	}
	s.up.Services, s.up.Env = r.Services, r.Env
}

// down takes the session down, without the test's context, which may be over.
func (s *stack) down(t *testing.T, o docker.DownOptions) {
	t.Helper()
	s.downKeeping(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.engine.RemoveVolumes(ctx, s.volumes()); err != nil {
		t.Fatalf("remove the volumes: %v", err)
	}
}

// downKeeping leaves the named volumes.
func (s *stack) downKeeping(t *testing.T, o docker.DownOptions) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	o.Project, o.Session = s.up.Project, s.up.Session
	if err := s.engine.Down(ctx, o); err != nil {
		t.Fatalf("down: %v", err)
	}
}

// volumes are whose volumes the session's are.
func (s *stack) volumes() docker.Volumes {
	return docker.Volumes{Projects: []string{s.up.Name}, Session: s.up.Session}
}

func (s *stack) start(t *testing.T) {
	t.Helper()
	if err := s.engine.Up(t.Context(), s.up); err != nil {
		t.Fatalf("up: %v", err)
	}
}

// gone fails the test unless nothing of the session is left.
func (s *stack) gone(t *testing.T) {
	t.Helper()
	for _, label := range []string{docker.LabelSession + "=" + s.up.Session, "com.docker.compose.project=" + s.up.Name} {
		if left := dockertest.Left(t, label); len(left) > 0 {
			t.Errorf("still there: %v", left)
		}
	}
}

// get asks a server of the session.
func (s *stack) get(t *testing.T, lease, path string) string {
	t.Helper()
	port := s.leases[lease]
	if port == 0 {
		t.Fatalf("no lease %s", lease)
	}
	resp, err := http.Get("http://127.0.0.1:" + strconv.Itoa(port) + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// full has one of everything that is made for a session.
var full = map[string]string{
	"compose.yaml": `
services:
  web:
    build:
      context: web
    container_name: the-web
    environment: {PRICE: "$$5", STAGE: "${STAGE}"}
    ports: ["18080:80", "18081:53/udp"]
    command: ["-serve=:80", "-udp=:53", "-write=/data/id=${STAGE}"]
    volumes: ["data:/data", "/scratch", "./web:/src:ro"]
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    networks: [front, default]
  db:
    image: IMAGE
    command: ["-serve=:5432", "-healthy-after=300ms", "-say=ready|to serve"]
    healthcheck: {test: ["CMD", "/tool", "-health=http://127.0.0.1:5432/health"], interval: 200ms, retries: 50, timeout: 2s}
  migrate:
    image: IMAGE
    command: ["-exit=0"]
networks:
  front: {name: everybody, ipam: {config: [{subnet: 172.31.99.0/24}]}}
volumes:
  data: {name: precious}
`,
	".env":           "STAGE=one\n",
	"web/Dockerfile": "FROM scratch\nCOPY tool /tool\nCOPY data /data\nENTRYPOINT [\"/tool\"]\n",
	"web/data/keep":  "",
}

// buildable adds the program to the context of full's image.
func buildable(t *testing.T, s *stack) {
	t.Helper()
	program(t, s, "web")
}

// program puts the program into a folder of the worktree.
func program(t *testing.T, s *stack, dir string) {
	t.Helper()
	data, err := os.ReadFile(dockertest.Tool(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, dir, "tool"), data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestUpVerifyDown(t *testing.T) {
	t.Parallel()
	s := newStack(t, full)
	buildable(t, s)
	if err := s.engine.Verify(t.Context(), s.up); err == nil {
		t.Error("verified before anything was made")
	}
	s.start(t)
	if err := s.engine.Verify(t.Context(), s.up); err != nil {
		t.Errorf("verify: %v", err)
	}
	for path, want := range map[string]string{
		"/env?name=PRICE": "$5", "/env?name=STAGE": "one", "/file?path=/data/id": "one",
		"/file?path=/src/Dockerfile":                                   strings.TrimSpace(full["web/Dockerfile"]),
		"/get?url=" + url.QueryEscape("http://the-web/env?name=STAGE"): "one",
		"/get?url=" + url.QueryEscape("http://db:5432/"):               "tool",
	} {
		if got := s.get(t, "web", path); got != want {
			t.Errorf("%s answers %q, want %q", path, got, want)
		}
	}
	checkUDP(t, s.leases["web.53/udp"])
	if _, err := net.DialTimeout("tcp", "127.0.0.1:18080", time.Second); err == nil {
		t.Error("the base port is published")
	}
	ports, err := docker.PublishedPorts(t.Context())
	if err != nil || !strings.Contains(ports[s.leases["web"]], s.up.Name) || ports[s.leases["web.53/udp"]] == "" {
		t.Errorf("published: %v, %v; want %v among them", ports, err, s.leases)
	}
	checkStates(t, s)
	s.start(t) // a second time changes nothing
	s.down(t, docker.DownOptions{})
	s.gone(t)
	s.down(t, docker.DownOptions{})
}

// checkStates looks whether the progress was told.
func checkStates(t *testing.T, s *stack) {
	t.Helper()
	last := map[string]docker.Status{}
	for _, c := range s.changes {
		last[c.Service] = c
	}
	for service, want := range map[string]string{"db": "healthy", "web": "running", "migrate": "exited with status 0"} {
		if last[service].State != want || !last[service].Ready {
			t.Errorf("the last state of %s is %+v, want %s", service, last[service], want)
		}
	}
}

func checkUDP(t *testing.T, port int) {
	t.Helper()
	conn, err := net.Dial("udp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 8)
	for try := 0; try < 20; try++ {
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := conn.Write([]byte("ping")); err != nil {
			continue
		}
		if n, err := conn.Read(buf); err == nil && string(buf[:n]) == "ping" {
			return
		}
	}
	t.Errorf("nothing answers at UDP port %d", port)
}

// failure is what a service comes to that does not become ready.
type failure struct {
	service string
	state   string // empty is any
	tail    string
	timeout time.Duration // of a service that is waited for in vain
}

// fails brings the session up, and tells what is wrong if that does not fail as it
// should, and whether it failed for the time being over.
func (s *stack) fails(t *testing.T, want failure) (late bool, wrong error) {
	t.Helper()
	err := s.engine.Up(t.Context(), s.up)
	var failed *docker.ServiceError
	var timeout *docker.TimeoutError
	late = errors.As(err, &timeout)
	switch {
	case !errors.As(err, &failed):
		wrong = fmt.Errorf("up: %w, want a service to be named", err)
	case failed.Service != want.service || want.state != "" && failed.State != want.state:
		wrong = fmt.Errorf("%s is %s, want %s is %s", failed.Service, failed.State, want.service, want.state)
	case !strings.Contains(strings.Join(failed.Tail, "\n"), want.tail):
		wrong = fmt.Errorf("the end of the log is %q, want %q in it", failed.Tail, want.tail)
	case late != (want.timeout > 0):
		wrong = fmt.Errorf("up: %w; late %v", err, late)
	}
	return late, wrong
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const check = `healthcheck: {test: ["CMD", "/tool", "-health=http://127.0.0.1:80/health"], interval: 200ms, retries: RETRIES, timeout: 2s}`
	never := strings.Replace(check, "RETRIES", "3", 1)
	slow := strings.Replace(check, "RETRIES", "1000", 1)
	tests := map[string]struct {
		services string
		failure
	}{
		"exits 1": {
			services: `  bad: {image: IMAGE, command: ["-say=first|boom", "-exit=1"]}`,
			failure:  failure{service: "bad", state: "exited with status 1", tail: "boom"},
		},
		"exits 1 after a while": {
			services: `  bad: {image: IMAGE, command: ["-say=boom", "-after=300ms", "-exit=1"]}`,
			failure:  failure{service: "bad", state: "exited with status 1", tail: "boom"},
		},
		"exits 0 and must not": {
			services: `  bad: {image: IMAGE, command: ["-say=bye", "-exit=0"], ports: ["80"]}`,
			failure:  failure{service: "bad", state: "exited with status 0", tail: "bye"},
		},
		"needed and exits 3": {
			services: "  app: {image: IMAGE, depends_on: {bad: {condition: service_completed_successfully}}}\n" +
				`  bad: {image: IMAGE, command: ["-say=boom", "-exit=3"]}`,
			failure: failure{service: "bad", state: "exited with status 3", tail: "boom"},
		},
		"never healthy": {
			services: `  bad: {image: IMAGE, command: ["-say=hopeless", "-serve=:80", "-healthy-after=1h"], ` + never + `}`,
			failure:  failure{service: "bad", state: "unhealthy", tail: "hopeless"},
		},
		"needed and never healthy": {
			services: "  app: {image: IMAGE, depends_on: {bad: {condition: service_healthy}}}\n" +
				`  bad: {image: IMAGE, command: ["-say=hopeless", "-serve=:80", "-healthy-after=1h"], ` + never + `}`,
			failure: failure{service: "bad", state: "unhealthy", tail: "hopeless"},
		},
		"slow": {
			services: `  bad: {image: IMAGE, command: ["-say=slow", "-serve=:80", "-healthy-after=1h"], ` + slow + `}`,
			failure:  failure{service: "bad", state: "starting", tail: "slow", timeout: 2 * time.Second},
		},
		"restarts for ever": {
			services: `  bad: {image: IMAGE, restart: always, command: ["-say=again", "-exit=2"]}`,
			failure:  failure{service: "bad", tail: "again", timeout: 3 * time.Second},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, map[string]string{"compose.yaml": "services:\n" + test.services + "\n  good: {image: IMAGE}\n"})
			s.up.Timeout = cmp.Or(test.timeout, s.up.Timeout)
			late, wrong := s.fails(t, test.failure)
			// What a machine that stands still has no time for it does in a later one.
			for wrong != nil && late && test.timeout > 0 && s.up.Timeout < time.Minute {
				s.up.Timeout *= 4
				late, wrong = s.fails(t, test.failure)
			}
			if wrong != nil {
				t.Error(wrong)
			}
			verified := s.engine.Verify(t.Context(), s.up) == nil
			for try := 0; verified && test.state == "" && try < 20; try++ { // it runs just now
				<-time.After(100 * time.Millisecond)
				verified = s.engine.Verify(t.Context(), s.up) == nil
			}
			if verified {
				t.Error("verified all the same")
			}
			s.down(t, docker.DownOptions{Doubt: true})
			s.gone(t)
		})
	}
}
