package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"ecluse/saga/session"
	"ecluse/steps/docker"
)

const (
	// followInterval is how often logs -f looks for more.
	followInterval = 200 * time.Millisecond
	// findInterval is how often it looks for new logs, and whether the session is
	// still there; containerInterval for new containers.
	findInterval      = 600 * time.Millisecond
	containerInterval = 2 * time.Second
	// longestLine is how much of a line is waited for until it ends.
	longestLine = 1 << 20
)

// lineWriter writes whole lines, each with a prefix. Several may write to one place
// when they share the lock.
type lineWriter struct {
	mu     *sync.Mutex // guards out; nil if nobody else writes
	out    io.Writer
	prefix string
	// encode makes what is written of a line; nil for the line itself.
	encode func(line []byte) []byte
	rest   []byte
}

// Write implements [io.Writer].
func (w *lineWriter) Write(data []byte) (int, error) {
	w.rest = append(w.rest, data...)
	end := bytes.LastIndexByte(w.rest, '\n') + 1
	if end == 0 && len(w.rest) > longestLine {
		end = len(w.rest)
	}
	if end == 0 {
		return len(data), nil
	}
	err := w.lines(w.rest[:end])
	w.rest = append(w.rest[:0], w.rest[end:]...)
	return len(data), err
}

// flush writes a last line that was not ended.
func (w *lineWriter) flush() error {
	if len(w.rest) == 0 {
		return nil
	}
	err := w.lines(w.rest)
	w.rest = nil
	return err
}

// lines writes lines.
func (w *lineWriter) lines(data []byte) error {
	var b bytes.Buffer
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if w.encode != nil {
			line = w.encode(line)
		}
		b.WriteString(w.prefix)
		b.Write(line)
		b.WriteByte('\n')
	}
	if w.mu != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	_, err := w.out.Write(b.Bytes())
	return err
}

// follower follows the logs of one session.
type follower struct {
	app     *app
	options logsOptions
	subject logSubject
	name    string
	// several: lines have the name of their log before them.
	several bool

	files map[string]*followed
	// found and asked are when it last looked for logs, and for containers.
	found, asked time.Time

	mu    sync.Mutex // guards stdout
	wg    sync.WaitGroup
	busy  sync.Map // the containers that are being followed
	ended sync.Map // when one was last followed to its end
}

// followed is a file that is followed.
type followed struct {
	logFile
	out    *lineWriter
	offset int64
	info   os.FileInfo
}

// followLogs writes what is there, then what is added, until the session is gone.
func (a *app) followLogs(ctx context.Context, o logsOptions, subject logSubject, name string, first []logFile) error {
	f := &follower{app: a, options: o, subject: subject, name: name, several: name == "" || len(first) > 1, files: map[string]*followed{}}
	defer f.wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, one := range first {
		f.add(ctx, one, o)
	}
	f.found, f.asked = time.Now(), time.Now()
	for {
		gone := false
		if time.Since(f.found) > findInterval {
			f.found = time.Now()
			var err error
			if gone, err = f.gone(); err != nil {
				return err
			}
			if err := f.find(ctx, gone); err != nil {
				return err
			}
		}
		if err := f.read(); err != nil {
			return err
		}
		if gone {
			return f.flush()
		}
		select {
		case <-time.After(followInterval):
		case <-ctx.Done():
			return f.flush()
		}
	}
}

// gone reports whether the session is.
func (f *follower) gone() (bool, error) {
	s, err := f.app.store.Get(f.subject.Key)
	if errors.Is(err, session.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	gone := s.ID != f.subject.ID
	if !gone {
		f.subject.Session = s
	}
	return gone, nil
}

// find takes up logs that are new: a restart makes another one. They are read from
// their beginning.
func (f *follower) find(ctx context.Context, gone bool) error {
	subject := f.subject
	subject.living = !gone && time.Since(f.asked) > containerInterval // else Docker is not asked
	if subject.living {
		f.asked = time.Now()
	}
	list, err := f.app.logList(ctx, subject)
	if err != nil {
		return err
	}
	if f.name != "" {
		list = named(list, f.name)
	}
	for _, one := range list {
		f.add(ctx, one, logsOptions{all: true})
	}
	return nil
}

// add begins to follow a log, unless it is followed.
func (f *follower) add(ctx context.Context, one logFile, o logsOptions) {
	if one.container != nil {
		f.addContainer(ctx, one, o)
		return
	}
	if f.files[one.Path] != nil {
		return
	}
	next := &followed{logFile: one, out: f.writer(one)}
	if file, err := os.Open(one.Path); err == nil {
		next.offset, _ = tailOffset(file, o.lines())
		_ = file.Close()
	}
	f.files[one.Path] = next
}

// followedLine is a line of a log that is followed, in JSON.
type followedLine struct {
	Step         string `json:"step"`
	Service      string `json:"service,omitempty"`
	Run          string `json:"run,omitempty"`
	Compensating bool   `json:"compensating"`
	Line         string `json:"line"`
}

// writer writes the lines of a log.
func (f *follower) writer(one logFile) *lineWriter {
	w := &lineWriter{mu: &f.mu, out: f.app.Stdout}
	switch {
	case f.app.json:
		w.encode = func(line []byte) []byte {
			data, _ := json.Marshal(followedLine{one.Step, one.Service, one.Run, one.Compensating, string(line)})
			return data
		}
	case f.several:
		w.prefix = one.title() + " | "
	}
	return w
}

// addContainer follows what a container writes until it stops. One that is started
// again is read on from there.
func (f *follower) addContainer(ctx context.Context, one logFile, o logsOptions) {
	id := one.container.ID
	if _, busy := f.busy.LoadOrStore(id, true); busy {
		return
	}
	options := docker.LogOptions{Tail: o.lines(), Follow: true}
	if ended, again := f.ended.Load(id); again {
		if one.container.State != "running" {
			f.busy.Delete(id)
			return
		}
		options.Tail, options.Since = -1, ended.(time.Time).UTC().Format(time.RFC3339Nano)
	}
	f.wg.Go(func() {
		defer f.busy.Delete(id)
		defer func() { f.ended.Store(id, time.Now()) }()
		out := f.writer(one)
		if err := one.container.Logs(ctx, options, out); err != nil && ctx.Err() == nil {
			fmt.Fprintf(f.app.Stderr, "warning: %v\n", err)
		}
		_ = out.flush()
	})
}

// read writes what was added to the files.
func (f *follower) read() error {
	for _, one := range f.files {
		if err := one.read(); err != nil {
			return fmt.Errorf("follow the log of %s: %w", one.Step, err)
		}
	}
	return nil
}

// read writes what was added. A file that was replaced, or cut, is read from its
// beginning; one that is gone may come back.
func (f *followed) read() error {
	file, err := os.Open(f.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if f.info != nil && !os.SameFile(f.info, info) || info.Size() < f.offset {
		f.offset = 0
	}
	f.info = info
	if info.Size() == f.offset {
		return nil
	}
	n, err := io.Copy(f.out, io.NewSectionReader(file, f.offset, info.Size()-f.offset))
	f.offset += n
	return err
}

// flush writes last lines that were not ended.
func (f *follower) flush() error {
	var errs []error
	for _, one := range f.files {
		errs = append(errs, one.out.flush())
	}
	return errors.Join(errs...)
}
