package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"ecluse/steps/postgres/postgrestest"
	"ecluse/steps/settings"
)

// stands is a command that lets this process, the test, stand still for some seconds, as
// it does with the machine.
func stands(seconds int) string {
	return fmt.Sprintf("kill -STOP %d; sleep %d; kill -CONT %[1]d; ", os.Getpid(), seconds)
}

func TestTimeInWhichTheMachineStandsStillDoesNotCount(t *testing.T) {
	now := time.Unix(1000, 0)
	lived := lifetime{last: now}
	for _, step := range []struct{ pause, want time.Duration }{
		{time.Second, time.Second}, {2 * time.Second, 3 * time.Second}, {time.Hour, 5 * time.Second}, {0, 5 * time.Second}, {time.Second, 6 * time.Second},
	} {
		now = now.Add(step.pause)
		if got := lived.to(now, 2*time.Second); got != step.want {
			t.Errorf("%s later it has run for %s, want %s", step.pause, got, step.want)
		}
	}
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	want := errors.New("that will do")
	begun := time.Now()
	ctx, cancel := patience(t.Context(), 200*time.Millisecond, want)
	defer cancel()
	<-ctx.Done()
	if took := time.Since(begun); took < 200*time.Millisecond || !errors.Is(context.Cause(ctx), want) {
		t.Errorf("after %s: %v", took, context.Cause(ctx))
	}
	for name, end := range map[string]func(parent, own context.CancelFunc){
		"parent": func(parent, _ context.CancelFunc) { parent() }, "own": func(_, own context.CancelFunc) { own() },
	} {
		above, parent := context.WithCancel(t.Context())
		ctx, own := patience(above, time.Hour, want)
		end(parent, own)
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		parent()
		own()
	}
}

// A service that is well is not started anew because the machine stood still when it was
// looked at: it is looked at once more.
func TestAServiceIsNotLostToAMachineThatStandsStill(t *testing.T) {
	ts := serviceOf(t, settings.Service{Command: "exec sleep 1000", Ready: settings.Ready{Command: "true"}})
	ok(t, ts.do(t))
	ts.cfg.Services[0].Ready.Command = "test -e looked && exit; touch looked; " + stands(int(verifyPatience.Seconds())+1) + "exit 1"
	ts.build(t)
	ok(t, ts.verify(t))
}

// A worker does not count as up because the machine stood still for the moment that it
// must last.
func TestAWorkerIsNotUpWhileTheMachineStandsStill(t *testing.T) {
	ts := workerOf(t, settings.Service{Command: stands(1) + "sleep 0.2; echo no queue; exit 3"})
	mustSay(t, ts.do(t), "it has exited (exit status 3)", "no queue")
}

// A database, and what was filled into it, is not lost to a machine that stands still.
func TestADatabaseIsNotLostToAMachineThatStandsStill(t *testing.T) {
	server := postgrestest.Shared(t)
	address, err := url.Parse(server.URL())
	ok(t, err)
	var still atomic.Bool
	number := relay(t, address.Host, func() {
		if still.CompareAndSwap(true, false) {
			ok(t, exec.Command("sh", "-c", stands(int(verifyPatience.Seconds())+1)).Run())
		}
	})
	address.Host = fmt.Sprintf("127.0.0.1:%d", number)
	r := newDatabaseRig(t, server, func(d *settings.Database) { d.URL = address.String() })
	var j journal
	r.do(t, &j)
	still.Store(true)
	ok(t, r.verify(t, &j))
	if still.Load() {
		t.Error("nobody has looked")
	}
	r.undo(t, &j)
}

// relay takes connections to an address at a port of its own; before each something is
// done.
func relay(t *testing.T, to string, before func()) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			before()
			onward, err := net.Dial("tcp", to)
			if err != nil {
				t.Error(err)
				_ = from.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{from, onward}, {onward, from}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					_, _ = from.Close(), onward.Close()
				}()
			}
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}
