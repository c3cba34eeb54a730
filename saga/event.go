package saga

import "time"

// Notice tells an onlooker what a run is doing. Notices are for people and
// progress displays; the truth is the journal, and a notice is sent only after
// the transition that it reports is durable.
type Notice struct {
	Time time.Time `json:"time"`
	// Run, Repo and Session are set by whoever drives the runner.
	Run     string `json:"run,omitempty"`
	Repo    string `json:"repo,omitempty"`
	Session string `json:"session,omitempty"`
	// Step is empty for notices about the run as a whole.
	Step string `json:"step,omitempty"`
	// Title is what people call the step now, if that is not its name.
	Title string `json:"title,omitempty"`
	// Index counts from 1, in the order of the plan; Total is its length.
	Index int `json:"index,omitempty"`
	Total int `json:"total,omitempty"`
	// Phase is the step's phase after the transition; empty for a message.
	Phase   Phase `json:"phase,omitempty"`
	Attempt int   `json:"attempt,omitempty"`
	// Elapsed since the attempt started, in nanoseconds.
	Elapsed time.Duration `json:"elapsed_ns,omitempty"`
	Message string        `json:"message,omitempty"`
	// Warning marks a message that people must see even when they asked for
	// quiet.
	Warning bool   `json:"warning,omitempty"`
	Err     string `json:"error,omitempty"`
	// Cancelled: the attempt did not fail by itself, the run had ended it.
	Cancelled bool `json:"cancelled,omitempty"`
}

// Sink takes notices. It must not block for long, and is called from one
// goroutine at a time.
type Sink interface{ Notify(Notice) }

// SinkFunc makes a Sink of a function.
type SinkFunc func(Notice)

// Notify calls f.
func (f SinkFunc) Notify(n Notice) { f(n) }

// Discard is the Sink that nobody looks at.
var Discard Sink = SinkFunc(func(Notice) {})
