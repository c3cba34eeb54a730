package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecluse/steps/proc"
)

// marker is in the environment of every program that the tests run.
var marker = "ECLUSE_RUN_TEST=" + rand.Text()

func TestMain(m *testing.M) {
	name, value, _ := strings.Cut(marker, "=")
	os.Setenv(name, value)
	outputPatience = 100 * time.Millisecond
	code := m.Run()
	find := func() ([]proc.ID, error) { return proc.Carrying(marker) }
	if err := proc.Await(context.Background(), time.Minute, find); err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = proc.Stop(context.Background(), 0, find)
		code = 1
	}
	os.Exit(code)
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

// openLog opens a log as a step's is opened: for appending only.
func openLog(t *testing.T) *os.File {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// asError is the *Error that err is.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	return e
}

// mark is an environment that finds what one test runs, and what is found is
// ended when the test is over.
func mark(t *testing.T) (env string, find func() ([]proc.ID, error)) {
	t.Helper()
	env = "ECLUSE_MARK=" + rand.Text()
	find = func() ([]proc.ID, error) { return proc.Carrying(env) }
	t.Cleanup(func() {
		if err := proc.Stop(context.Background(), 0, find); err != nil {
			t.Error(err)
		}
	})
	return env, find
}

// none fails if somebody is found.
func none(t *testing.T, find func() ([]proc.ID, error)) {
	t.Helper()
	ids, err := find()
	for _, id := range ids {
		t.Errorf("left running: %s", proc.Describe(id))
	}
	if err != nil {
		t.Error(err)
	}
}

// signalled is a cause such as a run has that gets a signal.
var errSignalled = fmt.Errorf("interrupted (%s)", syscall.SIGINT)
