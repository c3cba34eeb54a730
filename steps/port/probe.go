package port

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Free reports whether nobody has a TCP port. It binds the port, on all addresses
// of both families, and lets it go at once; it never listens.
func Free(port int) bool { return free(port, unix.SOCK_STREAM) }

// FreeUDP is [Free] for UDP.
func FreeUDP(port int) bool { return free(port, unix.SOCK_DGRAM) }

const (
	// probes and pause are how often, and how far apart, a port is looked at
	// that is bound by nobody who could be seen: another process that asks the
	// same holds it for microseconds, or until the scheduler lets it go on.
	probes = 40
	pause  = time.Millisecond
)

// probing keeps the probes of this process apart.
var probing sync.Mutex

// free asks the kernel.
func free(port, kind int) bool {
	if port < 1 || port > Max {
		return false
	}
	err := bind(port, kind, false)
	if err == nil {
		return true
	}
	// Looked at once: the kernel walks all its sockets for it.
	seen, readable := sockets(port, kind)
	switch {
	case !readable || seen.listening:
		return false
	case errors.Is(err, unix.EACCES):
		// Not ours to bind, as those below 1024 are, but Docker may.
		return kind == unix.SOCK_STREAM || !seen.remains
	}
	for range probes {
		// Where only connections are left a server can have the port.
		if seen.remains && kind == unix.SOCK_STREAM && bind(port, kind, true) == nil {
			return true
		}
		time.Sleep(pause + rand.N(2*pause))
		if bind(port, kind, false) == nil {
			return true
		}
	}
	return false
}

// bind binds a port on all addresses of both families and lets it go. Shared lets
// it succeed beside others that share it as well and do not listen, which is what
// servers ask for so as not to be kept out by their last connections.
//
// Without it Linux lets nobody else have the port: not on a single address such as
// 127.0.0.1, not bound without listening, not with SO_REUSEPORT.
func bind(port, kind int, shared bool) error {
	probing.Lock()
	defer probing.Unlock()
	v6 := unix.SockaddrInet6{Port: port}
	return errors.Join(
		bindOne(unix.AF_INET, kind, &unix.SockaddrInet4{Port: port}, shared),
		bindOne(unix.AF_INET6, kind, &v6, shared),
	)
}

// bindOne is bind for one family.
func bindOne(family, kind int, addr unix.Sockaddr, shared bool) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return known(err)
	}
	defer unix.Close(fd)
	if family == unix.AF_INET6 {
		// Else the address would be one of both families.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	if shared {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	return known(unix.Bind(fd, addr))
}

// known takes out the errors that say that the machine has no such family: there
// nobody has the port.
func known(err error) error {
	for _, absent := range []error{unix.EAFNOSUPPORT, unix.EPFNOSUPPORT, unix.EPROTONOSUPPORT, unix.EADDRNOTAVAIL} {
		if errors.Is(err, absent) {
			return nil
		}
	}
	return err
}
