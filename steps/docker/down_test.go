package docker_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
)

// TestKilledClient kills docker compose in the middle of an up. The daemon goes on;
// Down must not return before that is over, and gone.
func TestKilledClient(t *testing.T) {
	t.Parallel()
	var services strings.Builder
	for i := range 5 {
		fmt.Fprintf(&services, "  s%d: {image: IMAGE, ports: [\"80\"], volumes: [\"v%d:/v\", \"/anonymous\"]}\n", i, i)
	}
	volumes := "volumes: {v0: , v1: , v2: , v3: , v4: }\n"
	for _, after := range []time.Duration{300, 700, 1200} {
		t.Run(fmt.Sprint(after*time.Millisecond), func(t *testing.T) {
			t.Parallel()
			s := newStack(t, map[string]string{"compose.yaml": "services:\n" + services.String() + volumes})
			cmd := exec.CommandContext(t.Context(), "docker", "compose", "-p", s.up.Name, "-f", s.up.File, "up", "-d")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(after*time.Millisecond, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			err := cmd.Wait()
			timer.Stop()
			t.Logf("up: %v; then there is %v", err, dockertest.Left(t, docker.LabelSession+"="+s.up.Session))
			s.down(t, docker.DownOptions{Doubt: true})
			for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
				s.gone(t)
			}
		})
	}
}

// TestLateArrival: what the engine makes late, of what it was asked for by a client
// that is gone, is removed as well.
func TestLateArrival(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": "services: {a: {image: IMAGE}}\n"})
	image := dockertest.Image(t)
	for try := 1; ; try++ {
		late := make(chan time.Duration, 1)
		time.AfterFunc(time.Second, func() {
			begun := time.Now()
			out, err := exec.Command("docker", "create", "--label", "com.docker.compose.config-hash=x", "--label", docker.LabelSession+"="+s.up.Session, image).CombinedOutput()
			t.Logf("created late: %s, %v", out, err)
			late <- time.Since(begun)
		})
		s.down(t, docker.DownOptions{Doubt: true})
		select {
		case <-late:
			s.gone(t)
			return
		default:
		}
		// What was a second in coming was never in hand while Down waited.
		if took := <-late; took < time.Second || try == 10 {
			t.Errorf("down did not wait for what came within %s", took)
		}
		s.down(t, docker.DownOptions{})
		if t.Failed() {
			return
		}
	}
}

// TestOneStepOfTwo: where nothing is left of the project, what another step of the
// session has made is not taken for its own.
func TestOneStepOfTwo(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": "services: {a: {image: IMAGE}}\n"})
	session := docker.LabelSession + "=" + s.up.Session
	create := func(step string) string {
		return dockertest.Docker(t, "create", "--label", "com.docker.compose.config-hash=x", "--label", session, "--label", docker.LabelStep+"="+step, dockertest.Image(t))
	}
	own, other := create("compose:a"), create("compose:b")
	s.downKeeping(t, docker.DownOptions{Step: "compose:a"})
	left := dockertest.Docker(t, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+session)
	if left != other {
		t.Errorf("left is %q; want %s, and not %s", left, other, own)
	}
	s.down(t, docker.DownOptions{})
	s.gone(t)
}

