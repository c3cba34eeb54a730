package saga

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Plan is what a run has to do: steps, and what each of them needs. It is a
// value that is stored with the session, so that what was done is compensated
// as it was planned, whatever the configuration says by then.
type Plan struct {
	// Steps in an order in which every step stands behind what it needs.
	Steps []Spec `json:"steps"`
}

// Spec describes one step of a plan.
type Spec struct {
	// Name is the step's key in the journal, unique in its plan: "compose:db".
	Name string `json:"name"`
	// Kind selects the code that carries the step out: "compose".
	Kind string `json:"kind"`
	// Needs names the steps that must be done before this one starts. They
	// are compensated only after it.
	Needs []string `json:"needs,omitempty"`
	// Cause says what asked for the step, for people: "service api in .ecluse.toml".
	Cause string `json:"cause,omitempty"`
	// Does and Reverts say in a few words what Do and Compensate will do.
	Does    string `json:"does,omitempty"`
	Reverts string `json:"reverts,omitempty"`
	// Reverse is what people call the step while it is compensated, if that has a
	// name of its own: "hook:pre_down". The journal knows the step by Name alone.
	Reverse string `json:"reverse,omitempty"`
	// Policy bounds the step.
	Policy Policy `json:"policy"`
	// Keep marks a step that a teardown leaves when it is asked to keep the
	// worktree.
	Keep bool `json:"keep,omitempty"`
	// Data marks a step that holds data. A teardown that is asked to keep the
	// worktree leaves it, too, but only if it is asked to keep the data as well.
	Data bool `json:"data,omitempty"`
	// Fills marks a step whose effect may be in the data of steps that it needs: where
	// those are not whole, neither is it, and it cannot see that itself.
	Fills bool `json:"fills,omitempty"`
	// Config is what the kind needs to know, as the kind itself encodes it.
	Config json.RawMessage `json:"config,omitempty"`
}

// Title is what people call the step while it is in a phase.
func (s Spec) Title(phase Phase) string {
	if phase.Back() && s.Reverse != "" {
		return s.Reverse
	}
	return s.Name
}

// Policy says how patient the engine is with a step.
type Policy struct {
	// Timeout bounds one attempt of Do, CompensateTimeout one of Compensate.
	// Zero means no bound.
	Timeout           time.Duration `json:"timeout,omitempty"`
	CompensateTimeout time.Duration `json:"compensate_timeout,omitempty"`
	// Retries is how often Do is tried again after it failed, and
	// CompensateRetries the same for Compensate. A [Permanent] error ends both.
	Retries           int `json:"retries,omitempty"`
	CompensateRetries int `json:"compensate_retries,omitempty"`
	// Backoff is the pause before the first retry; it doubles each time, up
	// to a minute.
	Backoff time.Duration `json:"backoff,omitempty"`
	// BestEffort lets the run go on although the step failed.
	BestEffort bool `json:"best_effort,omitempty"`
}

// maxBackoff caps the doubling pause between two attempts.
const maxBackoff = time.Minute

// backoff is the pause before attempt number n+1, n >= 1.
func (p Policy) backoff(n int) time.Duration {
	d := p.Backoff
	for i := 1; i < n && d < maxBackoff; i++ {
		d *= 2
	}
	return min(d, maxBackoff)
}

// Validate reports the first reason why p cannot be carried out: a step without
// a name, two of one name, or a need that is unknown or stands behind its
// dependent (which also rules out cycles).
func (p Plan) Validate() error {
	seen := make(map[string]bool, len(p.Steps))
	for _, s := range p.Steps {
		switch {
		case s.Name == "" || s.Kind == "":
			return fmt.Errorf("plan: a step lacks its name or kind (name %q, kind %q)", s.Name, s.Kind)
		case seen[s.Name]:
			return fmt.Errorf("plan: two steps are named %s", s.Name)
		}
		for _, need := range s.Needs {
			if !seen[need] {
				return fmt.Errorf("plan: step %s needs %s, which does not stand before it", s.Name, need)
			}
		}
		seen[s.Name] = true
	}
	return nil
}

// Index is the place of the step in the plan, -1 when there is none of the name.
func (p Plan) Index(name string) int {
	for i := range p.Steps {
		if p.Steps[i].Name == name {
			return i
		}
	}
	return -1
}

// String lists the plan, one line a step, in a form that tests compare.
func (p Plan) String() string {
	var b strings.Builder
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%d %s", i+1, s.Name)
		if len(s.Needs) > 0 {
			fmt.Fprintf(&b, " needs %s", strings.Join(s.Needs, ", "))
		}
		if s.Cause != "" {
			fmt.Fprintf(&b, " (%s)", s.Cause)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
