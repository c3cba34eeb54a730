package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// Step is one stage of a saga. It is implemented once per kind, and built anew
// by each process from the plan's [Spec].
//
// The contract for implementers: after a crash nobody can tell how far the last
// attempt came, so Do and Compensate are idempotent. Do must be right when an
// earlier Do did nothing, a half, or all of its work. Compensate must be right
// after no Do, half a Do, a whole one, and after half a Compensate. Whatever
// Compensate needs to know is saved with [Attempt.Save] before the effect that
// makes it necessary, or follows from the plan. Compensate returns nil only when
// it has looked and the effect is gone, and [ErrKept] when the effect is to stay
// and nothing of it was touched. Both end soon after ctx does, leaving no program
// of theirs running.
type Step interface {
	Do(ctx context.Context, a *Attempt) error
	Compensate(ctx context.Context, a *Attempt) error
}

// Verifier is implemented by steps that can tell, without changing anything,
// whether their effect is there, whole, and theirs. An error says what is
// missing. Verify runs when a step is in doubt, before a session is called
// active, and when an active session is brought up again.
type Verifier interface {
	Verify(ctx context.Context, a *Attempt) error
}

// Attempt is what one call of a step gets to know, and its way to the journal.
type Attempt struct {
	// Step is the step's name, Number counts its attempts in this run, from 1.
	Step   string
	Number int
	// Resumed: an earlier attempt was cut off, or what it made is gone.
	Resumed bool
	// Compensating is set in Compensate; Reverting as well when only what
	// the current run did is to be compensated, as after a repair that failed.
	Compensating bool
	Reverting    bool

	mu     sync.Mutex
	facts  map[string]json.RawMessage
	save   func(key string, data json.RawMessage) error
	report func(message string, warning bool)
}

// NewAttempt makes an attempt outside a runner, for verification and for tests:
// facts are what the step saved before, and save may be nil when nothing can be
// saved.
func NewAttempt(step string, facts map[string]json.RawMessage, save func(string, json.RawMessage) error) *Attempt {
	return &Attempt{Step: step, Number: 1, facts: facts, save: save}
}

// Save makes a fact durable and returns once it is on disk. It is called before
// the effect that the fact describes. When it fails the effect must not happen.
func (a *Attempt) Save(key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode fact %s of step %s: %w", key, a.Step, err)
	}
	if a.save == nil {
		return fmt.Errorf("save fact %s of step %s: only looking is allowed here", key, a.Step)
	}
	if err := a.save(key, data); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	facts := make(map[string]json.RawMessage, len(a.facts)+1)
	for k, v := range a.facts {
		facts[k] = v
	}
	facts[key] = data
	a.facts = facts
	return nil
}

// Load reads a fact that this or an earlier attempt saved into value, and
// reports whether there is one.
func (a *Attempt) Load(key string, value any) (bool, error) {
	a.mu.Lock()
	data, ok := a.facts[key]
	a.mu.Unlock()
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(data, value); err != nil {
		return false, fmt.Errorf("decode fact %s of step %s: %w", key, a.Step, err)
	}
	return true, nil
}

// Report tells onlookers how the attempt is getting on.
func (a *Attempt) Report(format string, args ...any) {
	if a.report != nil {
		a.report(fmt.Sprintf(format, args...), false)
	}
}

// Warn tells onlookers something that they should act on.
func (a *Attempt) Warn(format string, args ...any) {
	if a.report != nil {
		a.report(fmt.Sprintf(format, args...), true)
	}
}