// TestDownWithoutFile takes down what is known only by its labels.
func TestDownWithoutFile(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  a: {image: IMAGE, volumes: ["data:/v", "/anonymous"], command: ["-deaf"], stop_grace_period: 200ms}
  b: {build: {context: ., dockerfile_inline: "FROM scratch\nCOPY x /x\nVOLUME /y\n"}, entrypoint: ["/nothing"], scale: 0}
volumes: {data: }
`, "x": "x"})
	s.start(t)
	before := volumes(t)
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.up.File); err != nil {
		t.Fatal(err)
	}
	anonymous := s.anonymous(t)
	if !slices.Contains(before, anonymous) {
		t.Fatalf("no anonymous volume %q among %v", anonymous, before)
	}
	s.down(t, docker.DownOptions{})
	s.gone(t)
	if slices.Contains(volumes(t), anonymous) {
		t.Error("the anonymous volume is still there")
	}
	s.down(t, docker.DownOptions{})
}

// anonymous is the volume without a name of the session's one container.
func (s *stack) anonymous(t *testing.T) string {
	t.Helper()
	container := dockertest.Docker(t, "ps", "-q", "--filter", "label="+docker.LabelSession+"="+s.up.Session)
	return dockertest.Docker(t, "inspect", "--format", `{{range .Mounts}}{{if eq (len .Name) 64}}{{.Name}}{{end}}{{end}}`, container)
}

func volumes(t *testing.T) []string {
	t.Helper()
	return strings.Fields(dockertest.Docker(t, "volume", "ls", "-q"))
}

// TestKeepVolumes: a session of the same name finds the data of the one before.
func TestKeepVolumes(t *testing.T) {
	t.Parallel()
	const file = `
services:
  a: {image: IMAGE, command: ["-serve=:80", "-write=/tmp/id=TEXT"], volumes: ["data:/tmp", "/scratch"], ports: ["80"]}
volumes: {data: }
`
	s := newStack(t, map[string]string{"compose.yaml": strings.Replace(file, "TEXT", "first", 1)})
	s.start(t)
	scratch := s.anonymous(t)
	s.downKeeping(t, docker.DownOptions{})
	have := volumes(t)
	if !slices.Contains(have, s.up.Name+"_data") || slices.Contains(have, scratch) {
		t.Fatalf("there is %v; want the named volume, and not %s", have, scratch)
	}
	// The next session has another id.
	old := s.up.Session
	s.up.Session += "x"
	s.labels[docker.LabelSession] = s.up.Session
	s.write(t, "compose.yaml", strings.NewReplacer("IMAGE", dockertest.Image(t), "TEXT", "second").Replace(file))
	s.rewrite(t)
	s.start(t)
	if err := s.engine.Verify(t.Context(), s.up); err != nil {
		t.Error(err)
	}
	if got := s.get(t, "a", "/file?path=/tmp/id"); got != "first" {
		t.Errorf("the volume holds %q, want what the first session wrote", got)
	}
	// A removal that must leave what was there before does.
	s.downKeeping(t, docker.DownOptions{})
	but := s.volumes()
	but.But = []string{s.up.Name + "_data"}
	if err := s.engine.RemoveVolumes(t.Context(), but); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(volumes(t), s.up.Name+"_data") {
		t.Error("the volume is gone")
	}
	s.down(t, docker.DownOptions{})
	s.gone(t)
	if left := dockertest.Left(t, docker.LabelSession+"="+old); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestSideBySide runs one compose file twice.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	files := map[string]string{"compose.yaml": `
services:
  web:
    image: IMAGE
    container_name: fixed
    command: ["-serve=:80", "-write=/tmp/id=${WHO}"]
    ports: ["18090:80"]
    volumes: ["data:/tmp"]
    networks: {default: {ipv4_address: 172.31.97.10}}
volumes: {data: {name: fixed}}
networks: {default: {name: fixed, ipam: {config: [{subnet: 172.31.97.0/24}]}}}
`}
	files[".env"] = "WHO=one\n"
	one := newStack(t, files)
	files[".env"] = "WHO=two\n"
	two := newStack(t, files)
	for _, s := range []*stack{one, two} {
		s.start(t)
	}
	for s, want := range map[*stack]string{one: "one", two: "two"} {
		if err := s.engine.Verify(t.Context(), s.up); err != nil {
			t.Error(err)
		}
		if got := s.get(t, "web", "/file?path=/tmp/id"); got != want {
			t.Errorf("session %s has the data %q", want, got)
		}
	}
	one.down(t, docker.DownOptions{})
	one.gone(t)
	if err := two.engine.Verify(t.Context(), two.up); err != nil {
		t.Errorf("the other session after one is down: %v", err)
	}
}

// TestVerifyNotices changes what runs behind the session's back.
func TestVerifyNotices(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  a: {image: IMAGE, command: ["-serve=:80"], ports: ["80"]}
  b: {image: IMAGE}
`})
	s.start(t)
	wrong := s.up
	wrong.Services = slices.Clone(wrong.Services)
	wrong.Services[0].Ports = []docker.Binding{{Host: 1, Container: 80, Protocol: "tcp"}}
	if err := s.engine.Verify(t.Context(), wrong); err == nil {
		t.Error("another port is no lease")
	}
	wrong = s.up
	wrong.Session = "other"
	if err := s.engine.Verify(t.Context(), wrong); err == nil {
		t.Error("containers of another session are not ours")
	}
	dockertest.Docker(t, "kill", s.up.Name+"-b-1")
	var failed *docker.ServiceError
	if err := s.engine.Verify(t.Context(), s.up); !errors.As(err, &failed) || failed.Service != "b" {
		t.Errorf("verify: %v, want b to be named", err)
	}
	s.start(t)
	if err := s.engine.Verify(t.Context(), s.up); err != nil {
		t.Errorf("verify after repair: %v", err)
	}
	dockertest.Docker(t, "rm", "-f", s.up.Name+"-a-1")
	if err := s.engine.Verify(t.Context(), s.up); !errors.As(err, &failed) || failed.Service != "a" {
		t.Errorf("verify: %v, want a to be named", err)
	}
}

