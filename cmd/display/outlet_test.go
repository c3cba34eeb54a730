package display

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecluse/saga"
)

// envStands makes the test binary a program that stands still while it writes.
const envStands = "ECLUSE_TEST_STANDS"

// standing is a writer during whose first write, which is slow, all of the program is
// stopped.
type standing struct{ stopped bool }

func (s *standing) Write(p []byte) (int, error) {
	if !s.stopped {
		s.stopped = true
		<-time.After(patience + farewell/4) // the display is being closed by now
		if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
			return 0, err
		}
		<-time.After(farewell / 4) // it is not done at once
	}
	return os.Stdout.Write(p)
}

// A program that stood still for longer than a writer has counts that against no writer:
// nothing is lost when it ends.
func TestCloseWaitsWhereAllStoodStill(t *testing.T) {
	if os.Getenv(envStands) != "" {
		d := New(Plain, Options{Stderr: &standing{}})
		d.Notify(saga.Notice{Message: "hello"})
		d.Close()
		os.Exit(0)
	}
	path := filepath.Join(t.TempDir(), "out")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env, cmd.Stdout = append(os.Environ(), envStands+"=1"), file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for !status.Stopped() {
		pid, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err == nil && pid == cmd.Process.Pid && !status.Stopped() {
			t.Fatalf("it ended with %d", status.ExitStatus())
		}
		if err != nil && err != syscall.EINTR {
			t.Fatal(err)
		}
	}
	<-time.After(2 * (patience + farewell))
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !strings.Contains(string(got), "hello") {
		t.Errorf("it says %q", got)
	}
}
