package proc

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"slices"
	"strconv"
)

// Listening lists the TCP ports that the processes listen on, in order, each
// once: for a server with helpers hand in its [Tree] or [Family].
func Listening(ids []ID) []int {
	ports := listeners()
	var list []int
	for _, id := range ids {
		if !id.Alive() {
			continue
		}
		for _, fd := range descriptors(id.PID) {
			if port, ok := ports[fd.target]; ok {
				list = append(list, port)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Listener finds who listens on a TCP port, on whatever address, this process
// included. Nobody is found if it is a process that we may not look into, as that
// of another user, or if it listens in another network namespace, as in a
// container.
func Listener(port int) []ID {
	sockets := map[string]bool{}
	for socket, p := range listeners() {
		if p == port {
			sockets[socket] = true
		}
	}
	if len(sockets) == 0 {
		return nil
	}
	holds := func(pid int) bool {
		return slices.ContainsFunc(descriptors(pid), func(fd descriptor) bool { return sockets[fd.target] })
	}
	found, err := others(holds)
	if err != nil {
		return nil
	}
	if holds(os.Getpid()) {
		found = append(found, Self())
	}
	return found
}

// listeners are the ports of all listening sockets, by what the link of their
// descriptors says: "socket:[4711]".
func listeners() map[string]int {
	ports := map[string]int{}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(name)
		if err != nil {
			continue // no IPv6
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if socket, port, ok := parseSocket(lines.Bytes()); ok {
				ports[socket] = port
			}
		}
		_ = file.Close()
	}
	return ports
}

// Columns of /proc/net/tcp, and the state that listening is there.
const (
	columnAddress = 1
	columnState   = 3
	columnInode   = 9
	stateListen   = "0A"
)

// parseSocket reads a line of /proc/net/tcp; ok is false if it is not of a
// listening socket.
func parseSocket(line []byte) (socket string, port int, ok bool) {
	columns := bytes.Fields(line)
	if len(columns) <= columnInode || string(columns[columnState]) != stateListen {
		return "", 0, false
	}
	colon := bytes.LastIndexByte(columns[columnAddress], ':')
	var number [2]byte
	if n, err := hex.Decode(number[:], lastBytes(columns[columnAddress][colon+1:], 4)); err != nil || n != 2 {
		return "", 0, false
	}
	if _, err := strconv.ParseUint(string(columns[columnInode]), 10, 64); err != nil {
		return "", 0, false
	}
	return "socket:[" + string(columns[columnInode]) + "]", int(binary.BigEndian.Uint16(number[:])), true
}

// lastBytes are the last n bytes, or nothing if there are more or fewer.
func lastBytes(b []byte, n int) []byte {
	if len(b) != n {
		return nil
	}
	return b
}
