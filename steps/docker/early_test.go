package docker

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Of a health check that gives up on what has just been started it is said what to do.
func TestAHealthCheckThatGivesUpEarly(t *testing.T) {
	now := time.Unix(10_000, 0)
	for name, test := range map[string]struct {
		age  time.Duration
		want string
	}{
		"young": {5 * time.Second, "service s is unhealthy (its health check says: status 1 nope); its health check gave up after 3 probes: if it was starting still, raise `retries` or set `start_period`"},
		"old":   {time.Hour, "service s is unhealthy (its health check says: status 1 nope)"},
	} {
		c := one("running", healthy("unhealthy"))
		c.State.StartedAt, c.State.Health.FailingStreak = now.Add(-test.age), 3
		c.State.Health.Log = append(c.State.Health.Log, struct {
			ExitCode int
			Output   string
		}{1, "nope\n"})
		w := newWatch(UpOptions{Session: "x", Services: []Service{{Name: "s", Replicas: 1}}}, nil)
		verdict, _ := w.look([]container{c}, now)
		if verdict == nil || verdict.Error() != test.want {
			t.Errorf("%s: %v", name, verdict)
		}
		var failed *ServiceError
		if !errors.As(verdict, &failed) {
			t.Fatalf("%v is no *ServiceError", verdict)
		}
		failed.Tail = []string{"x"}
		if !strings.HasSuffix(failed.Error(), "; it said: x") {
			t.Errorf("%s: %v", name, failed)
		}
	}
	for line, want := range map[string]bool{
		"The database cluster will be initialized with locale": true, "Starting up": true, "listening": false, "restarting_at_8": false,
	} {
		if got := starting([]string{"a", line}); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}
