package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// pending starts a process, and ends it when the test is over.
func pending(t *testing.T, spec Spec) *Pending {
	t.Helper()
	if spec.Dir == "" {
		spec.Dir = t.TempDir()
	}
	spec.Env = append(spec.Env, marker)
	p, err := Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Abort()
		_ = p.ID.Signal(syscall.SIGKILL)
		<-p.Done()
	})
	return p
}

func openLog(t *testing.T) *os.File {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
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

func TestStartWaitsForGo(t *testing.T) {
	log := openLog(t)
	dir := t.TempDir()
	command := `echo "it's '$$' \"here\""; pwd; echo err >&2` + "\nexec sleep 1000"
	p := pending(t, Spec{Dir: dir, Command: command, Log: log, Env: []string{"PATH=" + os.Getenv("PATH")}})
	if !p.ID.Alive() {
		t.Fatal("it is not there")
	}
	// It is past its exec when its name is the shell's.
	eventually(t, "it waits", func() bool { return strings.HasPrefix(commandLine(p.ID.PID), "/bin/sh -c read") })
	if got := read(t, log.Name()); got != "" {
		t.Errorf("before Go it wrote %q", got)
	}
	if err := p.Go(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command runs", func() bool { return commandLine(p.ID.PID) == "sleep 1000" })
	if id, err := Of(p.ID.PID); err != nil || id != p.ID {
		t.Errorf("it has become %v, %v", id, err)
	}
	want := fmt.Sprintf("it's '%d' \"here\"\n%s\nerr\n", p.ID.PID, dir)
	if diff := cmp.Diff(want, read(t, log.Name())); diff != "" {
		t.Error(diff)
	}
	p.Abort()
	if !p.ID.Alive() {
		t.Error("Abort after Go has ended it")
	}
	select {
	case <-p.Done():
		t.Error("it is reported to have ended")
	default:
	}
}

// What a service has of us: a log, a folder, an environment; nothing else.
func TestStartIsolates(t *testing.T) {
	// A file such as whoever started us may have left open for us.
	stray, err := unix.Open("/dev/zero", unix.O_RDONLY, 0) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stray)
	log := openLog(t)
	env := []string{"PATH=" + os.Getenv("PATH"), "A=1", "SPACED=a b\nc", "EMPTY="}
	p := pending(t, Spec{Command: "exec sleep 1000", Log: log, Env: env})
	if err := p.Go(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command runs", func() bool { return commandLine(p.ID.PID) == "sleep 1000" })
	got := map[int]string{}
	for _, fd := range descriptors(p.ID.PID) {
		got[fd.number] = fd.target
	}
	if diff := cmp.Diff(map[int]string{0: "/dev/null", 1: log.Name(), 2: log.Name()}, got); diff != "" {
		t.Errorf("its files: %s", diff)
	}
	s, err := readStat(p.ID.PID)
	if err != nil || s.session != s.pid || s.group != s.pid {
		t.Errorf("it leads no session: %+v, %v", s, err)
	}
	have := strings.Split(strings.TrimSuffix(read(t, procPath(p.ID.PID, "environ")), "\x00"), "\x00")
	// The shell that runs the command adds its own.
	have = slices.DeleteFunc(have, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{"PWD", "OLDPWD", "SHLVL", "_"}, name)
	})
	want := append(slices.Clone(env), marker)
	slices.Sort(have)
	slices.Sort(want)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("its environment: %s", diff)
	}
}

