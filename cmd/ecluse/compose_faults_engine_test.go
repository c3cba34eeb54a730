package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ecluse/saga/session"
)

// forwarder is an engine for the sessions of one test: the real one, behind a socket
// that can be closed. A port that was closed might be another one's when it is opened.
type forwarder struct {
	t      testing.TB
	socket string
	proxy  *httputil.ReverseProxy
	server *http.Server
	// answer may take a request over. It is called before the engine is asked,
	// and says whether it has answered.
	answer func(w http.ResponseWriter, r *http.Request) bool
	// after is called when the engine has answered, before the answer goes on.
	after func(r *http.Request)
	mu    sync.Mutex // guards server
}

// newForwarder opens a forwarder. Its hooks may be set before it is used.
func newForwarder(t testing.TB) *forwarder {
	t.Helper()
	network, address := engineAddress(t)
	dir, err := os.MkdirTemp("", "engine") //nolint:usetesting // its path may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &forwarder{t: t, socket: filepath.Join(dir, "docker.sock")}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	f.proxy = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	f.proxy.Transport, f.proxy.FlushInterval = transport, -1
	f.proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	f.proxy.ModifyResponse = func(r *http.Response) error {
		if f.after != nil {
			f.after(r.Request)
		}
		return nil
	}
	f.open()
	t.Cleanup(func() { f.close(); transport.CloseIdleConnections() })
	return f
}

// engineAddress is where the engine of the tests listens.
func engineAddress(t testing.TB) (network, address string) {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		out, err := exec.Command("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
		if err != nil {
			t.Fatalf("ask docker where its engine is: %v", err)
		}
		host = strings.TrimSpace(string(out))
	}
	scheme, address, _ := strings.Cut(host, "://")
	if scheme != "unix" && scheme != "tcp" {
		t.Skipf("no engine at %s can be forwarded", host)
	}
	return scheme, address
}

// open lets the engine answer, at the same place each time.
func (f *forwarder) open() {
	f.t.Helper()
	listener, err := net.Listen("unix", f.socket)
	if err != nil {
		f.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.answer == nil || !f.answer(w, r) {
			f.proxy.ServeHTTP(w, r)
		}
	})}
	f.mu.Lock()
	f.server = server
	f.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
}

// close cuts everybody off. What the engine has been asked for it does.
func (f *forwarder) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.server.Close()
}

// env points docker at the forwarder.
func (f *forwarder) env() []string { return []string{"DOCKER_HOST=unix://" + f.socket} }

// twoServices is a compose file with a little of everything.
const twoServices = `
services:
  web:
    image: IMAGE
    command: ["-serve", ":80"]
    ports: ["@0:80"]
    depends_on: [store]
  store:
    image: IMAGE
    volumes: ["data:/data", "/scratch"]
    networks: [default, back]
volumes: {data: {}}
networks: {back: {}}
`

// mustBeLeft fails the test unless the session is failed, keeps its slot and says
// what is left of it.
func (w *world) mustBeLeft(f failure) {
	w.t.Helper()
	s, err := w.featX()
	if err != nil || s.State != "failed" || s.Slot != 1 || len(s.Ports) == 0 {
		w.t.Errorf("the store has %s in slot %d with ports %v: %v", s.State, s.Slot, s.Ports, err)
	}
	if f.State != "failed" || !strings.Contains(strings.Join(f.Left, "\n"), "compose") {
		w.t.Errorf("the error says the session is %q and left is %q", f.State, f.Left)
	}
	f.names(w.t, "docker engine does not answer")
}

// An engine that does not answer: an up makes nothing, a down leaves what it could
// not remove, and says so, until it answers again.
func TestTheEngineDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newComposeWorld(t, composeConfig, twoServices)
	engine := newForwarder(t)
	engine.close()
	f := w.failure(9, engine.env(), "up", "feat-x")
	f.names(t, "docker engine does not answer")
	w.mustBeClean("after an up without an engine")

	for _, next := range [][]string{{"down", "feat-x"}, {"recover"}} {
		engine.open()
		if o := w.run(engine.env(), "up", "feat-x"); o.status != 0 {
			t.Fatalf("up ended with %d: %s", o.status, o.stderr)
		}
		w.mustBeUp("after up", "feat-x")
		engine.close()
		f = w.failure(7, engine.env(), "down", "feat-x")
		w.mustBeLeft(f)
		if n := w.containers(); n != 2 {
			t.Errorf("%d containers are left, want 2", n)
		}
		f = w.failure(7, engine.env(), "down", "feat-x")
		w.mustBeLeft(f)
		engine.open()
		if o := w.run(engine.env(), next...); o.status != 0 {
			t.Errorf("%v ended with %d: %s", next, o.status, o.stderr)
		}
		w.mustBeClean("after " + next[0])
		engine.close()
	}
}

// An engine that takes the question and does not answer it counts as one that is
// not there, after a while.
func TestTheEngineHangs(t *testing.T) {
	t.Parallel()
	w := newComposeWorld(t, composeConfig, twoServices)
	engine := newForwarder(t)
	var hangs atomic.Bool
	engine.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		if hangs.Load() {
			<-r.Context().Done()
		}
		return hangs.Load()
	}
	if o := w.run(engine.env(), "up", "feat-x"); o.status != 0 {
		t.Fatalf("up ended with %d: %s", o.status, o.stderr)
	}
	hangs.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() { w.failure(9, engine.env(), "up", "feat-y").names(t, "docker engine does not answer") })
	if os.Getenv("ECLUSE_TEST_CRASH") == "all" { // a minute, for it tries again
		wg.Go(func() { w.mustBeLeft(w.failure(7, engine.env(), "down", "feat-x")) })
	}
	wg.Wait()
	hangs.Store(false)
	if o := w.run(engine.env(), "down", "feat-x"); o.status != 0 {
		t.Errorf("down ended with %d: %s", o.status, o.stderr)
	}
	w.mustBeClean("after down")
}

