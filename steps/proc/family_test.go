package proc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names are the commands of processes, in order.
func names(ids []ID) []string {
	var list []string
	for _, id := range ids {
		list = append(list, commandLine(id.PID))
	}
	slices.Sort(list)
	return list
}

// members looks until the family is these, and fails if it never is.
func members(t *testing.T, find func() ([]ID, error), want ...string) []ID {
	t.Helper()
	var ids []ID
	eventually(t, fmt.Sprintf("the family is %q", want), func() bool {
		var err error
		if ids, err = find(); err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(names(ids), want)
	})
	return ids
}

// kin is a family: a member of the group, one that left the group, one that left
// the session, one that left the tree by ending in between, and one that left it all.
const kin = `
sleep 1001 &
timeout 1000 sleep 1002 &
setsid sleep 1003 &
(sleep 1004 &)
(setsid sleep 1005 &)
echo ready
`

func TestFamily(t *testing.T) {
	mark := "ECLUSE_KIN=" + t.Name()
	cmd := exec.Command("/bin/sh", "-c", kin+"exec sleep 1000")
	cmd.Env = append(os.Environ(), mark)
	c := start(t, cmd)
	// All have their names, so they are where they want to be.
	with := Family(c.ID, mark)
	members(t, with, "sleep 1000", "sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "sleep 1005", "timeout 1000 sleep 1002")
	without := Family(c.ID)
	members(t, without, "sleep 1000", "sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "timeout 1000 sleep 1002")

	// A finder that begins now knows no group, for the leader's number may
	// be anybody's; one that saw them before knows them again.
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	reap(t, c.ID)
	members(t, without, "sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "timeout 1000 sleep 1002")
	members(t, Family(c.ID))
	members(t, Family(c.ID, mark), "sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "sleep 1005", "timeout 1000 sleep 1002")
}

// reap takes a child that has ended from the kernel, so that its number is free.
func reap(t *testing.T, id ID) {
	t.Helper()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(id.PID, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
}

// While its zombie keeps the leader's number, the group is proven to be its own.
func TestFamilyOfAZombie(t *testing.T) {
	c, carrying := marked(t, kin+"exit")
	members(t, carrying, "sleep 1001", "sleep 1002", "sleep 1003", "sleep 1004", "sleep 1005", "timeout 1000 sleep 1002")
	if err := c.AwaitEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	members(t, Family(c.ID), "sleep 1001", "sleep 1004")
}

// A session outlives the groups in it.
func TestFamilyIsASession(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "(timeout 1000 sleep 1001 &); echo ready; exec sleep 1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c := start(t, cmd)
	eventually(t, "it is in another group", func() bool {
		ids, err := InGroup(c.PID)
		return err == nil && len(ids) == 1
	})
	members(t, Family(c.ID), "sleep 1000", "sleep 1001", "timeout 1000 sleep 1001")
}

// A group whose number was used again is not the family's.
func TestFamilyUnderAReusedNumber(t *testing.T) {
	c := script(t, "sleep 1001 & echo ready; exec sleep 1000")
	for _, change := range []func(*ID){
		func(id *ID) { id.Start-- },
		func(id *ID) { id.Boot = "0" },
		func(id *ID) { id.Namespace = "1" },
	} {
		id := c.ID
		change(&id)
		members(t, Family(id))
	}
	members(t, Family(c.ID), "sleep 1000", "sleep 1001")
}

// withinHelper looks for the family that it is of, with a child of its own.
func withinHelper() {
	leader, err := Of(os.Getppid())
	if err != nil {
		panic(err)
	}
	cmd := exec.Command("sleep", "1009")
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	ids, err := Family(leader, "ECLUSE_PROC_TEST="+os.Getenv("ECLUSE_PROC_TEST"))()
	fmt.Printf("%q %v\n", names(ids), err)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestFamilyFromWithin(t *testing.T) {
	cmd := helperCommand("within")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `sleep 1001 & echo ready; "$0"; :`, fmt.Sprintf("/proc/%d/exe", os.Getpid())}
	c := start(t, cmd)
	got := c.next(t)
	if !strings.Contains(got, `"sleep 1001"`) || !strings.Contains(got, `echo ready`) {
		t.Errorf("it lacks the others: %s", got)
	}
	if strings.Contains(got, "sleep 1009") || !strings.HasSuffix(got, "<nil>") || strings.Count(got, "/exe") != 1 {
		t.Errorf("it has us, or ours: %s", got)
	}
}

func TestAny(t *testing.T) {
	one := func() ([]ID, error) { return []ID{{PID: 1}, {PID: 2}}, nil }
	two := func() ([]ID, error) { return []ID{{PID: 2}, {PID: 3}}, nil }
	if got, err := Any(one, two)(); err != nil || !cmp.Equal(got, []ID{{PID: 1}, {PID: 2}, {PID: 3}}) {
		t.Errorf("got %v, %v", got, err)
	}
	broken := errors.New("broken")
	if got, err := Any(one, func() ([]ID, error) { return nil, broken })(); !errors.Is(err, broken) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestStrangersAreOnlyThoseThatAreProven(t *testing.T) {
	mark := "ECLUSE_PROC_TEST_FAMILY=" + rand.Text()
	bare := func() child {
		return start(t, exec.Command("/usr/bin/env", "-i", "/bin/sh", "-c", "echo ready; exec /usr/bin/env -i sleep 1000"))
	}
	older := bare()
	var leader child
	eventually(t, "the leader is younger", func() bool {
		leader = script(t, "echo ready; sleep 1000; :")
		return leader.Start > older.Start
	})
	unmarked, younger := script(t, "echo ready; sleep 1000; :"), bare()
	cmd := exec.Command("/bin/sh", "-c", "echo ready; sleep 1000; :")
	cmd.Env = append(os.Environ(), mark)
	marked := start(t, cmd)
	// The shell, and env until it has become sleep, have one: the folder they are in.
	eventually(t, "it has no environment", func() bool {
		name, err := os.ReadFile(procPath(younger.PID, "comm"))
		return err == nil && string(name) == "sleep\n"
	})
	ids := []ID{older.ID, leader.ID, unmarked.ID, marked.ID, younger.ID}
	got, err := Strangers(ids, Family(leader.ID, mark), leader.ID, mark)
	if want := []ID{older.ID, unmarked.ID}; err != nil || !slices.Equal(got, want) {
		t.Errorf("strangers are %v (%v), not %v", got, err, want)
	}
}

func TestAnEnvironmentThatWasWrittenOverProvesNothing(t *testing.T) {
	for text, want := range map[string]bool{
		"\x00A=1\x00B=\x00": true, "\x00": false, "\x00nginx: worker process\x00": false,
		"\x00\x00\x00ME=x\x00PATH=/bin\x00": true, "\x00ess -c daemon\x00PATH=/bin\x00": false,
	} {
		if got := legible([]byte(text)); got != want {
			t.Errorf("%q is legible: %t", text, got)
		}
	}
}
