package docker_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecluse/steps/docker"
)

// TestMany brings up many services at once; ECLUSE_TEST_MANY says how many.
func TestMany(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("ECLUSE_TEST_MANY"))
	if n == 0 {
		n = 30
	}
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  service-%03d: {image: IMAGE, command: [\"-serve=:80\"], volumes: [\"data:/tmp\"], stop_grace_period: 1s}\n", i)
	}
	b.WriteString("volumes: {data: }\n")
	begun := time.Now()
	took := func(what string) {
		t.Logf("%d services: %s took %s", n, what, time.Since(begun).Round(time.Millisecond))
		begun = time.Now()
	}
	s := newStack(t, map[string]string{"compose.yaml": b.String()})
	took("load and rewrite")
	s.up.Timeout = 5 * time.Minute
	s.start(t)
	took("up")
	if err := s.engine.Verify(t.Context(), s.up); err != nil {
		t.Error(err)
	}
	took("verify")
	s.start(t)
	took("up again")
	s.down(t, docker.DownOptions{Step: "compose"})
	took("down")
	s.gone(t)
}
