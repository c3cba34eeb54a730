package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestMain lets the test's binary be another process that asks about a port.
func TestMain(m *testing.M) {
	if want := os.Getenv("PORT_TEST_PROBE"); want != "" {
		port, _ := strconv.Atoi(want)
		times := 500
		if os.Getenv("PORT_TEST_NOBODY") != "" {
			times = 1
			if syscall.Setuid(65534) != nil {
				os.Exit(2)
			}
		}
		for range times {
			if !Free(port) || !FreeUDP(port) {
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestCandidates(t *testing.T) {
	for _, test := range []struct {
		name                                 string
		base, slot, stride, maxSlots, search int
		want                                 []int
	}{
		{"own, then others", 3000, 1, 1, 8, 2, []int{3001, 3009, 3017}},
		{"stride", 3000, 2, 10, 3, 1, []int{3020, 3050}},
		{"stride 0 is 1", 3000, 2, 0, 8, 0, []int{3002}},
		{"strict", 3000, 8, 1, 8, 0, []int{3008}},
		{"ends with the ports", 65520, 4, 1, 8, 10, []int{65524, 65532}},
		{"past the ports", 65535, 1, 1, 8, 10, nil},
		{"negative search", 3000, 1, 1, 8, -1, []int{3001}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Candidates(test.base, test.slot, test.stride, test.maxSlots, test.search)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLayoutIsWhatCandidatesDo: CheckLayout finds no clash exactly when every slot
// of every service has its own port and no service can take one between the lowest
// and the highest of another.
func TestLayoutIsWhatCandidatesDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxSlots := rapid.IntRange(1, 6).Draw(t, "max")
		stride := rapid.IntRange(0, 3).Draw(t, "stride")
		search := rapid.IntRange(0, 4).Draw(t, "search")
		low := rapid.SampledFrom([]int{1, 3000, 65400}).Draw(t, "low")
		var bases []Base
		for i, p := range rapid.SliceOfN(rapid.IntRange(low, low+130), 1, 4).Draw(t, "bases") {
			bases = append(bases, Base{strconv.Itoa(i), p})
		}
		want := true
		type spanned struct{ from, to int }
		var spans []spanned
		for _, b := range bases {
			low, high := 0, 0
			for slot := 1; slot <= maxSlots; slot++ {
				ports := Candidates(b.Port, slot, stride, maxSlots, search)
				if len(ports) == 0 {
					want = false
					continue
				}
				if slot == 1 {
					low = ports[0]
				}
				high = max(high, b.Port+slot*max(stride, 1)+search*maxSlots*max(stride, 1))
			}
			spans = append(spans, spanned{low, high})
		}
		for i, a := range spans {
			for _, b := range spans[i+1:] {
				if a.from <= b.to && b.from <= a.to {
					want = false
				}
			}
		}
		clashes := CheckLayout(bases, maxSlots, stride, search)
		if got := len(clashes) == 0; got != want {
			t.Fatalf("%v, max %d, stride %d, search %d: got %v", bases, maxSlots, stride, search, clashes)
		}
		for _, c := range clashes {
			if c.Base < 0 || c.Base >= len(bases) || c.Message == "" {
				t.Fatalf("got %+v", c)
			}
		}
	})
}

// TestNoTwoSlotsWantTheSamePort holds for one service whatever the numbers.
func TestNoTwoSlotsWantTheSamePort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxSlots := rapid.IntRange(1, 255).Draw(t, "max")
		stride := rapid.IntRange(0, 255).Draw(t, "stride")
		search := rapid.IntRange(0, 20).Draw(t, "search")
		base := rapid.IntRange(1, Max).Draw(t, "base")
		taken := map[int]int{}
		for slot := 1; slot <= maxSlots; slot++ {
			for _, p := range Candidates(base, slot, stride, maxSlots, search) {
				if by, ok := taken[p]; ok || p < 1 || p > Max {
					t.Fatalf("slots %d and %d both want %d", by, slot, p)
				}
				taken[p] = slot
			}
		}
	})
}

func TestCheckLayoutAtItsLimits(t *testing.T) {
	// With the defaults two bases must be 88 apart.
	for gap, want := range map[int]int{0: 1, 1: 1, 87: 1, 88: 0, 1000: 0} {
		if got := CheckLayout([]Base{{"b", 3000 + gap}, {"a", 3000}}, 8, 1, 10); len(got) != want {
			t.Errorf("gap %d: got %v", gap, got)
		}
	}
	if got := CheckLayout([]Base{{"a", 65527}}, 8, 1, 10); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	got := CheckLayout([]Base{{"a", 3000}, {"b", 65528}}, 8, 1, 10)
	if len(got) != 1 || got[0].Base != 1 {
		t.Errorf("got %v", got)
	}
	got = CheckLayout([]Base{{"a", 4000}, {"b", 5000}, {"c", 3990}, {"d", 5000}}, 8, 1, 10)
	if len(got) != 2 || got[0].Base != 2 || got[1].Base != 3 {
		t.Errorf("got %v", got)
	}
}

// foreign is a socket as another program may have it.
type foreign struct {
	addr   string
	kind   int
	listen bool
	// options that are set before it is bound
	reuseAddr, reusePort, dual bool
}

// hold opens the socket on a port of the kernel's choice, or on port.
func (f foreign) hold(t *testing.T, port int) int {
	t.Helper()
	ip := net.ParseIP(f.addr)
	family, addr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: port, Addr: [16]byte(ip.To16())})
	if ip.To4() != nil {
		family, addr = unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: [4]byte(ip.To4())}
	}
	fd, err := unix.Socket(family, f.kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no such socket here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	set := func(level, option, value int) {
		if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
			t.Fatal(err)
		}
	}
	if family == unix.AF_INET6 {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, map[bool]int{true: 0, false: 1}[f.dual])
	}
	if f.reuseAddr {
		set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if f.reusePort {
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err := unix.Bind(fd, addr); err != nil {
		t.Skipf("cannot bind %s: %v", f.addr, err)
	}
	if f.listen {
		if err := unix.Listen(fd, 8); err != nil {
			t.Fatal(err)
		}
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch local := local.(type) {
	case *unix.SockaddrInet4:
		return local.Port
	case *unix.SockaddrInet6:
		return local.Port
	}
	return 0
}

func TestTakenIsTakenHoweverItIs(t *testing.T) {
	for _, addr := range []string{"0.0.0.0", "127.0.0.1", "127.8.9.10", "::", "::1"} {
		for _, f := range []foreign{
			{listen: true}, {listen: true, reuseAddr: true}, {listen: true, reusePort: true}, {listen: true, reuseAddr: true, reusePort: true},
			{}, {reuseAddr: true}, {reusePort: true}, {listen: true, dual: true},
		} {
			f.addr, f.kind = addr, unix.SOCK_STREAM
			t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
				t.Parallel()
				if port := f.hold(t, 0); Free(port) {
					t.Errorf("%d is said to be free", port)
				}
			})
		}
		for _, f := range []foreign{{}, {reuseAddr: true}, {reusePort: true}, {dual: true}} {
			f.addr, f.kind = addr, unix.SOCK_DGRAM
			t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
				t.Parallel()
				if port := f.hold(t, 0); FreeUDP(port) {
					t.Errorf("%d is said to be free", port)
				}
			})
		}
	}
}

