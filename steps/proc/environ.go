package proc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// execLooks bounds how often a process without an environment is looked at,
	// execPause is the pause while it is in the middle of an exec.
	execLooks = 20
	execPause = time.Millisecond
	// emptyLooks is how often it must have been seen without an environment but
	// with a command line, to be believed that it has none.
	emptyLooks = 5
	// environSize is what environments mostly fit in.
	environSize = 64 << 10
)

// buffers are for environments; a scan reads one after another.
var buffers = sync.Pool{New: func() any { b := make([]byte, environSize); return &b }}

// carries reports whether the environment of a process has all of env.
func carries(pid int, env []string) bool {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	data := environ(pid, buffer)
	if len(data) == 0 {
		return false
	}
	for _, entry := range env {
		if !bytes.Contains(data, []byte("\x00"+entry+"\x00")) {
			return false
		}
	}
	return true
}

// environ reads the environment of a process into a buffer that it may replace by
// a larger one. Every entry has a zero byte before and behind it.
//
// In the middle of an exec there is no environment to be seen, and no command line
// either; the process has one all the same, and must not be overlooked.
func environ(pid int, buffer *[]byte) []byte {
	empty := 0
	for range execLooks {
		data, err := readEnviron(pid, buffer)
		if err != nil || len(data) > 0 {
			return data
		}
		line, err := os.ReadFile(procPath(pid, "cmdline"))
		s, _ := readStat(pid)
		switch {
		case err != nil || s.dead() || s.kernel:
			return nil
		case len(line) == 0:
			time.Sleep(execPause)
		default:
			// The exec may have been over between the two looks.
			if empty++; empty == emptyLooks {
				return nil
			}
		}
	}
	return nil
}

// readEnviron reads it with one call, which sees one program: what a second call
// would add is lost when an exec comes between.
func readEnviron(pid int, buffer *[]byte) ([]byte, error) {
	file, err := os.Open(procPath(pid, "environ"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for {
		b := *buffer
		n, err := file.ReadAt(b[1:len(b)-1], 0)
		switch {
		case n == 0 && errors.Is(err, io.EOF):
			return nil, nil
		case n == 0:
			return nil, err
		case n < len(b)-2:
			b[0], b[n+1] = 0, 0
			return b[:n+2], nil
		}
		*buffer = make([]byte, 4*len(b))
	}
}
