package steps

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/settings"
)

// workerOf makes a session with a native service that has no port.
func workerOf(t *testing.T, s settings.Service) *trialStep {
	t.Helper()
	r := newRig(t, func(c *settings.Config) {
		s.Name = "worker"
		c.Services = []settings.Service{s}
	})
	r.s.Ports = map[string]int{}
	r.addWorktree(t)
	ts := stepOf(t, r, "service:worker")
	t.Cleanup(func() {
		ok(t, ts.compensate(t))
		if err := r.runs("service:worker", 0)(); err != nil {
			t.Error(err)
		}
	})
	return ts
}

// TestAWorkerIsUpWhenItGoesOn: without a port and conditions a service must have run
// for a moment, and one that ends before has failed.
func TestAWorkerIsUpWhenItGoesOn(t *testing.T) {
	t.Parallel()
	ts := workerOf(t, settings.Service{Command: "echo at work; exec sleep 1000"})
	begun := time.Now()
	ok(t, ts.do(t))
	if took := time.Since(begun); took < steady {
		t.Errorf("it counted as up after %s", took)
	}
	ok(t, ts.verify(t))
}

func TestAWorkerThatEndsHasFailed(t *testing.T) {
	for name, command := range map[string]string{"at once": "", "soon": "sleep 0.2;"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := workerOf(t, settings.Service{Command: command + "echo no queue; exit 3"})
			mustSay(t, ts.do(t), "it has exited (exit status 3)", "no queue")
			mustSay(t, ts.verify(t), "not running")
		})
	}
}

// TestAWorkerMayListen: a port that it takes is nobody's business.
func TestAWorkerMayListen(t *testing.T) {
	t.Parallel()
	ts := workerOf(t, settings.Service{Command: serving(fmt.Sprint(freePort(t))), Ready: settings.Ready{Log: "serving"}})
	ok(t, ts.do(t))
	ok(t, ts.verify(t))
}

const portlessFile = `mode = "hybrid"
[[services]]
name = "worker"
command = "x"
[[services]]
name = "web"
base_port = 3000
command = "x"
[[services]]
name = "inspected"
command = "x"
extra_ports = [{ base_port = 9229, port_env = "INSPECT" }]
[[services]]
name = "mailer"
run = "docker"
port_env = "MAIL_PORT"
`

// TestPortlessPorts: a service without a base_port has no lease and no variable, and
// PORT is that of the first that has one.
func TestPortlessPorts(t *testing.T) {
	cfg, err := loadText(t, portlessFile)
	ok(t, err)
	if got := cfg.Warnings(); len(got) > 0 {
		t.Errorf("warnings %q", got)
	}
	if diff := cmp.Diff([]string{"web", "inspected.inspect"}, cfg.NativeLeases()); diff != "" {
		t.Error(diff)
	}
	host := cfg
	host.Mode = settings.ModeHost
	wants, err := Wants(t.Context(), host, 1)
	ok(t, err)
	var names []string
	for _, w := range wants {
		names = append(names, w.Name)
	}
	if diff := cmp.Diff([]string{"web", "inspected.inspect"}, names); diff != "" {
		t.Error(diff)
	}
	ports, err := Nominals(t.Context(), host, t.TempDir())
	ok(t, err)
	if len(ports) != 2 || ports[0].Name != "web" || ports[1].Name != "inspected.inspect" {
		t.Errorf("the table of ports has %+v", ports)
	}
	vars, err := Environment(cfg, session.Session{Ports: map[string]int{"web": 3001, "inspected.inspect": 9230, "mailer": 1026}})
	ok(t, err)
	for name, want := range map[string]string{
		"PORT": "3001", "ECLUSE_WEB_PORT": "3001", "INSPECT": "9230", "ECLUSE_MAILER_PORT": "1026", "MAIL_PORT": "1026",
		"ECLUSE_WORKER_PORT": "", "ECLUSE_INSPECTED_PORT": "",
	} {
		if vars[name] != want {
			t.Errorf("%s is %q; want %q", name, vars[name], want)
		}
	}
	if only, err := loadText(t, "mode = \"host\"\n[[services]]\nname = \"worker\"\ncommand = \"x\""); err != nil || len(only.NativeLeases()) > 0 {
		t.Errorf("a worker alone: leases %v, %v", only.NativeLeases(), err)
	}
}

