package run

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// maxRest bounds what is still read from a pipe when nobody waits for more. No
// pipe holds more than that.
const maxRest = 1 << 20

// pipe carries output of a program to a writer. Those of os/exec lose what is in
// them when the patience is over, and that can be all of it on a busy machine.
type pipe struct {
	read, write *os.File
	into        io.Writer
	done        chan struct{}
}

// pipes are those of one program.
type pipes []*pipe

// connect tells a program where to write: its log, and stdout to out if that is
// not nil.
func connect(cmd *exec.Cmd, log *sink, out *capture) (pipes, error) {
	var all pipes
	stderr, err := log.file, error(nil)
	if stderr == nil {
		stderr, err = all.add(log)
	}
	stdout := stderr
	if out != nil && err == nil {
		stdout, err = all.add(out)
	}
	if err != nil {
		all.drop()
		return nil, fmt.Errorf("make a pipe for its output: %w", err)
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return all, nil
}

// add makes a pipe to a writer and returns the program's end of it.
func (all *pipes) add(into io.Writer) (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	*all = append(*all, &pipe{read: read, write: write, into: into, done: make(chan struct{})})
	return write, nil
}

// drop gives up the pipes of a program that did not start.
func (all pipes) drop() {
	for _, p := range all {
		_ = p.read.Close()
		_ = p.write.Close()
	}
}

// begin carries the output, until all who could write have closed the pipe.
func (all pipes) begin() {
	for _, p := range all {
		_ = p.write.Close() // the program has it
		go p.carry()
	}
}

// end waits until everything is carried; when patience is over, what is there
// counts as everything.
func (all pipes) end(patience time.Duration) {
	deadline := time.Now().Add(patience)
	for _, p := range all {
		_ = p.read.SetReadDeadline(deadline)
	}
	for _, p := range all {
		<-p.done
	}
}

func (p *pipe) carry() {
	defer close(p.done)
	defer p.read.Close()
	if _, err := io.Copy(p.into, p.read); errors.Is(err, os.ErrDeadlineExceeded) {
		p.rest()
	}
}

// rest carries what is in the pipe. It does not wait: Go made our end so.
func (p *pipe) rest() {
	conn, err := p.read.SyscallConn()
	if err != nil {
		return
	}
	buffer := make([]byte, window)
	for carried := 0; carried < maxRest; {
		n := 0
		err := conn.Control(func(fd uintptr) { n, _ = unix.Read(int(fd), buffer) })
		if err != nil || n <= 0 {
			return
		}
		_, _ = p.into.Write(buffer[:n])
		carried += n
	}
}
