package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tail is the part of a stat line behind the state.
const statTail = "1 11 12 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 3 0 4711 0 0 18446744073709551615 0"

func TestParseStat(t *testing.T) {
	for _, name := range []string{"sh", "a b", "a) R 1 2 3", ")", "((", "a\nb", "", ") Z 9 9 9 9 9"} {
		got, err := parseStat([]byte("10 (" + name + ") S " + statTail + "\n"))
		want := stat{pid: 10, state: 'S', parent: 1, group: 11, session: 12, threads: 3, start: 4711}
		if err != nil || got != want {
			t.Errorf("name %q: got %+v, %v", name, got, err)
		}
	}
	for _, line := range []string{"", "10", "10 (sh", "10 (sh)", "10 (sh) S 1 2", ") S (", "x (sh) S " + statTail, "10 (sh) SS " + statTail} {
		if got, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q is accepted as %+v", line, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("10 (a) b) S " + statTail))
	f.Fuzz(func(t *testing.T, line []byte) {
		if s, err := parseStat(line); err == nil && s.state == 0 {
			t.Errorf("%q has no state", line)
		}
	})
}

func TestSelf(t *testing.T) {
	self := Self()
	of, err := Of(os.Getpid())
	if err != nil || of != self || !self.Alive() || self.Suspended() {
		t.Fatalf("self is %+v, Of says %+v, %v", self, of, err)
	}
	data, err := json.Marshal(self)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"pid":%d,"start":%d,"boot":%q,"ns":%q}`, self.PID, self.Start, self.Boot, self.Namespace)
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Error(diff)
	}
	if self.Boot == "" || strings.ContainsAny(self.Namespace, "[]:") || self.Namespace == "" {
		t.Errorf("self is %+v", self)
	}
}

// A number that was used again, a boot and a namespace that are not ours: none of
// them is the process that is meant.
func TestOthersUnderTheSameNumber(t *testing.T) {
	c := script(t, "echo ready; exec sleep 1000")
	for name, test := range map[string]struct {
		change func(*ID)
		want   error
	}{
		"earlier start":   {func(id *ID) { id.Start-- }, os.ErrProcessDone},
		"later start":     {func(id *ID) { id.Start++ }, os.ErrProcessDone},
		"other boot":      {func(id *ID) { id.Boot = "0" }, os.ErrProcessDone},
		"other namespace": {func(id *ID) { id.Namespace = "1" }, ErrForeign},
		"zero":            {func(id *ID) { id.PID = 0 }, os.ErrProcessDone},
		"negative":        {func(id *ID) { id.PID = -id.PID }, os.ErrProcessDone},
		"nothing":         {func(id *ID) { *id = ID{} }, os.ErrProcessDone},
	} {
		id := c.ID
		test.change(&id)
		if id.Alive() || id.Suspended() {
			t.Errorf("%s: %+v is alive", name, id)
		}
		if err := id.Signal(syscall.SIGKILL); !errors.Is(err, test.want) {
			t.Errorf("%s: signal says %v", name, err)
		}
		if tree := Tree(id); tree != nil {
			t.Errorf("%s: its tree is %v", name, tree)
		}
	}
	if !c.Alive() {
		t.Error("the process was hit")
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	eventually(t, "the process is dead", func() bool { return !c.Alive() })
}

func TestZombieIsDead(t *testing.T) {
	c := script(t, "echo ready") // the test reaps it in the end
	if err := c.AwaitEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := readStat(c.PID); err != nil || s.state != 'Z' {
		t.Fatalf("it is no zombie: %+v, %v", s, err)
	}
	if c.Alive() {
		t.Error("it is alive")
	}
	if _, err := Of(c.PID); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Of says %v", err)
	}
	if id, err := OfChild(c.PID); err != nil || id != c.ID {
		t.Errorf("OfChild says %v, %v", id, err)
	}
	if err := c.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal says %v", err)
	}
	if got, want := Describe(c.ID), fmt.Sprintf("pid %d (gone)", c.PID); got != want {
		t.Errorf("described as %q", got)
	}
}

// headlessHelper ends its first thread and goes on in others until its stdin is
// closed.
func headlessHelper() {
	go func() {
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

func TestProcessWithoutFirstThreadIsAlive(t *testing.T) {
	cmd := helperCommand("headless")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, cmd)
	eventually(t, "it looks like a zombie", func() bool {
		s, err := readStat(c.PID)
		return err == nil && s.state == 'Z'
	})
	if !c.Alive() {
		t.Error("it is taken for dead")
	}
	ended := make(chan error, 1)
	go func() { ended <- c.AwaitEnd(t.Context()) }()
	if err := c.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		t.Errorf("it is reported to have ended: %v", err)
	default:
	}
	stdin.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if c.Alive() {
		t.Error("it is taken for alive")
	}
}

func TestSuspended(t *testing.T) {
	c := script(t, "echo ready; exec sleep 1000")
	if c.Suspended() {
		t.Error("it is suspended from the start")
	}
	if err := c.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is suspended", c.Suspended)
	if !c.Alive() {
		t.Error("a suspended process is alive")
	}
	if err := c.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool { return !c.Suspended() })
}

func TestDescribe(t *testing.T) {
	c := script(t, "echo ready; sleep 1000; :", "a\nb\x1b[31m", strings.Repeat("ö", 100))
	got := Describe(c.ID)
	want := fmt.Sprintf("pid %d (/bin/sh -c echo ready; sleep 1000; : sh a b [31m", c.PID)
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "…)") {
		t.Errorf("described as %q, not %q", got, want)
	}
	if n := len([]rune(got)) - len([]rune(fmt.Sprintf("pid %d ()", c.PID))); n != maxDescription {
		t.Errorf("described with %d runes: %q", n, got)
	}
}

func TestAwaitEndEndsWithItsContext(t *testing.T) {
	c := script(t, "echo ready; exec sleep 1000")
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.AwaitEnd(ctx) }()
	select {
	case err := <-ended:
		t.Fatalf("returned %v", err)
	default:
	}
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("returned %v", err)
	}
	if err := c.AwaitEnd(ctx); !errors.Is(err, cause) {
		t.Errorf("with a context that is over: %v", err)
	}
}

// Whoever is not our child ends just as well.
func TestAwaitEndOfAnother(t *testing.T) {
	c := script(t, "echo ready; sleep 1000 & echo $!; wait; echo reaped; exec sleep 1000")
	grandchild := c.pid(t)
	if err := grandchild.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := grandchild.AwaitEnd(t.Context()); err != nil {
		t.Error(err)
	}
	c.expect(t, "reaped")
	if err := grandchild.AwaitEnd(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestExit(t *testing.T) {
	for text, want := range map[string]Exit{
		"exit 0":        {},
		"exit 3":        {Status: 3},
		"kill -TERM $$": {Status: -1, Signal: "SIGTERM"},
		"kill -40 $$":   {Status: -1, Signal: "signal 40"},
	} {
		cmd := exec.Command("/bin/sh", "-c", text)
		_ = cmd.Run()
		if diff := cmp.Diff(want, ExitOf(cmd.ProcessState)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}
