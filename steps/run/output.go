package run

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	// window is how much of the end of the output is looked at.
	window = 4 << 10
	// maxTail is how much of it is shown.
	maxTail = 1 << 10
)

// sink is where a program's output goes: a file that the program gets itself, or
// a writer that is handed the output and whose errors are not the program's.
type sink struct {
	file  *os.File
	begin int64 // where the program's output begins in file
	left  int64 // how much of it was left out
	note  int64 // how long the line is that says so

	log io.Writer // nil discards
	mu  sync.Mutex
	end []byte // guarded by mu; the last of the output
}

// newSink begins a program's output in a log.
func newSink(log io.Writer) (*sink, error) {
	file, ok := log.(*os.File)
	if !ok {
		return &sink{log: log}, nil
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return &sink{log: log}, nil // what was written cannot be read back
	}
	return &sink{file: file, begin: info.Size()}, nil
}

// Write implements [io.Writer]. A log that cannot be written to must not end the
// program by SIGPIPE in the middle of its work.
func (s *sink) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log != nil {
		_, _ = s.log.Write(data)
	}
	s.end = append(s.end, data[max(0, len(data)-window):]...)
	if len(s.end) > 2*window {
		s.end = append(s.end[:0], s.end[len(s.end)-window:]...)
	}
	return len(data), nil
}

// tail is the end of the output, as an [Error] carries it.
func (s *sink) tail() string {
	if s.file != nil {
		return clean(s.readBack())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return clean(s.end[max(0, len(s.end)-window):])
}

// readBack reads the end of what was written to the file since the program began.
func (s *sink) readBack() []byte {
	cutting.Lock() // its end moves
	defer cutting.Unlock()
	file := s.reopen(os.O_RDONLY)
	if file == nil {
		return nil
	}
	defer file.Close()
	return lastOf(file, s.begin)
}

// escape matches what moves and colours a terminal.
var escape = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])`)

// clean makes the last lines of a program's output fit to be shown: without
// colours, and of a progress display only its last state.
func clean(data []byte) string {
	text := escape.ReplaceAllString(strings.ToValidUTF8(string(data), "?"), "")
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		line = line[strings.LastIndexByte(line, '\r')+1:]
		line = strings.Map(func(r rune) rune {
			if r != '\t' && unicode.IsControl(r) {
				return -1
			}
			return r
		}, line)
		lines = append(lines, strings.TrimRightFunc(line, unicode.IsSpace))
	}
	text = strings.Trim(strings.Join(lines, "\n"), "\n")
	if len(text) <= maxTail {
		return text
	}
	text = text[len(text)-maxTail:]
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		return strings.TrimLeft(rest, "\n")
	}
	for !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}

// capture keeps a program's output up to a limit, and says when there is more.
type capture struct {
	limit int
	full  func()

	mu   sync.Mutex
	data []byte // guarded by mu, as is over
	over bool
}

// Write implements [io.Writer].
func (c *capture) Write(data []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := c.limit - len(c.data)
	if len(data) > room {
		c.over = true
		c.full()
	}
	c.data = append(c.data, data[:min(room, len(data))]...)
	return len(data), nil
}

// bytes is what was kept so far.
func (c *capture) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}

// overflowed reports whether there was more.
func (c *capture) overflowed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}
