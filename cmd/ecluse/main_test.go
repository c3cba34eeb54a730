package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ecluse/cmd/cli"
)

// The environment of the tests' ecluse: where it notes the points that it
// passes, and the one at which it kills itself (counted from 1).
const (
	envPoints  = "ECLUSE_TEST_POINTS"
	envCrashAt = "ECLUSE_TEST_CRASH_AT"
)

// TestMain makes commands of the test binary: ecluse itself, which can be told to
// die at a point, and the programs that sessions run in the tests.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ecluse":  func() { os.Exit(ecluse().Main()) },
		"webapp":  webapp,
		"notes":   notes,
		"machine": machine,
	})
}

// ecluse is the product as main builds it, with points.
func ecluse() cli.Program {
	p := cli.Program{
		Args: os.Args[1:], Getenv: os.Getenv,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	if os.Getenv(envPoints) != "" || os.Getenv(envCrashAt) != "" {
		p.Point = crashPoints()
	}
	return p
}

// crashPoints counts the points and ends the process at the chosen one, the way
// that leaves no code to run.
func crashPoints() func(string) {
	var mu sync.Mutex
	count := 0
	crashAt, _ := strconv.Atoi(os.Getenv(envCrashAt))
	return func(name string) {
		mu.Lock()
		defer mu.Unlock()
		count++
		if path := os.Getenv(envPoints); path != "" {
			file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(file, "%d %s\n", count, name)
			_ = file.Close()
		}
		if count == crashAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		}
	}
}
