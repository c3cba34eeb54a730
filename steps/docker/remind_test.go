package docker

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is heard last is what is waited for, and that once.
func TestWhatIsWaitedForIsToldLast(t *testing.T) {
	var told []string
	w := newWatch(UpOptions{
		Session: "x", Services: []Service{{Name: "app", Replicas: 1}, {Name: "cache", Replicas: 1}, {Name: "db", Replicas: 1}},
		Report: func(s Status) {
			told = append(told, fmt.Sprintf("%s %s %d/%d", s.Service, s.State, s.ReadyOf, s.Services))
		},
	}, nil)
	of := func(service string, c container) container {
		c.ID, c.Labels = service, map[string]string{composeService: service, LabelSession: "x"}
		return c
	}
	list := []container{of("app", one("created", nil)), of("cache", one("running", nil)), of("db", one("running", healthy("starting")))}
	begun := time.Unix(1000, 0)
	for second := range 10 {
		w.look(list, begun.Add(time.Duration(second)*time.Second))
	}
	want := []string{"app created 0/3", "cache started 0/3", "db starting 0/3", "cache running 1/3", "db starting 1/3"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
