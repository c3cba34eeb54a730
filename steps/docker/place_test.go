package docker_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
)

// TestHere: docker is talked to where docker itself would talk to.
func TestHere(t *testing.T) {
	tests := map[string]struct {
		host, context, config string
		want                  docker.Place
	}{
		"nothing":                     {want: docker.Place{Context: "default"}},
		"a host":                      {host: "tcp://there:1", context: "other", config: `{"currentContext": "chosen"}`, want: docker.Place{Host: "tcp://there:1"}},
		"a context":                   {context: "other", config: `{"currentContext": "chosen"}`, want: docker.Place{Context: "other"}},
		"a chosen context":            {config: `{"auths": {}, "currentContext": "chosen"}`, want: docker.Place{Context: "chosen"}},
		"a configuration without one": {config: `{"auths": {}}`, want: docker.Place{Context: "default"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("DOCKER_CONFIG", dir)
			t.Setenv("DOCKER_HOST", test.host)
			t.Setenv("DOCKER_CONTEXT", test.context)
			if test.config != "" {
				if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(test.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := docker.Here(t.Context()); err != nil || got != test.want {
				t.Errorf("here is %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

// TestRemote: which machine it is that ports are published on.
func TestRemote(t *testing.T) {
	for endpoint, want := range map[string]string{
		"unix:///var/run/docker.sock": "", "tcp://10.1.2.3:2376": "10.1.2.3", "ssh://me@big.example:2222": "big.example",
		"tcp://[::1]:2375": "::1", "npipe:////./pipe/docker": "", "big.example:2375": "big.example",
	} {
		if got, err := (docker.Place{Host: endpoint}).Remote(t.Context()); err != nil || got != want {
			t.Errorf("%s is on %q, %v; want %q", endpoint, got, err, want)
		}
	}
	dockertest.Require(t)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	dockertest.Docker(t, "context", "create", "far", "--docker", "host=ssh://me@big.example")
	t.Setenv("DOCKER_HOST", "unix:///nowhere")
	if got, err := (docker.Place{Context: "far"}).Remote(t.Context()); err != nil || got != "big.example" {
		t.Errorf("the context is on %q, %v", got, err)
	}
	if _, err := (docker.Place{Context: "gone"}).Remote(t.Context()); err == nil {
		t.Error("a context that there is not is somewhere")
	}
}

// TestOpenAt: the place counts, and not the environment.
func TestOpenAt(t *testing.T) {
	dockertest.Require(t)
	here, err := docker.Here(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
	t.Setenv("DOCKER_CONTEXT", "gone")
	engine, err := docker.OpenAt(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := engine.PublishedPorts(t.Context()); err != nil {
		t.Error(err)
	}
	for _, place := range []docker.Place{{Context: "gone"}, {Host: "tcp://127.0.0.1:9"}} {
		if _, err := docker.OpenAt(t.Context(), place); err == nil {
			t.Errorf("an engine answers at %s", place)
		}
	}
}

// TestProbe: a port is in use when somebody answers there.
func TestProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	used := l.Addr().(*net.TCPAddr).Port
	if docker.NewProbe("") != nil {
		t.Error("this machine is not probed")
	}
	p := docker.NewProbe("127.0.0.2")
	ports := []int{used}
	for port := 20000; port < 21000; port++ {
		ports = append(ports, port)
	}
	p.Look(t.Context(), ports)
	if p.Free(used) {
		t.Error("a port is free at which somebody answers")
	}
	if other := docker.NewProbe("127.0.0.3"); !other.Free(used) {
		t.Error("the port of another machine is not free")
	}
	// Nobody answers at an address that is for documentation.
	far := docker.NewProbe("192.0.2.1")
	begun := time.Now()
	far.Look(context.Background(), ports[:200])
	if took := time.Since(begun); took > 30*time.Second || !far.Free(ports[1]) {
		t.Errorf("it took %s to see that %d is free: %v", took, ports[1], far.Free(ports[1]))
	}
}
