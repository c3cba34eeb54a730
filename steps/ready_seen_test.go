package steps

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/steps/run"
	"ecluse/steps/settings"
)

// What is seen is told after a while, and again when it is something else.
func TestSightings(t *testing.T) {
	begun := time.Unix(1000, 0)
	var told []string
	second := 0
	o := &sightings{since: begun, tell: func(text string) { told = append(told, fmt.Sprint(second, " ", text)) }}
	for ; second < 12; second++ {
		err := errors.New("closed")
		if second > 4 {
			err = errors.New("open")
		}
		o.see(begun.Add(time.Duration(second)*time.Second), err)
	}
	if diff := cmp.Diff([]string{"3 closed", "6 open"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	(*sightings)(nil).see(begun.Add(time.Hour), errors.New("closed"))
}

func TestGlimpse(t *testing.T) {
	port := freePort(t)
	ts := serviceOf(t, settings.Service{Command: "true"})
	s := service{Target: &Target{Handle: Looking(ts.s)}, spec: settings.Service{Name: "api"}}
	ts.s.Ports["api"] = port
	for want, holds := range map[string]condition{
		fmt.Sprintf("port %d does not answer yet", port):               s.answersTCP(port, ServiceFact{}),
		fmt.Sprintf("http://127.0.0.1:%d/x does not answer yet", port): s.answersHTTP(fmt.Sprintf("http://127.0.0.1:%d/x", port), ServiceFact{}, nil),
		"not ready yet: echo no; exit 3: exit status 3":                func(ctx context.Context) error { return run.Shell(t.TempDir(), "echo no; exit 3").Run(ctx) },
		"http://x answers 503 Service Unavailable":                     func(context.Context) error { return errors.New("http://x answers 503 Service Unavailable") },
	} {
		if got := glimpse(holds(t.Context())); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
