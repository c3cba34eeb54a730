package proc

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHolding(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if ids, err := Holding(path); err != nil || len(ids) != 0 {
		t.Fatalf("held by %v, %v, though only we do", ids, err)
	}
	// It leaves its parent, its group and its session, and keeps the file.
	cmd := exec.Command("/bin/sh", "-c", `(setsid sh -c 'echo ready; echo $$; exec sleep 1000' &); exec 3>&-; exec sleep 1000`)
	cmd.ExtraFiles = []*os.File{file}
	c := start(t, cmd)
	holder := c.pid(t)
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other has closed it", func() bool {
		ids, err := Holding(path + ".moved")
		return err == nil && cmp.Equal(ids, []ID{holder})
	})
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if ids, err := Holding(path); err != nil || len(ids) != 0 {
		t.Errorf("another file of its old name is held by %v, %v", ids, err)
	}
	if err := os.Link(path+".moved", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if ids, err := Holding(filepath.Join(dir, "link")); err != nil || !cmp.Equal(ids, []ID{holder}) {
		t.Errorf("by another name held by %v, %v", ids, err)
	}
	if ids, err := Holding(filepath.Join(dir, "missing")); err != nil || len(ids) != 0 {
		t.Errorf("a file that is missing is held by %v, %v", ids, err)
	}
	if _, err := Holding(filepath.Join(path, "below")); err == nil {
		t.Error("a path through a file is no error")
	}
}

func TestCarrying(t *testing.T) {
	value := rand.Text()
	cmd := exec.Command("/bin/sh", "-c", `(setsid sh -c 'echo ready; echo $$; exec sleep 1000' &); exec sleep 1000`)
	cmd.Env = append(os.Environ(), "ECLUSE_A="+value+"1", "ECLUSE_B=two words", "ECLUSE_EMPTY=")
	c := start(t, cmd)
	want := []ID{c.ID, c.pid(t)}
	for _, env := range [][]string{
		{"ECLUSE_A=" + value + "1"},
		{"ECLUSE_B=two words", "ECLUSE_A=" + value + "1", "ECLUSE_EMPTY="},
	} {
		got, err := Carrying(env...)
		slices.SortFunc(got, func(a, b ID) int { return a.PID - b.PID })
		slices.SortFunc(want, func(a, b ID) int { return a.PID - b.PID })
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q are carried by %v, %v, not %v", env, got, err, want)
		}
	}
	for _, env := range [][]string{
		{"ECLUSE_A=" + value}, {"ECLUSE_A=" + value + "11"}, {"LUSE_A=" + value + "1"}, {value + "1"},
		{"ECLUSE_A=" + value + "1", "ECLUSE_B=two"}, {"ECLUSE_A=" + value + "1", "ECLUSE_EMPTY=x"},
	} {
		if got, err := Carrying(env...); err != nil || len(got) != 0 {
			t.Errorf("%q are carried by %v, %v", env, got, err)
		}
	}
	if ids, err := Carrying(); err == nil {
		t.Errorf("nothing is carried by %v", ids)
	}
}

// In the middle of an exec a process has no environment to be seen.
func TestCarryingOfOneThatExecs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec \"$0\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := script(t, `echo ready; exec "$1"`, path)
	for i := range 2000 {
		if !carries(c.PID, []string{marker}) {
			t.Fatalf("overlooked at look %d: %s", i, Describe(c.ID))
		}
	}
}

// An environment may be larger than what they mostly fit in.
func TestCarryingMuch(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "echo ready; exec sleep 1000")
	mark := "ECLUSE_MUCH=" + rand.Text()
	cmd.Env = os.Environ()
	for i := range 5 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("ECLUSE_FILL_%d=%s", i, strings.Repeat("x", 100_000)))
	}
	cmd.Env = append(cmd.Env, mark)
	c := start(t, cmd)
	for _, env := range cmd.Env {
		if ids, err := Carrying(env, mark); err != nil || !cmp.Equal(ids, []ID{c.ID}) {
			t.Errorf("%.40s: %v, %v", env, ids, err)
		}
	}
}

