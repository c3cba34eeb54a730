package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"ecluse/steps/run"
)

const (
	// wordsLines and wordsBytes bound what is kept of a container's output.
	wordsLines, wordsBytes = 200, 64 << 10
	// wordsPatience is how long it may take to read them all.
	wordsPatience = 20 * time.Second
)

// Words are the last words of each service of a project, by its name: up to 200 lines,
// or 64 KiB, of each of its containers. What could be read is there in spite of an
// error.
func (e *Engine) Words(ctx context.Context, project string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wordsPatience)
	defer cancel()
	list, err := e.look(ctx, composeProject+"="+project)
	words, errs := map[string][]byte{}, []error{err}
	for _, c := range list {
		said := &ending{most: wordsBytes}
		in := run.From(ctx)
		in.Log = said
		command := run.Command{Dir: anywhere, Name: "docker", Args: []string{"logs", "--tail", strconv.Itoa(wordsLines), c.ID}, Env: e.place.env()}
		if err := command.Run(run.With(ctx, in)); err != nil {
			errs = append(errs, fmt.Errorf("read the output of container %s: %w", c.Name, meaning(err)))
			continue
		}
		words[c.Service] = append(words[c.Service], said.bytes()...)
	}
	return words, errors.Join(errs...)
}

// ending keeps the end of what is written to it.
type ending struct {
	most int

	mu   sync.Mutex
	data []byte // guarded by mu
}

// Write implements [io.Writer].
func (e *ending) Write(data []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.data = append(e.data, data...)
	if len(e.data) > 2*e.most {
		e.data = append(e.data[:0], e.data[len(e.data)-e.most:]...)
	}
	return len(data), nil
}

// bytes are whole lines, the last of which is ended.
func (e *ending) bytes() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.data
	if len(kept) > e.most {
		kept = kept[len(kept)-e.most:]
		if at := bytes.IndexByte(kept, '\n'); at >= 0 {
			kept = kept[at+1:]
		}
	}
	if len(kept) > 0 && kept[len(kept)-1] != '\n' {
		kept = append(kept[:len(kept):len(kept)], '\n')
	}
	return kept
}