// unused is a port that was free a moment ago, for both protocols.
func unused(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if Free(port) && FreeUDP(port) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func TestFreeLeavesNothingBehind(t *testing.T) {
	port := unused(t)
	for range 50 {
		if !Free(port) || !FreeUDP(port) {
			t.Fatal("the port is not free any more")
		}
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		if Free(port) {
			t.Error("the port is listened to, and said to be free")
		}
		_ = l.Close()
	}
	for _, port := range []int{-1, 0, Max + 1, 1 << 40} {
		if Free(port) || FreeUDP(port) {
			t.Errorf("%d is said to be free", port)
		}
	}
}

func TestProtocolsAreApart(t *testing.T) {
	for _, c := range []struct {
		kind  int
		other func(int) bool
		fail  string
	}{
		{unix.SOCK_DGRAM, Free, "a UDP port keeps TCP out"},
		{unix.SOCK_STREAM, FreeUDP, "a TCP port keeps UDP out"},
	} {
		// Another process may have the same number of the other protocol, which
		// the kernel chose, but not of every one of these.
		apart := false
		for range 20 {
			apart = apart || c.other(foreign{addr: "127.0.0.1", kind: c.kind, listen: c.kind == unix.SOCK_STREAM}.hold(t, 0))
		}
		if !apart {
			t.Error(c.fail)
		}
	}
}

// TestConnectionsOfTheDeadDoNotCount: a server that has closed its connections
// leaves them in TIME_WAIT for a minute, and one that has died may leave open ones
// with a child.
func TestConnectionsOfTheDeadDoNotCount(t *testing.T) {
	for _, closed := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if closed {
			_ = server.Close()
			_, _ = client.Read(make([]byte, 1))
			_ = client.Close()
		} else {
			defer client.Close()
			defer server.Close()
		}
		if seen, _ := sockets(port, unix.SOCK_STREAM); !seen.remains || seen.listening {
			t.Fatalf("closed %t: the test is void: %+v", closed, seen)
		}
		if !Free(port) {
			t.Errorf("closed %t: the port is said to be taken", closed)
		}
		// And that is the truth.
		again, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		if Free(port) {
			t.Errorf("closed %t: the port is said to be free", closed)
		}
		_ = again.Close()
	}
}

