package display

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"ecluse/saga"
)

const (
	// followEvery is how often the logs of the steps in hand are looked at.
	followEvery = 100 * time.Millisecond
	// followMost bounds what is shown of a log at one look, in bytes: a terminal
	// must not hold up what writes more. The log has everything.
	followMost = 32 << 10
	// followLine is how much of a line is waited for until it ends, in bytes.
	followLine = 4 << 10
)

// follower reads along what the programs of the steps in hand write to their logs.
type follower struct {
	log   func(saga.Notice) string
	steps []*followed
}

// followed is the log of one attempt.
type followed struct {
	notice saga.Notice // that it began
	path   string
	offset int64
	rest   []byte // a line that has not ended yet
}

// begin follows the log of an attempt that has just begun: from its end, for it has
// what earlier attempts of the run have written.
func (f *follower) begin(n saga.Notice) {
	path := f.log(n)
	if path == "" {
		return
	}
	one := &followed{notice: n, path: path}
	if info, err := os.Stat(path); err == nil {
		one.offset = info.Size()
	}
	f.steps = append(f.steps, one)
}

// end is what is left to be shown of an attempt that has ended, and to whom it belongs.
func (f *follower) end(n saga.Notice) (saga.Notice, []string) {
	for i, one := range f.steps {
		if one.notice.Repo != n.Repo || one.notice.Session != n.Session || one.notice.Step != n.Step {
			continue
		}
		f.steps = append(f.steps[:i:i], f.steps[i+1:]...)
		lines := one.read()
		if len(one.rest) > 0 {
			lines = append(lines, string(one.rest))
		}
		return one.notice, lines
	}
	return n, nil
}

// read is what was added, as whole lines. A log that cannot be read has nothing to show.
func (f *followed) read() []string {
	file, err := os.Open(f.path)
	if err != nil {
		return nil
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() <= f.offset {
		return nil
	}
	var lines []string
	if skip := info.Size() - f.offset - followMost; skip > 0 {
		lines = append(lines, fmt.Sprintf("(%d bytes are left out here; they are in %s)", skip+int64(len(f.rest)), f.path))
		f.offset, f.rest = f.offset+skip, nil
	}
	data, _ := io.ReadAll(io.NewSectionReader(file, f.offset, info.Size()-f.offset))
	f.offset += int64(len(data))
	f.rest = append(f.rest, data...)
	for {
		line, rest, whole := bytes.Cut(f.rest, []byte("\n"))
		if !whole && len(f.rest) < followLine {
			return lines
		}
		lines, f.rest = append(lines, string(line)), bytes.Clone(rest)
		if !whole {
			f.rest = nil
			return lines
		}
	}
}

// output is the lines of what a step's programs said.
func (l lines) output(n saga.Notice, said []string) string {
	n.Index = 0
	var b strings.Builder
	for _, line := range said {
		if text := oneLine(line); text != "" {
			b.WriteString(l.style.paint(Dim, "  "+l.label(n)+" "+markMore+" "+text) + "\n")
		}
	}
	return b.String()
}
