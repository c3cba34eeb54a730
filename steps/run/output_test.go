package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"ecluse/steps/proc"
)

// allocated is how many bytes fn allocates, in all goroutines.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// counter is a log that counts.
type counter struct{ n int64 }

func (c *counter) Write(data []byte) (int, error) {
	c.n += int64(len(data))
	return len(data), nil
}

// Output that goes to the log costs no memory, and its end is known.
func TestMuchOutput(t *testing.T) {
	const size = 200_000_000
	script := "yes 0123456789abcde | head -c 200000000; echo; echo the end; exit 1"
	file := openLog(t)
	count := &counter{}
	for name, log := range map[string]io.Writer{"file": file, "pipe": count} {
		var err error
		used := allocated(func() { err = Shell(t.TempDir(), script).Run(With(t.Context(), Inherit{Log: log})) })
		if used > 2<<20 {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
		if e := asError(t, err); len(e.Tail) > maxTail || len(e.Tail) < maxTail/2 || !strings.HasSuffix(e.Tail, "\n0123456789abcde\n\nthe end") {
			t.Errorf("%s: its end is %q", name, e.Tail)
		}
	}
	info, err := file.Stat()
	if err != nil || info.Size() < size || count.n != info.Size() {
		t.Errorf("logged %d and %d, %v", info.Size(), count.n, err)
	}
}

// A log with a limit has the beginning and the end of the output, and says what is left
// out. What was there before stays.
func TestLogIsBounded(t *testing.T) {
	const limit = 4 << 20
	log := openLog(t)
	if _, err := log.WriteString("before\n"); err != nil {
		t.Fatal(err)
	}
	written := 0
	for range 2 { // the second program has its own share
		script := "echo the beginning; for i in 1 2 3; do yes 0123456789abcde | head -c 40000000; sleep 0.15; done; echo the end; exit 1"
		err := Shell(t.TempDir(), script).Run(With(t.Context(), Inherit{Log: log, LogLimit: limit}))
		if e := asError(t, err); !strings.HasSuffix(e.Tail, "0123456789abcde\nthe end") {
			t.Errorf("its end is %q", e.Tail)
		}
		text := read(t, log.Name())
		if size := len(text) - written; size > limit || size < limit/2 {
			t.Errorf("%d bytes of it are in the log", size)
		}
		own := text[written:]
		if !strings.HasPrefix(strings.TrimPrefix(own, "before\n"), "the beginning\n0123") || !strings.HasSuffix(own, "0123456789abcde\nthe end\n") {
			t.Errorf("the log is %.40q … %q", own, own[len(own)-40:])
		}
		if n := strings.Count(own, "MiB of output were left out here"); n != 1 {
			t.Errorf("it is told %d times that something is left out", n)
		}
		written = len(text)
	}
}

// What a program writes while the middle is taken out is not lost, where the file system
// can do that in its place.
func TestNothingIsLostOfTheEnd(t *testing.T) {
	const limit = 1 << 20
	for range 20 {
		log := openLog(t)
		if _, err := log.WriteString(strings.Repeat("0123456789abcde\n", limit/8)); err != nil {
			t.Fatal(err)
		}
		if unix.Fallocate(int(log.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, block) != nil {
			t.Skip("this file system cannot")
		}
		s := sink{file: log}
		enough, last := make(chan struct{}), make(chan int)
		go func() {
			for i := 0; ; i++ {
				select {
				case <-enough:
					last <- i
					return
				default:
					fmt.Fprintln(log, i)
				}
			}
		}()
		s.cut(limit)
		close(enough)
		count := <-last
		text := read(t, log.Name())
		if !strings.Contains(text, "a log holds 1 MiB]\n") || len(text) > 2*limit {
			t.Fatalf("%d bytes are left", len(text))
		}
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		for i := range count {
			// The first one behind the note may be a part.
			if line := lines[len(lines)-1-i]; strings.HasSuffix(lines[len(lines)-2-i], "MiB]") {
				break
			} else if want := strconv.Itoa(count - 1 - i); line != want {
				t.Fatalf("line %s of %d is %q", want, count, line)
			}
		}
	}
}

// Without a limit, and under it, all is there.
func TestLogIsWhole(t *testing.T) {
	for name, limit := range map[string]int64{"no limit": 0, "enough": 3_000_000} {
		log := openLog(t)
		if err := Shell(t.TempDir(), "yes 0123456789abcde | head -c 3000000").Run(With(t.Context(), Inherit{Log: log, LogLimit: limit})); err != nil {
			t.Fatal(err)
		}
		if n := len(read(t, log.Name())); n != 3_000_000 {
			t.Errorf("%s: %d bytes are in the log", name, n)
		}
	}
}

func TestOutputIsLimited(t *testing.T) {
	env, find := mark(t)
	for name, script := range map[string]string{"endless": "exec yes", "ends": "yes | head -c 2000", "ignores": "trap '' PIPE; exec yes"} {
		out, err := Shell(t.TempDir(), script, env).output(t.Context(), 1000)
		if !errors.Is(err, ErrTooMuch) || len(out) != 1000 {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
	if out, err := Shell(t.TempDir(), "yes | head -c 1000", env).output(t.Context(), 1000); err != nil || len(out) != 1000 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	none(t, find)
}

// A program that has ended before we look at it has written too much all the same.
func TestTooMuchOfOneThatEnded(t *testing.T) {
	env, find := mark(t)
	ctx := With(t.Context(), Inherit{Point: func(name string) {
		if name == "spawned sh" {
			if err := proc.Await(t.Context(), time.Minute, find); err != nil {
				t.Error(err)
			}
		}
	}})
	out, err := Shell(t.TempDir(), "printf %02000d 0", env).output(ctx, 1000)
	if e := asError(t, err); !errors.Is(err, ErrTooMuch) || len(out) != 1000 || e.Status != 0 {
		t.Errorf("%d bytes, %+v", len(out), e)
	}
}

// What was written before the end is there, though nobody waits for more.
func TestNothingIsLost(t *testing.T) {
	p := &pipe{into: &capture{limit: maxOutput}, done: make(chan struct{})}
	var err error
	if p.read, p.write, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	defer p.write.Close() // a daemon has it
	if _, err := p.write.Write(make([]byte, 60_000)); err != nil {
		t.Fatal(err)
	}
	if err := p.read.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	go p.carry()
	<-p.done
	if n := len(p.into.(*capture).bytes()); n != 60_000 {
		t.Errorf("%d bytes are left of 60000", n)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

// A log that is broken is not the program's fault.
func TestBrokenLog(t *testing.T) {
	if err := Shell(t.TempDir(), "yes | head -c 1000000").Run(With(t.Context(), Inherit{Log: broken{}})); err != nil {
		t.Error(err)
	}
}

// The end of the output is that of this program, wherever the log has gone.
func TestTailOfAFile(t *testing.T) {
	for script, want := range map[string]string{
		"exit 1":                                "",
		"echo mine; exit 1":                     "mine",
		"mv $LOG $LOG.moved; echo mine; exit 1": "mine",
		": >$LOG; echo mine; exit 1":            "mine",
		"rm $LOG; echo mine; exit 1":            "mine",
	} {
		log := openLog(t)
		ctx := With(t.Context(), Inherit{Log: log})
		if err := Shell(t.TempDir(), "echo an earlier program").Run(ctx); err != nil {
			t.Fatal(err)
		}
		err := Shell(t.TempDir(), script, "LOG="+log.Name()).Run(ctx)
		if e := asError(t, err); e.Tail != want {
			t.Errorf("%s: %q", script, e.Tail)
		}
	}
}

func TestTailOfAPath(t *testing.T) {
	log := openLog(t)
	for from, want := range map[int64]string{0: "one\ntwo", 4: "two", 8: "", 9: "one\ntwo"} {
		if err := os.WriteFile(log.Name(), []byte("one\ntwo\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Tail(log.Name(), from); got != want {
			t.Errorf("from %d: %q", from, got)
		}
	}
	if got := Tail(log.Name()+".missing", 0); got != "" {
		t.Errorf("%q", got)
	}
}

// A log that is no plain file is used as well, and its end is known.
func TestTailOfAPipe(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	err = Shell(t.TempDir(), "echo mine; exit 1").Run(With(t.Context(), Inherit{Log: writer}))
	writer.Close()
	if e := asError(t, err); e.Tail != "mine" {
		t.Errorf("%q", e.Tail)
	}
	if data, err := io.ReadAll(reader); err != nil || string(data) != "mine\n" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"\n\n":                                "",
		"a\n":                                 "a",
		"\na  \n\tb\n\n":                      "a\n\tb",
		"a\r\nb\r\n":                          "a\nb",
		"10%\r50%\r100%\n":                    "100%",
		"10%\r50%\r":                          "50%",
		"\x1b[1;31merror\x1b[0m: no":          "error: no",
		"\x1b]0;title\x07x\x1b]8;;u\x1b\\y":   "xy",
		"a\x00b\x07c\u0085d":                  "abcd",
		"\xff\xfe":                            "?",
		strings.Repeat("0123456\n", 200):      strings.TrimSuffix(strings.Repeat("0123456\n", 128), "\n"),
		strings.Repeat("x", 2000):             strings.Repeat("x", maxTail),
		"y" + strings.Repeat("ö", 1000) + "z": strings.Repeat("ö", 511) + "z",
	} {
		if got := clean([]byte(text)); got != want {
			t.Errorf("%.40q: %q", text, got)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add([]byte("a\r\x1b[31mb\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := clean(data)
		if len(got) > maxTail || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b\r\x07") {
			t.Errorf("%q becomes %q", data, got)
		}
	})
}

// However the output is cut into pieces, its end is kept.
func TestSinkKeepsTheEnd(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 2*window/16)
	for _, piece := range []int{1, 7, window - 1, window, window + 1, len(data)} {
		s := &sink{}
		for rest := data; len(rest) > 0; {
			n := min(piece, len(rest))
			_, _ = s.Write(rest[:n])
			rest = rest[n:]
		}
		if !bytes.HasSuffix(s.end, data[len(data)-window:]) {
			t.Errorf("pieces of %d: %d bytes are kept", piece, len(s.end))
		}
	}
}
