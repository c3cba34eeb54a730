package display

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// patience is how long a write may hold up a run before the writer counts
	// as stalled.
	patience = 500 * time.Millisecond
	// farewell is how long closing waits for a stalled writer.
	farewell = time.Second
	// backlog bounds what waits for a stalled writer, in bytes.
	backlog = 256 << 10
)

// outlet writes texts in order, and does not wait for ever: see "A reader that
// does not read" in the package documentation.
type outlet struct {
	w io.Writer

	mu      sync.Mutex // guards what follows
	queue   []string
	size    int           // of the queue, in bytes
	dropped int           // lines that did not fit
	busy    chan struct{} // closed when everything queued is written; nil if it is
	late    bool          // somebody waited for busy in vain
}

func newOutlet(w io.Writer) *outlet { return &outlet{w: w} }

// write writes text, or queues it while the writer is stalled; it reports false
// when it had to drop it. Errors of the writer are ignored: there is nobody left
// to tell.
func (o *outlet) write(text string) bool {
	if text == "" {
		return true
	}
	busy, ok := o.enqueue(text)
	if busy != nil && !await(busy, patience) {
		o.mu.Lock()
		o.late = o.busy != nil
		o.mu.Unlock()
	}
	return ok
}

// enqueue queues text, if it fits, and starts the writer if it is not at work.
// It returns what to wait for, nil if the writer is stalled.
func (o *outlet) enqueue(text string) (chan struct{}, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size+len(text) > backlog && o.size > 0 {
		o.dropped += strings.Count(text, "\n")
		return nil, false
	}
	o.queue, o.size = append(o.queue, text), o.size+len(text)
	if o.busy == nil {
		o.busy = make(chan struct{})
		go o.drain()
	}
	if o.late {
		return nil, true
	}
	return o.busy, true
}

// drain writes until the queue is empty.
func (o *outlet) drain() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 && o.dropped > 0 {
			o.queue = append(o.queue, fmt.Sprintf("warning: %d lines of progress were dropped: nobody read them\n", o.dropped))
			o.dropped = 0
		}
		if len(o.queue) == 0 {
			close(o.busy)
			o.busy, o.late, o.size = nil, false, 0
			o.mu.Unlock()
			return
		}
		text := o.queue[0]
		o.queue = o.queue[1:]
		o.mu.Unlock()
		_, _ = io.WriteString(o.w, text)
		o.mu.Lock()
		o.size = max(0, o.size-len(text))
		o.mu.Unlock()
	}
}

// stalled reports whether the writer has stopped taking texts.
func (o *outlet) stalled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.late
}

// close waits, but not for ever, until everything is written.
func (o *outlet) close() {
	o.mu.Lock()
	busy := o.busy
	o.mu.Unlock()
	if busy != nil {
		await(busy, farewell)
	}
}

// awaits are the parts of what is waited for. A machine that stands still, and with it
// who writes, costs one of them.
const awaits = 10

// await reports whether done was closed within limit.
func await(done <-chan struct{}, limit time.Duration) bool {
	ticker := time.NewTicker(limit / awaits)
	defer ticker.Stop()
	for range awaits {
		select {
		case <-done:
			return true
		case <-ticker.C:
		}
	}
	return false
}