// No environment is none, not ours.
func TestStartWithoutEnvironment(t *testing.T) {
	p, err := Start(t.Context(), Spec{Dir: t.TempDir(), Command: "exec sleep 1000"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	if got := read(t, procPath(p.ID.PID, "environ")); strings.Contains(got, marker) {
		t.Errorf("its environment is %q", got)
	}
}

func TestSealEach(t *testing.T) {
	stray, err := unix.Open("/dev/zero", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stray)
	sealEach()
	if flags, err := unix.FcntlInt(uintptr(stray), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
	if flags, err := unix.FcntlInt(2, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		t.Errorf("stderr: flags %x, %v", flags, err)
	}
}

func TestEarlyExit(t *testing.T) {
	for command, want := range map[string]Exit{
		"exit 3":        {Status: 3},
		"exit 0":        {},
		"kill -KILL $$": {Status: -1, Signal: "SIGKILL"},
		"no-such-thing": {Status: 127},
	} {
		p := pending(t, Spec{Command: command})
		if err := p.Go(); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if got := p.Exit(); got != want {
			t.Errorf("%s: %+v", command, got)
		}
		if p.ID.Alive() {
			t.Errorf("%s: alive", command)
		}
	}
}

func TestAbort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ran")
	for name, before := range map[string]func(*Pending){
		"waiting": func(*Pending) {},
		"stopped": func(p *Pending) {
			_ = p.ID.Signal(syscall.SIGSTOP)
			eventually(t, "it is suspended", p.ID.Suspended)
		},
		"dead": func(p *Pending) {
			_ = p.ID.Signal(syscall.SIGKILL)
			<-p.Done()
		},
	} {
		p := pending(t, Spec{Command: "touch " + path})
		before(p)
		p.Abort()
		if p.ID.Alive() {
			t.Errorf("%s: alive", name)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: the command ran", name)
		}
	}
}

func TestGoAfterItsEnd(t *testing.T) {
	p := pending(t, Spec{Command: "exec sleep 1000"})
	if err := p.ID.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Go(); !errors.Is(err, ErrNotStarted) || !strings.Contains(err.Error(), "SIGKILL") {
		t.Errorf("got %v", err)
	}
}

func TestStartAfterItsContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	p, err := Start(ctx, Spec{Dir: t.TempDir(), Command: "exec sleep 1000", Env: []string{marker}})
	if err != nil {
		t.Fatal(err)
	}
	cancel(cause)
	if err := p.Go(); !errors.Is(err, cause) {
		t.Errorf("Go says %v", err)
	}
	if p.ID.Alive() {
		t.Error("it is alive")
	}
	if _, err := Start(ctx, Spec{Dir: t.TempDir(), Command: "exec sleep 1000"}); !errors.Is(err, cause) {
		t.Errorf("Start says %v", err)
	}
}

func TestStartNowhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]error{"": nil, file: syscall.ENOTDIR, filepath.Join(file + "no"): os.ErrNotExist} {
		p, err := Start(t.Context(), Spec{Dir: dir, Command: "true"})
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v, %v", dir, p, err)
		}
	}
}

// startHelper starts a process, says which, tells it to go when it is told to,
// and waits to be killed.
func startHelper() {
	p, err := Start(context.Background(), Spec{Dir: "/", Command: os.Getenv("ECLUSE_PROC_TEST_COMMAND"), Env: os.Environ()})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	_ = json.NewEncoder(os.Stdout).Encode(p.ID)
	word := make([]byte, 1)
	for {
		if _, err := os.Stdin.Read(word); err != nil {
			panic(err) // the test kills us before it closes the pipe
		}
		if err := p.Go(); err != nil {
			panic(err)
		}
		os.Stdout.WriteString("gone\n")
	}
}

// started is a helper that has started a process.
func started(t *testing.T, command string) (helper child, stdin io.Writer, service ID) {
	t.Helper()
	cmd := helperCommand("start", "ECLUSE_PROC_TEST_COMMAND="+command)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	helper = start(t, cmd)
	if err := json.Unmarshal([]byte(helper.next(t)), &service); err != nil {
		t.Fatal(err)
	}
	return helper, in, service
}

func TestOwnerKilledBeforeGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ran")
	helper, _, service := started(t, "touch "+path+"; exec sleep 1000")
	if !service.Alive() {
		t.Fatal("nothing was started")
	}
	if err := helper.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return !service.Alive() })
	if _, err := os.Stat(path); err == nil {
		t.Error("the command ran")
	}
}

func TestOwnerKilledAfterGo(t *testing.T) {
	helper, stdin, service := started(t, "exec sleep 1000")
	if _, err := io.WriteString(stdin, "g"); err != nil {
		t.Fatal(err)
	}
	helper.expect(t, "gone")
	if err := helper.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := helper.AwaitEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command runs", func() bool { return commandLine(service.PID) == "sleep 1000" })
	if !service.Alive() {
		t.Error("it did not live on")
	}
}