// A process that has no environment is nobody's.
func TestCarryingNothing(t *testing.T) {
	cmd := exec.Command("env", "-i", "/bin/sh", "-c", "echo ready; exec env -i /bin/sleep 1000")
	c := start(t, cmd)
	eventually(t, "it has none", func() bool { return commandLine(c.PID) == "/bin/sleep 1000" })
	if carries(c.PID, []string{marker}) {
		t.Error("it is found")
	}
}

func TestThreadsOfTheKernel(t *testing.T) {
	if s, err := readStat(os.Getpid()); err != nil || s.kernel {
		t.Errorf("we: %+v, %v", s, err)
	}
	if commandLine(2) != "[kthreadd]" {
		t.Skip("the threads of the kernel are not in this namespace")
	}
	if s, err := readStat(2); err != nil || !s.kernel {
		t.Errorf("kthreadd: %+v, %v", s, err)
	}
}

func TestInGroupWithoutItsLeader(t *testing.T) {
	c := script(t, `sleep 1000 & setsid sleep 1000 & echo ready; echo $!; exit`)
	c.pid(t)
	if err := c.AwaitEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "only the one without setsid is in the group", func() bool {
		ids, err := InGroup(c.PID)
		if err != nil || len(ids) != 1 {
			return false
		}
		s, err := readStat(ids[0].PID)
		return err == nil && s.group == c.PID && ids[0].Alive() && ids[0] != c.ID
	})
	if ids, err := InGroup(os.Getpid()); err != nil || slices.Contains(ids, Self()) {
		t.Errorf("we are found: %v, %v", ids, err)
	}
}

func TestTree(t *testing.T) {
	c := script(t, `echo ready; sh -c 'echo $$; sh -c "echo \$\$; exec sleep 1000"; :' & (sleep 1000 & echo $!) ; wait`)
	var want []ID
	for range 3 {
		want = append(want, c.pid(t))
	}
	// The shell in between may end some time after it has said who its child is.
	var orphan ID
	eventually(t, "one of them has lost its parent", func() bool {
		i := slices.IndexFunc(want, func(id ID) bool {
			s, _ := readStat(id.PID)
			return s.parent != c.PID && !slices.ContainsFunc(want, func(o ID) bool { return o.PID == s.parent }) &&
				!slices.ContainsFunc(Tree(c.ID), func(o ID) bool { return o.PID == s.parent })
		})
		if i >= 0 {
			orphan = want[i]
		}
		return i >= 0
	})
	got := Tree(c.ID)
	if len(got) != 3 || got[0] != c.ID || slices.Contains(got, orphan) {
		t.Errorf("the tree of %v is %v; %v is an orphan", c.ID, got, orphan)
	}
	if !slices.Contains(Tree(Self()), c.ID) {
		t.Error("our own tree lacks it")
	}
}

// Processes that come and go in the middle are no error.
func TestScansWhileProcessesVanish(t *testing.T) {
	c := script(t, `echo ready; while :; do /bin/true & /bin/true & wait; done`)
	for range 20 {
		if _, err := Carrying("ECLUSE_NOBODY=has this"); err != nil {
			t.Fatal(err)
		}
		if _, err := Holding("/proc/self/status"); err != nil {
			t.Fatal(err)
		}
		if _, err := InGroup(c.PID); err != nil {
			t.Fatal(err)
		}
		if tree := Tree(c.ID); len(tree) == 0 || tree[0] != c.ID {
			t.Fatalf("the tree is %v", tree)
		}
	}
}

// listenHelper listens, and so does a child of its own if it is to have one.
func listenHelper() {
	listener, err := net.Listen("tcp", os.Getenv("ECLUSE_PROC_TEST_ADDRESS"))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s%d\n", os.Getenv("ECLUSE_PROC_TEST_PREFIX"), listener.Addr().(*net.TCPAddr).Port)
	if address := os.Getenv("ECLUSE_PROC_TEST_DEEPER"); address != "" {
		cmd := helperCommand("listen", "ECLUSE_PROC_TEST_DEEPER=", "ECLUSE_PROC_TEST_ADDRESS="+address)
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			panic(err)
		}
	}
	_, _ = listener.Accept()
}

