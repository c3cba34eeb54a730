package docker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParseLook(t *testing.T) {
	line := func(oneOff, state, status, ports string) string {
		return strings.Join([]string{"4711", "p-db-1", "p", "db", oneOff, state, status, ports}, "\t")
	}
	base := Container{ID: "4711", Name: "p-db-1", Project: "p", Service: "db"}
	with := func(change func(*Container)) Container {
		c := base
		change(&c)
		return c
	}
	for _, test := range []struct {
		name, line string
		want       Container
		ok         bool
	}{
		{"running", line("False", "running", "Up 3 minutes", "0.0.0.0:8081->80/tcp, :::8081->80/tcp, 443/tcp"), with(func(c *Container) {
			c.State, c.Ports = "running", []Binding{{Host: 8081, Container: 80, Protocol: "tcp"}}
		}), true},
		{"a range", line("False", "running", "Up 1 second", "127.0.0.1:90-91->80-81/udp"), with(func(c *Container) {
			c.State, c.Ports = "running", []Binding{{Host: 90, Container: 80, Protocol: "udp"}, {Host: 91, Container: 81, Protocol: "udp"}}
		}), true},
		{"healthy", line("", "running", "Up 3 minutes (healthy)", ""), with(func(c *Container) { c.State, c.Health = "running", "healthy" }), true},
		{"unhealthy", line("", "running", "Up 3 minutes (unhealthy)", ""), with(func(c *Container) { c.State, c.Health = "running", "unhealthy" }), true},
		{"starting", line("", "running", "Up 1 second (health: starting)", ""), with(func(c *Container) { c.State, c.Health = "running", "starting" }), true},
		{"exited", line("", "exited", "Exited (3) 2 hours ago", ""), with(func(c *Container) { c.State, c.ExitCode = "exited", 3 }), true},
		{"restarting", line("", "restarting", "Restarting (1) 5 seconds ago", ""), with(func(c *Container) { c.State, c.ExitCode = "restarting", 1 }), true},
		{"a one-off", line("True", "running", "Up", ""), Container{}, false},
		{"of no project", "4711\tx\t\t\t\trunning\tUp\t", Container{}, false},
		{"cut off", "4711\tp-db-1\tp\tdb", base, true},
	} {
		got, ok := parseLook(test.line)
		if ok != test.ok || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, %s", test.name, ok, fmt.Sprintf("got %+v, want %+v", got, test.want))
		}
	}
}
