package proc

import (
	"crypto/rand"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A brood has whoever descends from the root at any depth, and who stays in its
// group when its parent ends; not who is a stranger.
func TestSnapshotBrood(t *testing.T) {
	deep := `echo ready; echo $$; exec sleep 1000`
	for range 8 { // deeper than anybody would count
		deep = "sh -c " + quoted(deep) + "; true"
	}
	root := script(t, deep)
	deepest := root.pid(t)
	orphan := script(t, `(sh -c 'echo ready; echo $$; exec sleep 1000' &); exec sleep 1000`)
	left := orphan.pid(t)
	s, err := Snap()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Brood(root.ID); !slices.Contains(got, deepest) || !slices.Contains(got, root.ID) || slices.Contains(got, left) {
		t.Errorf("the brood is %v: it should have %v and not %v", got, deepest, left)
	}
	if got := s.Brood(orphan.ID); !slices.Contains(got, left) {
		t.Errorf("the brood is %v, without %v of its group", got, left)
	}
	line := s.Line(deepest.PID)
	if len(line) < 9 || line[0] != deepest || !slices.Contains(line, root.ID) || slices.Contains(line, orphan.ID) {
		t.Errorf("the line of the deepest is %v", line)
	}
	gone := root.ID
	gone.Start++
	if got := s.Brood(gone); got != nil {
		t.Errorf("a process that is gone has a brood: %v", got)
	}
	if id, ok := s.Of(deepest.PID); !ok || id != deepest {
		t.Errorf("pid %d is %v, %v", deepest.PID, id, ok)
	}
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func TestSnapshotMarked(t *testing.T) {
	session := rand.Text()
	cmd := exec.Command("/bin/sh", "-c", `(ECLUSE_STEP=b setsid sh -c 'echo ready; echo $$; exec sleep 1000' &); exec sleep 1000`)
	cmd.Env = append(os.Environ(), "ECLUSE_SESSION_ID="+session, "ECLUSE_STEP=a")
	c := start(t, cmd)
	other := c.pid(t)
	s, err := Snap()
	if err != nil {
		t.Fatal(err)
	}
	got := s.Marked("ECLUSE_STEP", "ECLUSE_SESSION_ID="+session)
	if len(got) != 2 || !slices.Equal(got["a"], []ID{c.ID}) || !slices.Equal(got["b"], []ID{other}) {
		t.Errorf("marked are %v, not %v and %v", got, c.ID, other)
	}
	if value, ok := Variable(other.PID, "ECLUSE_STEP"); !ok || value != "b" {
		t.Errorf("the variable is %q, %v", value, ok)
	}
	if value, ok := Variable(other.PID, "LUSE_STEP"); ok {
		t.Errorf("a variable that is not there is %q", value)
	}
}

func TestSnapshotListening(t *testing.T) {
	c := helper(t, "listen", "ECLUSE_PROC_TEST_ADDRESS=127.0.0.1:0", "ECLUSE_PROC_TEST_PREFIX=ready\n")
	port, err := strconv.Atoi(c.next(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Snap()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Listening([]ID{c.ID}); !slices.Contains(got, port) {
		t.Errorf("it listens on %v, not on %d", got, port)
	}
	if !s.Open(port) || s.Open(port+1<<16) {
		t.Errorf("port %d is open: %v", port, s.Open(port))
	}
	if got := s.Listeners(port); !slices.Equal(got, []ID{c.ID}) {
		t.Errorf("port %d is listened on by %v, not by %v", port, got, c.ID)
	}
}

func TestContainerOf(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	other := strings.Repeat("f", 64)
	for text, want := range map[string]string{
		"0::/system.slice/docker-" + id + ".scope\n":              id,
		"12:pids:/docker/" + id + "\n11:cpu:/docker/" + id + "\n": id,
		"0::/docker/" + other + "/docker/" + id + "\n":            id, // an engine in a container
		"0::/user.slice/user-1000.slice/session-3.scope\n":        "",
		"0::/docker/" + id + "0\n":                                "",
		"0::/docker/" + strings.Repeat("g", 64) + "\n":            "",
		"": "",
	} {
		if got := containerOf(text); got != want {
			t.Errorf("%q is in %q, not in %q", text, got, want)
		}
	}
	if got := Container(1 << 30); got != "" {
		t.Errorf("a process that there is not is in %q", got)
	}
}