// The engine goes away in the middle of an up, whatever it had been asked for. Its
// containers may appear later; the session is kept until they can be removed.
func TestTheEngineGoesAway(t *testing.T) {
	t.Parallel()
	type fault struct{ last, next string }
	sideBySide(t, map[string]fault{
		"at the first network":   {`^POST .*/networks/create`, "recover"},
		"at a container":         {`^POST .*/containers/create`, "recover"},
		"at the first start":     {`^POST .*/containers/[0-9a-f]+/start`, "down"},
		"when it is asked again": {`^GET .*/containers/[0-9a-f]+/json`, "recover"},
	}, func(t *testing.T, c fault) {
		w := newComposeWorld(t, composeConfig, twoServices)
		engine := newForwarder(t)
		is := regexp.MustCompile(c.last)
		var once sync.Once
		engine.after = func(r *http.Request) {
			if is.MatchString(r.Method + " " + r.URL.Path) {
				once.Do(engine.close)
			}
		}
		w.mustBeLeft(w.failure(7, engine.env(), "up", "feat-x"))
		engine.open()
		args := []string{c.next}
		if c.next == "down" {
			args = append(args, "feat-x")
		}
		if o := w.run(engine.env(), args...); o.status != 0 {
			t.Errorf("%s ended with %d: %s", c.next, o.status, o.stderr)
		}
		w.mustBeClean("after " + c.next)
	})
}

// The engine has no addresses for another network. That is said before its own
// words, with what helps.
func TestTheEngineHasNoAddresses(t *testing.T) {
	t.Parallel()
	w := newComposeWorld(t, composeConfig, twoServices)
	engine := newForwarder(t)
	made := 0
	engine.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/networks/create") {
			return false
		}
		if made++; made == 1 {
			return false // there was one left
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"message":"could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"}`)
		return true
	}
	f := w.failure(6, engine.env(), "up", "feat-x")
	f.names(t, "docker has no addresses left for another network", "docker network prune", "non-overlapping IPv4 address pool")
	hint, words := strings.Index(f.Message, "network prune"), strings.Index(f.Message, "non-overlapping")
	if hint > words {
		t.Errorf("docker's words come first: %s", f.Message)
	}
	w.mustBeClean("after up")
}

// gate is a docker for the PATH of one command: it waits before `compose up` until
// it is let through.
type gate struct{ dir string }

func (w *world) gate() gate {
	w.t.Helper()
	docker, err := exec.LookPath("docker")
	if err != nil {
		w.t.Fatal(err)
	}
	g := gate{filepath.Join(w.dir, "gate")}
	script := `#!/bin/sh
case " $* " in *" compose "*" up "*)
	touch "` + g.dir + `/waiting"
	until [ -e "` + g.dir + `/open" ]; do sleep 0.05; done
esac
exec "` + docker + `" "$@"
`
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "docker"), []byte(script), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (g gate) env() []string { return []string{"PATH=" + g.dir + ":" + os.Getenv("PATH")} }

// at waits until docker is about to start the services, and lets it go on after
// act.
func (g gate) at(w *world, act func(s session.Session)) {
	w.t.Helper()
	w.eventually("compose is called", func() bool {
		_, err := os.Stat(filepath.Join(g.dir, "waiting"))
		return err == nil
	})
	s, err := w.featX()
	if err != nil {
		w.t.Fatal(err)
	}
	act(s)
	if err := os.WriteFile(filepath.Join(g.dir, "open"), nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// A port that a stranger takes between its lease and the start of the service is
// named, with the stranger, and the next up takes another.
func TestAPortIsTakenAfterItsLease(t *testing.T) {
	t.Parallel()
	sideBySide(t, map[string]func(w *world, port int) (who string){
		"by a program": func(w *world, port int) string {
			listener, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port))
			if err != nil {
				w.t.Fatal(err)
			}
			w.t.Cleanup(func() { _ = listener.Close() })
			return fmt.Sprintf("pid %d", os.Getpid())
		},
		"by a container": func(w *world, port int) string {
			name := fmt.Sprintf("ecluse-test-stranger-%d", port)
			w.t.Cleanup(func() { _ = exec.Command("docker", "rm", "--force", name).Run() })
			w.must(exec.Command("docker", "run", "--detach", "--name", name, "--publish", fmt.Sprintf("%d:80", port), w.fill("IMAGE")))
			return "container " + name
		},
	}, func(t *testing.T, take func(w *world, port int) string) {
		w := newComposeWorld(t, composeConfig, twoServices)
		g := w.gate()
		failed := make(chan failure, 1)
		go func() { failed <- w.failure(6, g.env(), "up", "feat-x") }()
		var port int
		var who string
		g.at(w, func(s session.Session) {
			port = s.Ports["web"]
			who = take(w, port)
		})
		f := <-failed
		f.names(t, "service web", fmt.Sprint(port), who)
		w.mustBeClean("after up")

		w.ecluse(0, "up", "feat-x")
		s, err := w.featX()
		if err != nil || s.Ports["web"] == port || answer(s.Ports["web"]) != "tool\n" {
			t.Errorf("the next up took port %d: %v", s.Ports["web"], err)
		}
		w.ecluse(0, "down", "feat-x")
		w.mustBeClean("after down")
	})
}
