package docker

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"ecluse/steps/run"
)

// imagePattern is what the engine takes for the name of an image.
var imagePattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)

// one is a container of the service s of the session x.
func one(status string, change func(*container)) container {
	c := container{ID: "id", Name: "c", Labels: map[string]string{composeService: "s", LabelSession: "x"}}
	c.State.Status = status
	if change != nil {
		change(&c)
	}
	return c
}

// healthy sets what the health check says.
func healthy(status string) func(*container) {
	return func(c *container) {
		c.State.Health = &health{Status: status}
	}
}

func exited(code int, policy string) func(*container) {
	return func(c *container) { c.State.ExitCode, c.Restart.Name = code, policy }
}

func TestJudge(t *testing.T) {
	plain, ends, serves := Service{Name: "s", Replicas: 1}, Service{Name: "s", Replicas: 1, Ends: true}, Service{Name: "s", Replicas: 1, Serves: true}
	tests := []struct {
		name    string
		service Service
		have    []container
		ready   bool
		failed  bool
	}{
		{"running", plain, []container{one("running", nil)}, true, false},
		{"nothing there", plain, nil, false, false},
		{"none wanted", Service{Name: "s"}, nil, true, false},
		{"created", plain, []container{one("created", nil)}, false, false},
		{"paused", plain, []container{one("paused", nil)}, false, false},
		{"healthy", plain, []container{one("running", healthy("healthy"))}, true, false},
		{"starting", plain, []container{one("running", healthy("starting"))}, false, false},
		{"unhealthy", plain, []container{one("running", healthy("unhealthy"))}, false, true},
		{"ended well", plain, []container{one("exited", exited(0, "no"))}, true, false},
		{"ended well, no policy", plain, []container{one("exited", exited(0, ""))}, true, false},
		{"ended well, on-failure", plain, []container{one("exited", exited(0, "on-failure"))}, true, false},
		{"ended well and must not", serves, []container{one("exited", exited(0, "no"))}, false, true},
		{"ended well with a check", plain, []container{one("exited", healthy("starting"))}, false, true},
		{"must end and runs", ends, []container{one("running", nil)}, false, false},
		{"must end and did", ends, []container{one("exited", exited(0, "no"))}, true, false},
		{"must end and failed", ends, []container{one("exited", exited(3, "no"))}, false, true},
		{"failed", plain, []container{one("exited", exited(1, "no"))}, false, true},
		{"failed too often", plain, []container{one("exited", exited(1, "on-failure"))}, false, true},
		{"stopped by hand", plain, []container{one("exited", exited(0, "always"))}, false, false},
		{"restarting", plain, []container{one("restarting", exited(1, "always"))}, false, false},
		{"of another session", plain, []container{one("running", func(c *container) { c.Labels[LabelSession] = "y" })}, false, false},
		{"a one-off", plain, []container{one("running", func(c *container) { c.Labels[composeOneOff] = "True" })}, false, false},
		{"one of two", Service{Name: "s", Replicas: 2}, []container{one("running", nil)}, false, false},
		{"two, one bad", Service{Name: "s", Replicas: 2}, []container{one("running", nil), one("exited", exited(1, "no"))}, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWatch(UpOptions{Session: "x"}, nil)
			w.upEnded, w.hasty = true, true
			if got := w.of(test.service, test.have, time.Now()); got.ready != test.ready || got.failed != test.failed {
				t.Errorf("judged as %+v, want ready %v, failed %v", got, test.ready, test.failed)
			}
		})
	}
}