func TestTwoWhoAskDoNotDisturbEachOther(t *testing.T) {
	port := unused(t)
	var all []*exec.Cmd
	for range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "PORT_TEST_PROBE="+strconv.Itoa(port), "GORACE=atexit_sleep_ms=0")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("somebody was told that the port is taken: %v", err)
		}
	}
}

// TestAServerIsSeenAtOnce: it is told from what is worth waiting for.
func TestAServerIsSeenAtOnce(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1", "0.0.0.0", "::"} {
		t.Run(addr, func(t *testing.T) {
			port := foreign{addr: addr, kind: unix.SOCK_STREAM, listen: true}.hold(t, 0)
			if seen, readable := sockets(port, unix.SOCK_STREAM); !readable || !seen.listening {
				t.Errorf("got %+v, readable %t", seen, readable)
			}
		})
	}
}

// TestPrivilegedPorts: what we may not bind is not taken for that.
func TestPrivilegedPorts(t *testing.T) {
	if os.Getuid() != 0 {
		if !slices.ContainsFunc([]int{7, 9, 11, 13}, Free) {
			t.Error("no privileged port is said to be free")
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "PORT_TEST_PROBE=11", "PORT_TEST_NOBODY=1", "GORACE=atexit_sleep_ms=0")
	if err := cmd.Run(); err != nil {
		t.Errorf("port 11 is said to be taken: %v", err)
	}
}

func TestAFamilyThatIsOffTakesNothing(t *testing.T) {
	for err, want := range map[error]bool{
		nil: true, unix.EAFNOSUPPORT: true, unix.EADDRNOTAVAIL: true, unix.EADDRINUSE: false, unix.EACCES: false, unix.EMFILE: false,
	} {
		if got := known(err) == nil; got != want {
			t.Errorf("%v: got %t", err, got)
		}
	}
	if err := errors.Join(known(unix.EADDRINUSE), known(unix.EAFNOSUPPORT)); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}

func TestSocketsReadsTheKernelsFile(t *testing.T) {
	path := t.TempDir() + "/tcp"
	text := "  sl  local_address rem_address   st tx_queue rx_queue\n" +
		"   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000\n\n x\n" +
		"   1: 00000000000000000000000001000000:0BB9 00000000:0000 06 00000000:00000000\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := eachSocket(path, func(local, state string) { got = append(got, local+" "+state) }); err != nil {
		t.Fatal(err)
	}
	want := []string{"local_address st", "0100007F:0BB8 0A", "00000000000000000000000001000000:0BB9 06"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
