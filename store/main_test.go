package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"ecluse/saga/session"
	"ecluse/store/storetest"
)

// childVariable names the child that this binary is to be, instead of the tests:
// "child dir argument…", separated by line feeds.
const childVariable = "ECLUSE_STORE_TEST_CHILD"

// children are what the test binary does as a child. Each gets a store in the
// folder, and answers on stdout.
var children = map[string]func(s *Store, args []string) error{
	"commit":   childCommit,
	"create":   childCreate,
	"lives":    childLives,
	"hold":     childHold,
	"own":      childOwn,
	"fds":      childFDs,
	"readonly": childReadOnly,
	"fill":     childFill,
}

func TestMain(m *testing.M) {
	if line := os.Getenv(childVariable); line != "" {
		args := strings.Split(line, "\n")
		if err := children[args[0]](patient(args[1]), args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Each check of a property writes to the disk; -rapid.checks overrides.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// child is a process of the test.
type child struct {
	*exec.Cmd
	out *bufio.Reader
	t   *testing.T
}

// command makes a child that was not started yet.
func command(t *testing.T, name, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childVariable+"="+strings.Join(append([]string{name, dir}, args...), "\n"))
	cmd.Stderr = os.Stderr
	return cmd
}

// start starts a child. It is killed at the end of the test.
func start(t *testing.T, name, dir string, args ...string) *child {
	t.Helper()
	cmd := command(t, name, dir, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, bufio.NewReader(out), t}
	t.Cleanup(c.kill)
	return c
}

// line reads a line of the child's answer; at its end, nothing.
func (c *child) line() string {
	line, err := c.out.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(line, "\n")
}

// rest reads all lines to the end; a last line that is not whole is left out.
func (c *child) rest() (lines []string) {
	for line := c.line(); line != ""; line = c.line() {
		lines = append(lines, line)
	}
	return lines
}

// kill ends the child and waits for it.
func (c *child) kill() {
	if c.ProcessState == nil {
		_ = c.Process.Signal(syscall.SIGKILL)
		_ = c.Wait()
	}
}

// patient is a store in a folder, whose lock is waited for on the slowest of machines.
func patient(dir string) *Store {
	s := New(dir)
	s.LockTimeout = time.Minute
	return s
}

// newStore is a store in a new folder. At the end of the test its file is looked
// through.
func newStore(t testing.TB) *Store {
	t.Helper()
	s := patient(t.TempDir())
	s.Version = "v1.2.3"
	t.Cleanup(func() { audit(t, s.dir) })
	return s
}

// audit checks a state file: bbolt's own check, ours, and that slots and leases
// say what the records say.
func audit(t testing.TB, dir string) {
	t.Helper()
	s := New(dir)
	if _, err := os.Stat(s.Path()); errors.Is(err, os.ErrNotExist) {
		return
	}
	if why, err := inspect(s.Path(), true); err != nil || why != "" {
		t.Errorf("the state file: %s, %v", why, err)
		return
	}
	db, err := bolt.Open(s.Path(), 0o600, &bolt.Options{Timeout: time.Minute, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Error(err)
		return
	}
	defer db.Close()
	if err := db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return auditIndexes(t, s, tx)
	}); err != nil {
		t.Error(err)
	}
}

func auditIndexes(t testing.TB, s *Store, tx *bolt.Tx) error {
	var wanted, got []string
	var epoch uint64
	if _, err := get(tx, bucketMeta, metaEpoch, &epoch); err != nil {
		return err
	}
	err := under(tx, bucketSessions, nil, func(k, v []byte) error {
		r, err := s.decodeSession(splitSessionKey(k), v)
		if err != nil {
			return err
		}
		if r.Epoch > epoch {
			t.Errorf("epoch %d of %s is above the counter %d", r.Epoch, r.Slug, epoch)
		}
		wanted = append(wanted, fmt.Sprintf("slot %d %v", r.Slot, r.Key))
		for name, port := range r.Ports {
			wanted = append(wanted, fmt.Sprintf("port %d %v %s", port, r.Key, name))
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = under(tx, bucketSlots, nil, func(k, v []byte) error {
		var slug string
		err := decode(k, v, &slug)
		slot := binary.BigEndian.Uint32(k[len(k)-4:])
		got = append(got, fmt.Sprintf("slot %d %v", slot, session.Key{Repo: string(k[:len(k)-5]), Slug: slug}))
		return err
	})
	if err != nil {
		return err
	}
	err = under(tx, bucketLeases, nil, func(k, v []byte) error {
		var l lease
		err := decode(k, v, &l)
		got = append(got, fmt.Sprintf("port %d %v %s", int(k[0])<<8|int(k[1]), l.Key, l.Name))
		return err
	})
	slices.Sort(wanted)
	slices.Sort(got)
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("slots and leases (-by the records +by their buckets):\n%s", diff)
	}
	return err
}

// key number n of a repository.
func key(n int) session.Key {
	return session.Key{Repo: "/repo/.git", Slug: fmt.Sprintf("feat-%d", n)}
}

// up makes session n, with slot n and a port.
func up(t testing.TB, s *Store, n int) (*storetest.Script, session.Session) {
	t.Helper()
	script := &storetest.Script{Store: s, Key: key(n)}
	got, err := script.Up(n, session.Want{Name: "web", Candidates: []int{20000 + n}})
	if err != nil {
		t.Fatal(err)
	}
	return script, got
}

// list is List without an error.
func list(t testing.TB, s *Store) []session.Session {
	t.Helper()
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}
