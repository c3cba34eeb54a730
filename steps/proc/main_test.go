package proc

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperEnv says which helper the test binary is to be instead of the tests.
const helperEnv = "ECLUSE_PROC_TEST_HELPER"

// marker is in the environment of every process that the tests start.
var marker = "ECLUSE_PROC_TEST=" + rand.Text()

// helpers are what the test binary can be.
var helpers = map[string]func(){
	"headless": headlessHelper,
	"listen":   listenHelper,
	"start":    startHelper,
	"within":   withinHelper,
}

func init() {
	if os.Getenv(helperEnv) != "" {
		runtime.LockOSThread() // the headless helper ends the first thread
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helpers[name]()
		return
	}
	name, value, _ := strings.Cut(marker, "=")
	os.Setenv(name, value)
	code := m.Run()
	find := func() ([]ID, error) { return Carrying(marker) }
	ids, err := find()
	for deadline := time.Now().Add(time.Minute); len(ids) > 0 && time.Now().Before(deadline); ids, err = find() {
		time.Sleep(10 * time.Millisecond) // a poll with a deadline
	}
	if err != nil || len(ids) > 0 {
		fmt.Fprintf(os.Stderr, "left running: %v %v\n", survivors(ids, nil), err)
		for _, id := range ids {
			_ = id.Signal(syscall.SIGKILL)
		}
		code = 1
	}
	os.Exit(code)
}

// child is a process that a test started.
type child struct {
	ID
	lines *bufio.Scanner
}

// start starts a process in a group of its own, ends whatever carries its private
// mark when the test is over, and returns once it has written "ready".
func start(t *testing.T, cmd *exec.Cmd) child {
	t.Helper()
	mark := "ECLUSE_PROC_CHILD=" + rand.Text()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, mark, "GORACE=atexit_sleep_ms=0")
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = write
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	id, err := OfChild(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		read.Close()
		for {
			ids, err := Carrying(mark)
			if err != nil {
				t.Error(err)
			}
			if len(ids) == 0 {
				return
			}
			for _, id := range ids {
				_ = id.Signal(syscall.SIGKILL)
			}
			settle(t.Context(), ids, time.Second)
		}
	})
	c := child{ID: id, lines: bufio.NewScanner(read)}
	c.expect(t, "ready")
	return c
}

// expect reads the next line that the process writes.
func (c child) expect(t *testing.T, want string) {
	t.Helper()
	if !c.lines.Scan() || c.lines.Text() != want {
		t.Fatalf("%s wrote %q (%v), not %q", Describe(c.ID), c.lines.Text(), c.lines.Err(), want)
	}
}

// next is the next line that the process writes.
func (c child) next(t *testing.T) string {
	t.Helper()
	if !c.lines.Scan() {
		t.Fatalf("%s wrote nothing more: %v", Describe(c.ID), c.lines.Err())
	}
	return c.lines.Text()
}

// script starts a shell script.
func script(t *testing.T, text string, args ...string) child {
	t.Helper()
	return start(t, exec.Command("/bin/sh", append([]string{"-c", text, "sh"}, args...)...))
}

// helper starts the test binary as one of its helpers.
func helper(t *testing.T, name string, env ...string) child {
	t.Helper()
	return start(t, helperCommand(name, env...))
}

func helperCommand(name string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(append(os.Environ(), helperEnv+"="+name), env...)
	return cmd
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still not: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // a poll with a deadline
	}
}

// pid is the identity of a process whose pid a script wrote.
func (c child) pid(t *testing.T) ID {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(c.next(t), &pid); err != nil {
		t.Fatal(err)
	}
	id, err := Of(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
