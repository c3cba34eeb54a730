package look

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

func TestJudgeContainer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		service   docker.Service
		container docker.Container
		state     string
		healthy   bool
	}{
		"runs":                   {docker.Service{}, docker.Container{State: "running"}, "running", true},
		"is healthy":             {docker.Service{Serves: true}, docker.Container{State: "running", Health: "healthy"}, "healthy", true},
		"is unhealthy":           {docker.Service{Serves: true}, docker.Container{State: "running", Health: "unhealthy"}, "unhealthy", false},
		"is starting":            {docker.Service{Serves: true}, docker.Container{State: "running", Health: "starting"}, "starting", false},
		"must end and runs":      {docker.Service{Ends: true}, docker.Container{State: "running"}, "running", false},
		"has ended well":         {docker.Service{Ends: true}, docker.Container{State: "exited"}, "exited", true},
		"may end, and has":       {docker.Service{}, docker.Container{State: "exited"}, "exited", true},
		"must not end, and has":  {docker.Service{Serves: true}, docker.Container{State: "exited"}, "exited", false},
		"has ended with a fault": {docker.Service{Ends: true}, docker.Container{State: "exited", ExitCode: 3}, "exited", false},
		"restarts":               {docker.Service{}, docker.Container{State: "restarting", ExitCode: 1}, "restarting", false},
		"is paused":              {docker.Service{}, docker.Container{State: "paused"}, "paused", false},
		"was never started":      {docker.Service{}, docker.Container{State: "created"}, "created", false},
	} {
		state, healthy, problem := judgeContainer(test.service, test.container)
		if state != test.state || healthy != test.healthy || healthy != (problem == "") {
			t.Errorf("one that %s is %s, %v (%s)", name, state, healthy, problem)
		}
	}
}

// Whose port a service has taken is known from the leases, else from the arithmetic of
// slots.
func TestPortConflict(t *testing.T) {
	t.Parallel()
	me := session.Session{Key: session.Key{Repo: "/r", Slug: "me"}, Slot: 2, Ports: map[string]int{"web": 3004}}
	other := session.Session{Key: session.Key{Repo: "/r", Slug: "other"}, Slot: 3, Ports: map[string]int{"web": 3070}}
	far := session.Session{Key: session.Key{Repo: "/far", Slug: "far"}, Slot: 1, Ports: map[string]int{"x": 3008}}
	web := settings.Service{Name: "web", BasePort: 3000}
	o := observer{cfg: settings.Config{MaxSlots: 8, SlotStride: 2}, s: me, all: []session.Session{me, other, far}}
	for port, want := range map[int]*PortConflict{
		3070: {Slot: 3, Session: "other"}, // leased, though no slot's by arithmetic
		3006: {Slot: 3, Session: "other"},
		3008: {Slot: 1, Session: "far"}, // another repository's lease comes first
		3010: {Slot: 5},
		3007: nil, 3000: nil, 3018: nil, 2998: nil,
	} {
		if diff := cmp.Diff(want, o.conflict(web, port)); diff != "" {
			t.Errorf("port %d: %s", port, diff)
		}
	}
}
