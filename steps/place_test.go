package steps

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
	"ecluse/steps/settings"
)

// forward offers the engine of this machine at another address, as an engine
// elsewhere is. It counts who came.
func forward(t *testing.T) (address string, came *atomic.Int64) {
	t.Helper()
	dockertest.Require(t)
	endpoint := dockertest.Docker(t, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	socket, ok := strings.CutPrefix(endpoint, "unix://")
	if !ok {
		t.Skipf("the engine is at %s", endpoint)
	}
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	came = &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			go splice(conn, socket)
		}
	}()
	return l.Addr().String(), came
}

// splice carries one connection to the socket.
func splice(conn net.Conn, socket string) {
	defer conn.Close()
	engine, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer engine.Close()
	done := make(chan struct{}, 2)
	for to, from := range map[io.Writer]io.Reader{conn: engine, engine: conn} {
		go func() {
			_, _ = io.Copy(to, from)
			done <- struct{}{}
		}()
	}
	<-done
}

// listenAt takes a port of one address until the test is over.
func listenAt(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

// TestElsewhere: a session whose engine is elsewhere takes ports that are free
// there, and is taken down there whatever the environment says by then.
func TestElsewhere(t *testing.T) {
	address, came := forward(t)
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{"compose.yaml": `
services:
  here: {image: IMAGE, command: ["-serve=:80"], ports: ["127.0.0.2:24100:80"], volumes: ["data:/tmp"]}
  there: {image: IMAGE, command: ["-serve=:80"], ports: ["127.0.0.2:24200:80"]}
volumes: {data: }
`})
	listenAt(t, "127.0.0.1:24101")
	listenAt(t, "127.0.0.2:24201")
	t.Setenv("DOCKER_HOST", "tcp://"+address)
	pinned := r.Config
	pinned.Choice.Pins = map[string]int{"here": 24101, "there": 24201}
	if wants, err := Wants(t.Context(), pinned, 1); err != nil || wants[0].Taken != "" || wants[1].Taken == "" {
		t.Errorf("pins: %+v, %v; want the second taken there, and the first not", wants, err)
	}
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	if p := r.s.Ports; p["here"] != 24101 || p["there"] <= 24201 {
		t.Errorf("leases %v; want 24101, which is free there, and not 24201, which is not", p)
	}
	if err := r.verify(t); err != nil {
		t.Error(err)
	}
	r.s.Plan, r.s.Progress = planOf(portsKind, r.facts)
	if vars, err := Environment(r.Config, r.s); err != nil || vars["ECLUSE_DOCKER_HOST"] != "127.0.0.2" {
		t.Errorf("the ports answer at %q, %v", vars["ECLUSE_DOCKER_HOST"], err)
	}
	t.Setenv("DOCKER_HOST", "")
	before := came.Load()
	if err := r.verify(t); err != nil {
		t.Error(err)
	}
	r.s.Run.Verb = session.VerbDown
	r.compensate(t, false)
	if left := r.left(t); len(left) > 0 || came.Load() == before {
		t.Errorf("still there: %v; asked there %d times", left, came.Load()-before)
	}
}

// TestHereAfterAll: a session that was made here is taken down here.
func TestHereAfterAll(t *testing.T) {
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{"compose.yaml": `
services: {a: {image: IMAGE, volumes: ["data:/tmp"]}}
volumes: {data: }
`})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	was := os.Getenv("DOCKER_HOST")
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
	r.s.Run.Verb = session.VerbDown
	r.compensate(t, false)
	t.Setenv("DOCKER_HOST", was)
	if left := r.left(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// planOf is a plan of one step of a kind that has saved facts.
func planOf(kind string, facts map[string]json.RawMessage) (saga.Plan, saga.Progress) {
	plan := saga.Plan{Steps: []saga.Spec{{Name: kind, Kind: kind}}}
	progress := saga.NewProgress(plan)
	progress.Steps[0].Facts = facts
	return plan, progress
}

// TestPlaced: what was settled by a step counts, and not the environment.
func TestPlaced(t *testing.T) {
	for _, kind := range []string{portsKind, volumesKind} {
		var s session.Session
		facts := map[string]json.RawMessage{placeFactKey: json.RawMessage(fmt.Sprintf(`{"place": {"host": "tcp://%s:1"}, "host": %[1]q}`, kind))}
		s.Plan, s.Progress = planOf(kind, facts)
		if at, known := placed(s); !known || at.Place != (docker.Place{Host: "tcp://" + kind + ":1"}) || at.Host != kind {
			t.Errorf("the step %s has settled %+v, %v", kind, at, known)
		}
	}
	var s session.Session
	s.Plan, s.Progress = planOf(composeStep, nil)
	if at, known := placed(s); known {
		t.Errorf("nothing has settled %+v", at)
	}
}