func TestPortlessConfigRefuses(t *testing.T) {
	for lines, want := range map[string]string{
		"command = \"x\"\nbase_port = 0":              "base_port",
		"command = \"x\"\nhost_port = 4000":           "host_port",
		"command = \"x\"\nport_env = \"A\"":           "port_env",
		"command = \"x\"\nready = { tcp = true }":     "ready.tcp",
		"command = \"x\"\nready = { http = \"/up\" }": "ready.http",
		"run = \"docker\"\nhost_port = 4000":          "host_port",
		"run = \"docker\"\npublish_primary = true":    "publish_primary",
		"": "base_port",
		"command = \"x\"\nready = { http = \"http://localhost\"}": "",
	} {
		_, err := loadText(t, "mode = \"hybrid\"\n[[services]]\nname = \"a\"\n"+lines)
		var got []string
		var wrong *config.Error
		if errors.As(err, &wrong) {
			for _, p := range wrong.Problems {
				got = append(got, p.Key)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		if want != "" && !slices.Equal(got, []string{"services.0." + want}) || want == "" && err != nil {
			t.Errorf("%q: %v", lines, err)
		}
	}
}

// TestPortlessInDocker: a service that is only named runs, and publishes what the
// compose file says, under the names that it would have without being named.
func TestPortlessInDocker(t *testing.T) {
	cfg := composeConfig(settings.ModeHybrid)
	cfg.Services = []settings.Service{{Name: "worker", Run: settings.RunDocker}, {Name: "mailer", Run: settings.RunDocker}, {Name: "api", Run: settings.RunDocker, ExtraPorts: []settings.ExtraPort{{BasePort: 9000, ContainerPort: 90}}}}
	models, err := modelsOf(t, cfg, map[string]string{
		"compose.yaml": `services: {worker: {image: none}, mailer: {image: none, ports: ["1025:25", "8025"]}, api: {image: none, ports: ["8000:80"]}, web: {image: none}}`,
	})
	ok(t, err)
	var got []string
	for _, p := range models[0].Published() {
		got = append(got, fmt.Sprintf("%s %d %d", p.Name, p.Base, p.Container))
	}
	if diff := cmp.Diff([]string{"api 8000 80", "api.1 9000 90", "mailer 1025 25", "mailer.8025 0 8025"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"api", "mailer", "worker"}, models[0].Services()); diff != "" {
		t.Error(diff)
	}
	if got := models[0].Warnings; len(got) != 1 || !containsAll(got[0], []string{"web", "not started"}) {
		t.Errorf("warnings %q", got)
	}
}

// TestComposePortless: services in Docker that are only named are started, the one
// without a port and the one that publishes what its file says; no other is.
func TestComposePortless(t *testing.T) {
	t.Parallel()
	r := newSeveralRig(t, 24800, map[string]string{"compose.yaml": `services:
  worker: {image: IMAGE, command: ["-serve=:80"]}
  mailer: {image: IMAGE, command: ["-serve=:25"], ports: ["BASE0:25"]}
  other: {image: IMAGE, command: ["-serve=:80"]}
`})
	r.Config.Mode = settings.ModeHybrid
	r.Config.Services = []settings.Service{{Name: "worker", Run: settings.RunDocker}, {Name: "mailer", Run: settings.RunDocker}}
	list := r.composeSteps(t)
	r.prepare(t)
	if err := errors.Join(r.together(t, list)...); err != nil {
		t.Fatal(err)
	}
	if got := r.containers(t); !slices.Equal(got, []string{"compose mailer", "compose worker"}) {
		t.Errorf("there are %v", got)
	}
	if port := r.s.Ports["mailer"]; port <= 24800 || r.s.Ports["worker"] != 0 {
		t.Errorf("leased are %v", r.s.Ports)
	} else if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
		t.Error(err)
	} else {
		ok(t, conn.Close())
	}
	for _, c := range list {
		ok(t, c.Verify(t.Context(), r.at(c.group.Step)))
		r.back(t, c, c.group.Step)
	}
	r.back(t, volumes{r.Target}, "volumes")
	if left := r.remains(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}
