package steps

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/proc"
)

// TestWatcherGoesFirst: who watches the services is gone before they are. It would
// make them anew.
func TestWatcherGoesFirst(t *testing.T) {
	t.Parallel()
	r := newComposeRig(t, composeConfig(ModeContainer), map[string]string{
		"compose.yaml": "services: {a: {image: IMAGE}}\n"})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	seen := filepath.Join(t.TempDir(), "seen")
	script := fmt.Sprintf(`trap 'docker ps --quiet --filter label=%s=%s >%s; exit' TERM; echo ready; while :; do sleep 0.1; done`,
		docker.LabelSession, r.s.ID, seen)
	watcher := exec.Command("sh", "-c", script)
	watcher.Env = append(os.Environ(), marks(r.s, composeStep)...)
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
	if ids, err := proc.Carrying(marks(r.s, composeStep)...); err != nil || len(ids) > 0 {
		t.Errorf("still running: %v, %v", ids, err)
	}
	data, err := os.ReadFile(seen)
	if err != nil || len(strings.Fields(string(data))) != 1 {
		t.Errorf("when it was ended the watcher saw the containers %q, %v; want the one that there was", data, err)
	}
	if left := r.left(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}
