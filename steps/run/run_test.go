package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestRunWritesToTheLog(t *testing.T) {
	var buffer bytes.Buffer
	file := openLog(t)
	for name, log := range map[string]io.Writer{"file": file, "writer": &buffer, "none": nil} {
		ctx := With(t.Context(), Inherit{Log: log})
		if err := Shell(t.TempDir(), "echo out; echo err >&2; echo out").Run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, got := range map[string]string{"file": read(t, file.Name()), "writer": buffer.String()} {
		if got != "out\nerr\nout\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestOutputIsStdoutAlone(t *testing.T) {
	var log bytes.Buffer
	out, err := Shell(t.TempDir(), "echo out; echo err >&2").Output(With(t.Context(), Inherit{Log: &log}))
	if err != nil || string(out) != "out\n" || log.String() != "err\n" {
		t.Errorf("out %q, log %q, %v", out, log.String(), err)
	}
	out, err = Shell(t.TempDir(), "echo out; echo err >&2; exit 3").Output(t.Context())
	if e := asError(t, err); e.Status != 3 || e.Tail != "err" || string(out) != "out\n" {
		t.Errorf("out %q, %+v", out, e)
	}
}

func TestWhereAndWithWhat(t *testing.T) {
	t.Setenv("ECLUSE_FROM", "us")
	t.Setenv("ECLUSE_OURS", "1")
	dir := t.TempDir()
	ctx := With(t.Context(), Inherit{Env: []string{"ECLUSE_FROM=inherit", "ECLUSE_STEPS=2"}})
	script := `pwd; echo $PWD $ECLUSE_FROM $ECLUSE_OURS $ECLUSE_STEPS $ECLUSE_MINE; cat; readlink /proc/$$/fd/0`
	out, err := Shell(dir, script, "ECLUSE_FROM=command", "ECLUSE_MINE=3").Output(ctx)
	if want := dir + "\n" + dir + " command 1 2 3\n/dev/null\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v", out, err)
	}
	if diff := cmp.Diff(From(ctx).Env, []string{"ECLUSE_FROM=inherit", "ECLUSE_STEPS=2"}); diff != "" {
		t.Error(diff)
	}
	// A program that is no shell must not be told a wrong folder either.
	out, err = Command{Dir: dir, Name: "env"}.Output(ctx)
	if err != nil || !strings.Contains("\n"+string(out), "\nPWD="+dir+"\n") || !strings.Contains(string(out), "ECLUSE_FROM=inherit\n") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestStdin(t *testing.T) {
	cat := Command{Dir: t.TempDir(), Name: "cat"}
	cat.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
	if out, err := cat.Output(t.Context()); err != nil || len(out) != 1<<20 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	file, err := os.Open("/proc/version")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cat.Stdin = file
	if out, err := cat.Output(t.Context()); err != nil || string(out) != read(t, "/proc/version") {
		t.Errorf("%q, %v", out, err)
	}
	// A program that wants none of it, and a reader that has nothing to say.
	silent, hold := io.Pipe()
	defer hold.Close()
	for _, stdin := range []io.Reader{strings.NewReader(strings.Repeat("x", 1<<20)), silent} {
		if err := (Command{Dir: t.TempDir(), Name: "true", Stdin: stdin}).Run(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A program has the files that it was given, and no other of ours.
func TestFiles(t *testing.T) {
	stray, err := unix.Open("/dev/zero", unix.O_RDONLY, 0) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stray)
	lock, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	log := openLog(t)
	ctx := With(t.Context(), Inherit{Files: []*os.File{lock}, Log: log})
	if err := Shell(t.TempDir(), `for f in $(seq 0 99); do readlink /proc/$$/fd/$f && echo $f; done; :`).Run(ctx); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("/dev/null\n0\n%s\n1\n%s\n2\n%s\n3\n", log.Name(), log.Name(), lock.Name())
	if diff := cmp.Diff(want, read(t, log.Name())); diff != "" {
		t.Error(diff)
	}
}

// What the terminal sends to our group does not reach it, nor can it open the
// terminal.
func TestOwnSession(t *testing.T) {
	out, err := Shell(t.TempDir(), `cat /proc/$$/stat; echo >/dev/tty`).Output(t.Context())
	var pid, parent, group, session, tty int
	var state string
	if _, scan := fmt.Sscanf(string(out), "%d (sh) %s %d %d %d %d", &pid, &state, &parent, &group, &session, &tty); scan != nil {
		t.Fatal(scan)
	}
	if group != pid || session != pid || tty != 0 || group == unix.Getpgrp() {
		t.Errorf("pid %d is in group %d, session %d, with terminal %d", pid, group, session, tty)
	}
	if e := asError(t, err); e.Status <= 0 {
		t.Errorf("it has opened a terminal: %v", err)
	}
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "script")
	if err := os.WriteFile(file, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		command Command
		want    Error
		is      error
	}{
		"status":         {Shell(dir, "exit 7"), Error{Program: "exit 7", Status: 7}, nil},
		"signal":         {Shell(dir, "kill -SEGV $$"), Error{Program: "kill -SEGV $$", Status: -1, Signal: "SIGSEGV"}, nil},
		"missing":        {Command{Dir: dir, Name: "no-such-program"}, Error{Program: "no-such-program", Status: -1}, exec.ErrNotFound},
		"missing path":   {Command{Dir: dir, Name: "./no/such"}, Error{Program: "./no/such", Status: -1}, exec.ErrNotFound},
		"no interpreter": {Command{Dir: dir, Name: "./script"}, Error{Program: "./script", Status: -1}, exec.ErrNotFound},
		"no folder":      {Command{Name: "true"}, Error{Program: "true", Status: -1}, nil},
		"folder missing": {Command{Dir: dir + "/no", Name: "true"}, Error{Program: "true", Status: -1}, os.ErrNotExist},
		"folder a file":  {Command{Dir: file, Name: "true"}, Error{Program: "true", Status: -1}, syscall.ENOTDIR},
		"a zero byte":    {Command{Dir: dir, Name: "true", Args: []string{"a\x00b"}}, Error{Program: "true 'a\x00b'", Status: -1}, syscall.EINVAL},
	} {
		err := test.command.Run(t.Context())
		got := *asError(t, err)
		if (got.Err != nil) != (test.want.Status == -1 && test.want.Signal == "") || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %v", name, err)
		}
		got.Err = nil
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if name == "folder missing" && errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: the program is said to be missing: %v", name, err)
		}
	}
}

