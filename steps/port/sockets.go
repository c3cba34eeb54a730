package port

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// use is who has a port, from /proc/net.
type use struct {
	// listening: a server has it.
	listening bool
	// remains: there are connections of it. Of UDP, it is bound.
	remains bool
}

// tcpListen is the state of a socket that listens, in /proc/net/tcp.
const tcpListen = "0A"

// sockets looks who has a port. A TCP socket that is bound and nothing more is not
// listed. The answer is of no use when it is not readable.
func sockets(port, kind int) (seen use, readable bool) {
	names := []string{"/proc/net/tcp", "/proc/net/tcp6"}
	if kind == unix.SOCK_DGRAM {
		names = []string{"/proc/net/udp", "/proc/net/udp6"}
	}
	suffix := fmt.Sprintf(":%04X", port)
	for _, name := range names {
		err := eachSocket(name, func(local, state string) {
			switch {
			case !strings.HasSuffix(local, suffix):
			case kind == unix.SOCK_STREAM && state == tcpListen:
				seen.listening = true
			default:
				seen.remains = true
			}
		})
		// Without IPv6 there is no file of it.
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return use{}, false
		}
		readable = readable || err == nil
	}
	return seen, readable
}

// eachSocket calls visit with the local address and the state of every socket in
// a file such as /proc/net/tcp:
//
//	sl  local_address rem_address   st ...
//	 0: 0100007F:0BB8 00000000:0000 0A ...
func eachSocket(name string, visit func(local, state string)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 3 {
			visit(fields[1], fields[3])
		}
	}
	return lines.Err()
}