// TestNotYet: what counts only later.
// What a health check said while a container ran is not said of one that has ended.
func TestHealthOfTheEnded(t *testing.T) {
	said := func(c *container) {
		c.State.Health = &health{Status: "unhealthy"}
		c.State.Health.Log = append(c.State.Health.Log, struct {
			ExitCode int
			Output   string
		}{0, "PONG"})
	}
	for status, want := range map[string]bool{"running": true, "exited": false} {
		w := newWatch(UpOptions{Services: []Service{{Name: "s", Replicas: 1, Serves: true}}, Session: "x"}, nil)
		w.upEnded = true
		err, _ := w.look([]container{one(status, said)}, time.Unix(0, 0))
		var failed *ServiceError
		if !errors.As(err, &failed) || (failed.Probe != "") != want {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func TestNotYet(t *testing.T) {
	now := time.Now()
	o := UpOptions{Session: "x", Services: []Service{{Name: "s", Replicas: 1}}, Timeout: time.Minute}

	w := newWatch(o, nil)
	list := []container{one("running", nil)}
	if _, ready := w.look(list, now); ready {
		t.Error("ready at the first look")
	}
	if _, ready := w.look(list, now.Add(steady)); ready {
		t.Error("ready before Compose has ended")
	}
	w.upEnded = true
	if _, ready := w.look([]container{one("running", func(c *container) { c.State.StartedAt = now })}, now.Add(steady)); ready {
		t.Error("ready although it was started anew")
	}
	if _, ready := w.look(list, now.Add(steady)); !ready {
		t.Error("not ready")
	}

	// What had failed before anything was started has not failed again.
	old := []container{one("exited", exited(1, "no"))}
	w = newWatch(o, old)
	if verdict, _ := w.look(old, now); verdict != nil {
		t.Errorf("judged by the past: %v", verdict)
	}
	w.upEnded = true
	var failed *ServiceError
	if verdict, _ := w.look(old, now); !errors.As(verdict, &failed) {
		t.Errorf("not judged at the end: %v", verdict)
	}

	// One that has died meanwhile must run for longer, one that did so in the
	// past must not.
	again := one("running", func(c *container) { c.Restarts = 3 })
	w = newWatch(o, nil)
	w.upEnded = true
	_, _ = w.look([]container{again}, now)
	if _, ready := w.look([]container{again}, now.Add(steady)); ready {
		t.Error("ready although it has just died")
	}
	if _, ready := w.look([]container{again}, now.Add(steadyAgain)); !ready {
		t.Error("not ready although it has run for long")
	}
	w = newWatch(o, []container{again})
	w.upEnded = true
	_, _ = w.look([]container{again}, now)
	if _, ready := w.look([]container{again}, now.Add(steady)); !ready {
		t.Error("not ready although it died long ago")
	}

	// What was unhealthy before is given time to get well.
	ill := one("running", healthy("unhealthy"))
	w = newWatch(o, []container{ill})
	w.upEnded = true
	if verdict, ready := w.look([]container{ill}, now); verdict != nil || ready {
		t.Errorf("judged by the past: ready %t, %v", ready, verdict)
	}
	worse := one("running", func(c *container) { c.State.Health = &health{Status: "unhealthy", FailingStreak: secondOpinion} })
	if verdict, _ := w.look([]container{worse}, now); !errors.As(verdict, &failed) {
		t.Errorf("not judged by the present: %v", verdict)
	}

	// The time counts from when all containers are there.
	w = newWatch(o, nil)
	_, _ = w.look(nil, now)
	if verdict, _ := w.look([]container{one("created", nil)}, now.Add(time.Hour)); verdict != nil {
		t.Errorf("late before it began: %v", verdict)
	}
	var late *TimeoutError
	if verdict, _ := w.look([]container{one("created", nil)}, now.Add(2*time.Hour)); !errors.As(verdict, &late) || late.Waiting[0].Service != "s" {
		t.Errorf("not late: %v", verdict)
	}
}

func TestHostPorts(t *testing.T) {
	for entry, want := range map[string][2]int{
		"0.0.0.0:8080->80/tcp": {8080, 8080}, ":::8080->80/tcp": {8080, 8080}, "[::]:8080->80/tcp": {8080, 8080},
		"127.0.0.1:9000-9003->9000-9003/udp": {9000, 9003}, "80/tcp": {0, -1}, "": {0, -1}, "x:y->z": {0, -1},
	} {
		if low, high := hostPorts(entry); low != want[0] || high != want[1] {
			t.Errorf("%q is read as %d to %d, want %v", entry, low, high, want)
		}
	}
}

// TestMeaning: what docker says is told apart.
func TestMeaning(t *testing.T) {
	tests := map[string]error{
		"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?":             ErrUnreachable,
		"error during connect: Get \"http://host:2375/v1.41/version\": dial tcp: i/o timeout":                           ErrUnreachable,
		"permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock":          ErrUnreachable,
		"Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults": ErrPool,
		"Error response from daemon: all predefined address pools have been fully subnetted":                            ErrPool,
		"Error response from daemon: driver failed: Bind for 0.0.0.0:80 failed: port is already allocated":              ErrPortTaken,
		"Error response from daemon: driver failed: listen tcp4 0.0.0.0:80: bind: address already in use":               ErrPortTaken,
	}
	for text, want := range tests {
		err := meaning(fmt.Errorf("up: %w", &run.Error{Program: "docker", Status: 1, Tail: text}))
		if !errors.Is(err, want) {
			t.Errorf("%q means %v, want %v", text, err, want)
		}
		for _, other := range []error{ErrUnreachable, ErrPool, ErrPortTaken, ErrMissing} {
			if !errors.Is(other, want) && errors.Is(err, other) {
				t.Errorf("%q means %v, too", text, other)
			}
		}
		if !errors.Is(want, ErrUnreachable) && !errors.Is(brief(err), want) {
			t.Errorf("%q in brief is %v", text, brief(err))
		}
	}
	if err := meaning(&run.Error{Err: exec.ErrNotFound}); !errors.Is(err, ErrMissing) {
		t.Errorf("no docker means %v", err)
	}
	if meaning(nil) != nil {
		t.Error("nil means something")
	}
	if err := meaning(&run.Error{Err: context.Canceled}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled means %v", err)
	}
}

// TestBroom: looks at the same things are counted, and the calm begins anew when
// something appears.
func TestBroom(t *testing.T) {
	var b broom
	some := Resources{Containers: []Resource{{ID: "a", Name: "a"}}}
	b.look(some)
	if b.pause() != 0 {
		t.Error("a pause after the first look")
	}
	for range 3 {
		b.look(some)
	}
	if b.unchanged != 3 || b.pause() == 0 {
		t.Errorf("after four looks: %+v", b)
	}
	b.look(Resources{})
	b.proven = time.Second
	b.look(Resources{})
	if b.unchanged != 0 || b.calm != time.Second {
		t.Errorf("calm: %+v", b)
	}
	b.look(some)
	b.look(Resources{})
	if b.calm != 0 {
		t.Errorf("calm again: %+v", b)
	}
	waited, looks := time.Duration(0), 1
	for ; b.calm < settle; looks++ {
		rest := b.pause()
		if waited += rest; rest <= 0 || waited > settle {
			t.Fatalf("after %d looks in %s: %+v", looks, waited, b)
		}
		b.proven = proof(rest, rest)
		b.look(Resources{})
	}
	if looks > 4 {
		t.Errorf("%d looks until it is believed that nothing appears", looks)
	}
}

// TestStandstill: what was not seen because the machine stood still does not count as
// seen.
func TestStandstill(t *testing.T) {
	for _, test := range []struct{ rest, took, want time.Duration }{
		{time.Second, time.Second, time.Second},
		{time.Second, 2 * time.Second, time.Second},
		{time.Second, time.Second / 2, time.Second / 2}, // woken up
		{time.Second, 4 * time.Second, 0},
		{0, time.Second, 0},
	} {
		if got := proof(test.rest, test.took); got != test.want {
			t.Errorf("a rest of %s that took %s proves %s, not %s", test.rest, test.took, got, test.want)
		}
	}
	w := newWatch(UpOptions{Session: "x", Services: []Service{{Name: "s", Replicas: 1}}}, nil)
	w.upEnded = true
	list := []container{one("running", nil)}
	first := time.Now().Add(-time.Hour)
	_, _ = w.look(list, first)
	now := w.skip(first, steady-1)
	if _, ready := w.look(list, now); ready || w.ripe != 1 {
		t.Errorf("ready %v after a moment of an hour, to wait for %s", ready, w.ripe)
	}
	if _, ready := w.look(list, now.Add(1)); !ready {
		t.Error("not ready")
	}
}
