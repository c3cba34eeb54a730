package run

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// boundEvery is how often a log is measured while a program writes to it.
	boundEvery = 100 * time.Millisecond
	// maxEnd is how much of the end stays at least where the middle is left out.
	maxEnd = 256 << 10
	// block is a multiple of the blocks of file systems that can collapse.
	block = 64 << 10
	// endReads bounds how often more of the end is read that came meanwhile.
	endReads = 8
)

// cutting is held while a log is cut: programs that run at once may share one.
var cutting sync.Mutex

// bound keeps what a program writes to a file within a limit until stop is called: the
// first half of it stays, and the end. The program has the file itself, so nothing holds
// it up, and it outlives us; the log is longer than the limit for a moment.
func (s *sink) bound(limit int64) (stop func()) {
	if s.file == nil || limit <= 0 {
		return func() {}
	}
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(boundEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.cut(limit)
			case <-done:
				s.cut(limit)
				return
			}
		}
	}()
	return func() { close(done); <-over }
}

// cut leaves the middle of the output out if it is longer than the limit, and says so in
// its place. A log that cannot be cut is not the program's fault.
func (s *sink) cut(limit int64) {
	cutting.Lock()
	defer cutting.Unlock()
	info, err := s.file.Stat()
	if err != nil || info.Size()-s.begin <= limit || s.collapse(info.Size(), limit) {
		return
	}
	s.rewrite(limit)
}

// collapse takes the middle out of the file in its place: of what a program writes
// meanwhile nothing is lost. It works by whole blocks, so that the line after what is
// left out is a part of one, and only ext4, XFS and their like can do it.
func (s *sink) collapse(size, limit int64) bool {
	from, to := (s.begin+limit/2)/block*block, (size-min(maxEnd, limit/4))/block*block
	out := to - from
	if s.note > 0 {
		out -= s.note // which was no output
	}
	note := noteOf(s.left+out, limit)
	if from-int64(len(note)) < s.begin || out <= 0 {
		return false
	}
	writer := s.reopen(os.O_WRONLY)
	if writer == nil {
		return false
	}
	defer writer.Close()
	for {
		err := unix.Fallocate(int(writer.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, from, to-from)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return false
		}
	}
	s.left, s.note = s.left+out, int64(len(note))
	_, _ = writer.WriteAt([]byte(note), from-s.note)
	return true
}

// noteOf is the line in the place of what was left out.
func noteOf(left, limit int64) string {
	return fmt.Sprintf("\n[ecluse: about %d MiB of output were left out here: a log holds %d MiB]\n", left>>20, limit>>20)
}

// rewrite is for file systems that cannot collapse: the end is read, and written again
// behind the first half. What is written in that very instant may be lost.
func (s *sink) rewrite(limit int64) {
	reader := s.reopen(os.O_RDONLY)
	if reader == nil {
		return
	}
	defer reader.Close()
	head := s.begin + limit/2
	end, size := endOf(reader, int(min(maxEnd, limit/4)))
	if size <= head {
		return
	}
	if _, whole, found := bytes.Cut(end, []byte("\n")); found && len(whole) > 0 {
		end = whole
	}
	if s.file.Truncate(head) != nil {
		return
	}
	s.left += size - head - int64(len(end)) - s.note
	note := noteOf(s.left, limit)
	s.note = int64(len(note))
	_, _ = s.file.Write(append([]byte(note), end...))
}

// endOf reads the end of a file that somebody writes to meanwhile, until nothing came
// while it was read, or often enough; size is how long the file was then.
func endOf(file *os.File, most int) (end []byte, size int64) {
	for range endReads {
		info, err := file.Stat()
		if err != nil || info.Size() <= size {
			break
		}
		from := max(size, info.Size()-int64(most))
		more := make([]byte, info.Size()-from)
		if _, err := file.ReadAt(more, from); err != nil {
			break
		}
		if from > size {
			end = end[:0] // there is a gap between them
		}
		end, size = append(end, more...), info.Size()
	}
	return end[max(0, len(end)-most):], size
}

// reopen opens the file once more, wherever its name has gone: the program's is open for
// appending only. It is nil where that cannot be done.
func (s *sink) reopen(how int) *os.File {
	conn, err := s.file.SyscallConn()
	if err != nil {
		return nil
	}
	var file *os.File
	if conn.Control(func(fd uintptr) { file, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), how, 0) }) != nil || err != nil {
		return nil
	}
	return file
}