func TestPoints(t *testing.T) {
	var points []string
	ctx := With(t.Context(), Inherit{Point: func(name string) { points = append(points, name) }})
	dir := t.TempDir()
	_ = Command{Dir: dir, Name: "true"}.Run(ctx)
	_, _ = Command{Dir: dir, Name: "/bin/false"}.Output(ctx)
	_ = Command{Dir: dir, Name: "no-such-program"}.Run(ctx)
	if diff := cmp.Diff([]string{"spawned true", "waited true", "spawned false", "waited false"}, points); diff != "" {
		t.Error(diff)
	}
}

func TestContextOverBefore(t *testing.T) {
	ctx, cancel := context.WithCancelCause(With(t.Context(), Inherit{Point: func(name string) { t.Error(name) }}))
	cancel(errSignalled)
	path := filepath.Join(t.TempDir(), "ran")
	err := Command{Dir: t.TempDir(), Name: "touch", Args: []string{path}}.Run(ctx)
	if e := asError(t, err); !errors.Is(err, errSignalled) || e.Status != -1 {
		t.Errorf("got %+v", e)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it ran")
	}
}

// A program that leaves something in the background on purpose has ended when it
// has ended, whoever holds its output.
func TestDaemonThatHoldsTheOutput(t *testing.T) {
	env, find := mark(t)
	script := "echo began; setsid sleep 1000 & sleep 1001 & echo ended"
	var log bytes.Buffer
	begun := time.Now()
	if err := Shell(t.TempDir(), script, env).Run(With(t.Context(), Inherit{Log: &log})); err != nil {
		t.Error(err)
	}
	out, err := Shell(t.TempDir(), script, env).Output(t.Context())
	if err != nil || string(out) != "began\nended\n" || log.String() != string(out) {
		t.Errorf("output %q, log %q, %v", out, log.String(), err)
	}
	if err := Shell(t.TempDir(), script, env).Run(With(t.Context(), Inherit{Log: openLog(t)})); err != nil {
		t.Error(err)
	}
	if elapsed := time.Since(begun); elapsed > 2*time.Minute {
		t.Errorf("it took %s", elapsed)
	}
	if ids, err := find(); err != nil || len(ids) != 6 {
		t.Errorf("they were to live on: %v, %v", ids, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	log := openLog(t)
	ctx := With(t.Context(), Inherit{Log: log})
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if out, err := Shell(dir, fmt.Sprintf("echo %d; echo %d >&2", i, i)).Output(ctx); err != nil || string(out) != fmt.Sprintln(i) {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	all.Wait()
	if n := strings.Count(read(t, log.Name()), "\n"); n != 20 {
		t.Errorf("%d lines", n)
	}
}

func TestString(t *testing.T) {
	for want, c := range map[string]Command{
		"git worktree add ../x":         {Name: "git", Args: []string{"worktree", "add", "../x"}},
		"git commit -m 'it'\\''s'":      {Name: "git", Args: []string{"commit", "-m", "it's"}},
		"tmux new ''":                   {Name: "tmux", Args: []string{"new", ""}},
		"npm ci && npm run build":       Shell("", " npm ci && npm run build\n"),
		"set -e …":                      Shell("", "set -e\nnpm ci\n"),
		strings.Repeat("ö", 200) + " …": Shell("", strings.Repeat("ö", 201)),
	} {
		if got := c.String(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]Error{
		"git x: exit status 1":                                 {Status: 1},
		"git x: exit status 1: fatal: no":                      {Status: 1, Tail: "fatal: no"},
		"git x: ended by SIGKILL: b\n    a\n    b":             {Status: -1, Signal: "SIGKILL", Tail: "a\nb"},
		"git x: interrupted (interrupt) (ended by SIGTERM): a": {Status: -1, Signal: "SIGTERM", Tail: "a", Err: errSignalled},
		"git x: interrupted (interrupt)":                       {Status: 143, Err: errSignalled},
	} {
		e.Program = "git x"
		if got := e.Error(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestNoProgramIsToldWhereAGitHookRuns(t *testing.T) {
	for _, name := range local {
		t.Setenv(name, "wrong")
	}
	t.Setenv("GIT_CONFIG_COUNT", "0")
	out, err := Shell(t.TempDir(), "env | grep -E '^GIT_.*=(wrong|mine|0)$' | sort", "GIT_INDEX_FILE=mine").Output(t.Context())
	if want := "GIT_CONFIG_COUNT=0\nGIT_INDEX_FILE=mine\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v", out, err)
	}
}

// What git adds to its list belongs in ours.
func TestTheListOfGitIsKnown(t *testing.T) {
	out, err := exec.Command("git", "rev-parse", "--local-env-vars").Output()
	if err != nil {
		t.Skip(err)
	}
	for _, name := range strings.Fields(string(out)) {
		if !slices.Contains(local, name) && !strings.HasPrefix(name, "GIT_CONFIG_") {
			t.Errorf("%s is not known", name)
		}
	}
}
