package steps

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// TestWatcherGoesFirst: who watches the services is gone before they are. It would
// make them anew.
func TestWatcherGoesFirst(t *testing.T) {
	t.Parallel()
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{
		"compose.yaml": "services: {a: {image: IMAGE}}\n"})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	seen := filepath.Join(t.TempDir(), "seen")
	container := strings.TrimSpace(dockertest.Docker(t, "ps", "--quiet", "--filter", "label="+docker.LabelSession+"="+r.s.ID))
	pid := strings.TrimSpace(dockertest.Docker(t, "inspect", "--format", "{{.State.Pid}}", container))
	// Asking Docker might take longer than the watcher is given.
	script := fmt.Sprintf(`trap 'test -d /proc/%s && echo it runs >%s; exit' TERM; echo ready; while :; do sleep 0.1; done`, pid, seen)
	watcher := exec.Command("sh", "-c", script)
	watcher.Env = append(os.Environ(), Marks(r.s, composeStep)...)
	out, err := watcher.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watcher.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Process.Kill(); _ = watcher.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the watcher says %q", line)
	}
	r.s.Run.Verb = session.VerbDown
	r.compensate(t, false)
	if ids, err := proc.Carrying(Marks(r.s, composeStep)...); err != nil || len(ids) > 0 {
		t.Errorf("still running: %v, %v", ids, err)
	}
	if _, err := os.Stat(seen); err != nil {
		t.Errorf("when the watcher was ended the container did not run any more: %v", err)
	}
	if left := r.left(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestWatcherOfBefore: a watcher that was left behind does not keep the next from its
// work.
func TestWatcherOfBefore(t *testing.T) {
	t.Parallel()
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{
		"compose.yaml": "services: {a: {image: IMAGE, build: {context: .}, develop: {watch: [{action: rebuild, path: ./src}]}}}\n",
		"Dockerfile":   "FROM IMAGE\n", "src/x": "",
	})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	a := r.attempt()
	fact, _, err := r.step().fact(a)
	if err != nil {
		t.Fatal(err)
	}
	old := exec.Command("docker", "compose", "--project-name", fact.Project, "--file", fact.File, "watch", "--no-up")
	old.Env = append(os.Environ(), Marks(r.s, composeStep)...)
	said, err := old.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	old.Stdout = old.Stderr
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = old.Process.Kill(); _ = old.Wait() })
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		t.Fatalf("the old watcher says %q: %v", line, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- r.step().watch(ctx, composeStep, fact, out); out.Close() }()
	watching := false
	for lines := bufio.NewScanner(in); lines.Scan(); {
		t.Log(lines.Text())
		if strings.Contains(lines.Text(), "Watch enabled") {
			watching = true
			cancel()
		}
	}
	if err := <-ended; !watching {
		t.Errorf("the new watcher does not watch: %v", err)
	}
}
