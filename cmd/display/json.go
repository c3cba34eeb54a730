package display

import (
	_ "embed" // the schema
	"encoding/json"
	"time"

	"ecluse/saga"
)

// SchemaName is the value of the first key of every event, and names the
// version of what follows.
const SchemaName = "ecluse.progress.v1"

// Schema is the JSON Schema of [Event].
//
//go:embed event.schema.json
var Schema string

// EventType says what an event tells.
type EventType string

// The types.
const (
	// StepEvent: a step changed its phase.
	StepEvent EventType = "step"
	// MessageEvent: a step, or the run when no step is named, says something.
	MessageEvent EventType = "message"
	// WarningEvent: something that somebody should act on.
	WarningEvent EventType = "warning"
)

// Event is one line of the json mode. A key that does not apply is absent.
type Event struct {
	Schema string    `json:"schema"`
	Type   EventType `json:"type"`
	// Time in UTC.
	Time time.Time `json:"time"`
	// Repo is the repository's git common directory, Session the slug.
	Repo    string `json:"repo,omitempty"`
	Session string `json:"session,omitempty"`
	Run     string `json:"run,omitempty"`
	Step    string `json:"step,omitempty"`
	// Title is what people call the step now, if that is not its name.
	Title string `json:"title,omitempty"`
	// Index of the step counts from 1; Total is the number of steps.
	Index int `json:"index,omitempty"`
	Total int `json:"total,omitempty"`
	// Phase of the step from now on; only in step events.
	Phase   saga.Phase `json:"phase,omitempty"`
	Attempt int        `json:"attempt,omitempty"`
	// ElapsedMS is how long the attempt took, or has taken so far, in
	// milliseconds; absent when it has just begun.
	ElapsedMS *int64 `json:"elapsed_ms,omitempty"`
	Message   string `json:"message,omitempty"`
	Error     string `json:"error,omitempty"`
	// Log is the file with the output of the attempt; only in step events.
	Log string `json:"log,omitempty"`
}

// jsonLines writes one event a line.
type jsonLines struct {
	log func(saga.Notice) string
}

func (j jsonLines) notice(now time.Time, n saga.Notice) string {
	e := Event{
		Schema: SchemaName, Type: MessageEvent, Time: n.Time.UTC(),
		Repo: clean(n.Repo), Session: clean(n.Session), Run: clean(n.Run), Step: clean(n.Step), Title: clean(n.Title), Index: n.Index, Total: n.Total,
		Phase: saga.Phase(clean(string(n.Phase))), Attempt: n.Attempt, Message: clean(n.Message), Error: clean(n.Err),
	}
	if n.Time.IsZero() {
		e.Time = now.UTC()
	}
	switch {
	case n.Warning:
		e.Type = WarningEvent
	case n.Phase != "":
		e.Type = StepEvent
		e.Log = logOf(j.log, n)
	}
	if n.Step != "" && !n.Phase.Running() {
		ms := max(0, n.Elapsed.Milliseconds())
		e.ElapsedMS = &ms
	}
	line, err := json.Marshal(e)
	if err != nil {
		// Nothing in an Event can fail to encode but a time beyond the
		// year 9999.
		return ""
	}
	return string(line) + "\n"
}

func (j jsonLines) tick(time.Time) string { return "" }
func (j jsonLines) end() string           { return "" }
func (j jsonLines) every() time.Duration  { return 0 }