// TestPaused: what somebody has paused goes on.
func TestPaused(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": "services: {a: {image: IMAGE}}\n"})
	s.start(t)
	dockertest.Docker(t, "pause", s.up.Name+"-a-1")
	s.start(t)
	if err := s.engine.Verify(t.Context(), s.up); err != nil {
		t.Error(err)
	}
}

// TestAllAddressesAndOne: a port may be published on all addresses and on one of them.
func TestAllAddressesAndOne(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  a: {image: IMAGE, command: ["-serve=:80"], ports: ["127.0.0.1:47000:80", "47000:80", "127.0.0.1:47000:80/udp"]}
`})
	s.start(t)
	if err := s.engine.Verify(t.Context(), s.up); err != nil || len(s.leases) != 2 {
		t.Errorf("verify: %v; leases are %v, want two", err, s.leases)
	}
}

// TestPortTaken: something takes the port between lease and start.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  a: {image: IMAGE, command: ["-serve=:80"], ports: ["80"]}
`})
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", s.leases["a"]))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := s.engine.Up(t.Context(), s.up); !errors.Is(err, docker.ErrPortTaken) {
		t.Errorf("up: %v, want ErrPortTaken", err)
	}
}

// TestNoImage: an image that nobody has.
func TestNoImage(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  a: {image: "127.0.0.1:9/none:1"}
  b: {image: IMAGE}
`})
	if err := s.engine.Up(t.Context(), s.up); err == nil || !strings.Contains(err.Error(), "127.0.0.1:9") {
		t.Errorf("up: %v, want the image to be named", err)
	}
}

// TestUnreachable: while the engine does not answer, nothing counts as gone.
func TestUnreachable(t *testing.T) {
	dockertest.Require(t)
	engine, err := docker.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_HOST", "unix://"+t.TempDir()+"/none.sock")
	if _, err := docker.Open(t.Context()); !errors.Is(err, docker.ErrUnreachable) {
		t.Errorf("open: %v, want ErrUnreachable", err)
	}
	if err := engine.Down(t.Context(), docker.DownOptions{Project: docker.Project{Name: "x"}, Session: "x"}); !errors.Is(err, docker.ErrUnreachable) {
		t.Errorf("down: %v, want ErrUnreachable", err)
	}
	if _, err := docker.PublishedPorts(t.Context()); !errors.Is(err, docker.ErrUnreachable) {
		t.Errorf("published ports: %v, want ErrUnreachable", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := docker.Check(t.Context()); !errors.Is(err, docker.ErrMissing) {
		t.Errorf("check: %v, want ErrMissing", err)
	}
}
