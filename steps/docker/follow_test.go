package docker_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"ecluse/steps/docker"
)

// loud is a writer that can be read while it is written to.
type loud struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *loud) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(data)
}

func (l *loud) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestWatch: what is changed in the worktree is changed in the container.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{
		"compose.yaml": `
services:
  web:
    build: web
    command: ["-serve=:80"]
    ports: ["80"]
    develop: {watch: [{action: sync, path: ./web/src, target: /src}]}
  other: {image: IMAGE}
`,
		"web/Dockerfile": "FROM scratch\nCOPY tool /tool\nCOPY src /src\nENTRYPOINT [\"/tool\"]\n",
		"web/src/page":   "before",
	})
	buildable(t, s)
	if names, err := docker.Watched(s.up.File); err != nil || !slices.Equal(names, []string{"web"}) {
		t.Errorf("to be watched: %v, %v", names, err)
	}
	s.start(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended, out, over := make(chan error, 1), &loud{}, errors.New("over")
	go func() { ended <- s.engine.Watch(ctx, s.up.Project, out) }()
	// It does not say when it has begun to watch: changed until it is seen.
	deadline := time.Now().Add(time.Minute)
	for n := 0; s.get(t, "web", "/file?path=/src/page") != "after"; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("the container has not got the change; watch says:\n%s", out)
		}
		if n%10 == 0 {
			touch(t, filepath.Join(s.dir, "web", "src", "page"), "after")
		}
		time.Sleep(100 * time.Millisecond)
	}
	cancel(over)
	if err := <-ended; !errors.Is(err, over) {
		t.Errorf("watch ended with %v", err)
	}
	if err := s.engine.Verify(t.Context(), s.up); err != nil {
		t.Errorf("after it: %v", err)
	}
	s.down(t, docker.DownOptions{Step: "compose"})
	s.gone(t)
}

// touch writes a file as an editor does.
func touch(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