func TestListening(t *testing.T) {
	c := helper(t, "listen", "ECLUSE_PROC_TEST_ADDRESS=127.0.0.1:0", "ECLUSE_PROC_TEST_PREFIX=ready\n")
	var port int
	if _, err := fmt.Sscan(c.next(t), &port); err != nil {
		t.Fatal(err)
	}
	if got := Listener(port); !cmp.Equal(got, []ID{c.ID}) {
		t.Errorf("port %d is listened on by %v, not %v", port, got, c.ID)
	}
	if got := Listening([]ID{c.ID}); !cmp.Equal(got, []int{port}) {
		t.Errorf("%v listens on %v, not %d", c.ID, got, port)
	}
	stale := c.ID
	stale.Start++
	if got := Listening([]ID{stale}); len(got) != 0 {
		t.Errorf("another one under its number listens on %v", got)
	}
}

func TestListeningOfATree(t *testing.T) {
	if probe, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6")
	} else {
		probe.Close()
	}
	// The shell does not listen itself, and stays.
	cmd := helperCommand("listen", "ECLUSE_PROC_TEST_DEEPER=[::1]:0", "ECLUSE_PROC_TEST_ADDRESS=127.0.0.1:0")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `echo ready; "$0"; :`, fmt.Sprintf("/proc/%d/exe", os.Getpid())}
	leader := start(t, cmd)
	var want []int
	for range 2 {
		var port int
		if _, err := fmt.Sscan(leader.next(t), &port); err != nil {
			t.Fatal(err)
		}
		want = append(want, port)
	}
	slices.Sort(want)
	if got := Listening(Tree(leader.ID)); !cmp.Equal(got, want) {
		t.Errorf("the tree listens on %v, not %v", got, want)
	}
	for _, port := range want {
		if got := Listener(port); len(got) != 1 || got[0] == leader.ID {
			t.Errorf("port %d is listened on by %v", port, got)
		}
	}
}

func TestListenerIsUs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if got := Listener(port); !cmp.Equal(got, []ID{Self()}) {
		t.Errorf("our port is listened on by %v", got)
	}
	listener.Close()
	if got := Listener(port); len(got) != 0 {
		t.Errorf("a port that is free is listened on by %v", got)
	}
}

func TestParseSocket(t *testing.T) {
	const rest = " 00000000:00000000 00:00000000 00000000     0        0 4711 1 ffff 100 0"
	for line, want := range map[string]int{
		"0: 00000000:1F90 00000000:0000 0A" + rest:                                                 8080,
		"0: 00000000000000000000000001000000:FFFF 00000000000000000000000000000000:0000 0A" + rest: 65535,
		"0: 0100007F:1F90 0100007F:9999 01" + rest:                                                 0,
		"0: 0100007F 0100007F:9999 0A" + rest:                                                      0,
		"0: 0100007F:XYZW 0100007F:9999 0A" + rest:                                                 0,
		"sl local_address rem_address st":                                                          0,
		"":                                                                                         0,
		strings.Replace("0: 00000000:1F90 00000000:0000 0A"+rest, "4711", "x", 1): 0,
	} {
		socket, port, ok := parseSocket([]byte(line))
		if port != want || ok != (want != 0) || ok && socket != "socket:[4711]" {
			t.Errorf("%q: %q %d %v", line, socket, port, ok)
		}
	}
}

// Whoever follows a log, or has opened it in any other way, does not write to it.
func TestWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	shell := func(text string) child { return script(t, text, path) }
	out := shell(`echo ready; exec sleep 1000 >>"$1"`)
	err := shell(`echo ready; exec sleep 1000 2>>"$1"`)
	shell(`echo ready; exec sleep 1000 5>>"$1"`)
	shell(`echo ready; exec sleep 1000 <"$1"`)
	shell(`echo ready; exec sleep 1000 2<"$1"`)
	shell(`echo ready; exec sleep 1000 2>"$1"`)
	shell(`echo ready; exec tail -f "$1"`)
	want := []ID{out.ID, err.ID}
	slices.SortFunc(want, func(a, b ID) int { return a.PID - b.PID })
	eventually(t, "all hold it", func() bool {
		ids, err := Holding(path)
		return err == nil && len(ids) == 7
	})
	got, failed := Writing(path)
	slices.SortFunc(got, func(a, b ID) int { return a.PID - b.PID })
	if failed != nil || !slices.Equal(got, want) {
		t.Errorf("%v write to it (%v), not %v", got, failed, want)
	}
	if got, err := Writing(path + ".gone"); err != nil || got != nil {
		t.Errorf("%v write to what is not there, %v", got, err)
	}
}
