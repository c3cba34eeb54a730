package sagatest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"ecluse/saga"
)

// Effect is how much of what a step makes is there.
type Effect uint8

// The effects.
const (
	None Effect = iota
	Half
	Whole
)

// String names the effect.
func (e Effect) String() string { return [...]string{"none", "half", "whole"}[e] }

// World is what scripted steps act on. Its zero value is an empty one.
type World struct {
	// Touch, when set, is asked before an attempt changes an effect; an error
	// is noted as a fault of the engine. It may look at a journal.
	Touch func(step string, compensating bool) error
	// Point, when set, is called when an attempt is half-way: a place for a
	// process to die.
	Point func(name string)

	mu      sync.Mutex
	scripts map[string]*Script
	effects map[string]Effect
	working map[string]int
	most    int
	log     []string
	faults  []string
}

// Add puts a script into the world and returns it.
func (w *World) Add(s *Script) *Script {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.scripts == nil {
		w.scripts = map[string]*Script{}
	}
	s.world, w.scripts[s.Name] = w, s
	return s
}

// Step is the builder that a [saga.Runner] wants. A step without a script works.
func (w *World) Step(spec saga.Spec) (saga.Step, error) {
	w.mu.Lock()
	s := w.scripts[spec.Name]
	w.mu.Unlock()
	if s == nil {
		s = w.Add(&Script{Name: spec.Name})
	}
	if s.Blind {
		return struct{ saga.Step }{s}, nil
	}
	return s, nil
}

// Effect is how much of a step's effect is there.
func (w *World) Effect(step string) Effect {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.effects[step]
}

// Set changes an effect from outside, as a user does.
func (w *World) Set(step string, e Effect) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(step, e)
}

func (w *World) set(step string, e Effect) {
	if w.effects == nil {
		w.effects = map[string]Effect{}
	}
	w.effects[step] = e
	if e == None {
		delete(w.effects, step)
	}
}

// String lists the effects that are there: "a=whole b=half".
func (w *World) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(w.effects)) {
		out = append(out, name+"="+w.effects[name].String())
	}
	return strings.Join(out, " ")
}

// Log lists the attempts in the order in which they began: "do a", "compensate a".
func (w *World) Log() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

// Most is the greatest number of attempts that ever ran side by side.
func (w *World) Most() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// Faults lists what must never happen and did.
func (w *World) Faults() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.faults)
}

// enter notes that an attempt begins to act on a step's resource; leave is to be
// called when it has ended.
func (w *World) enter(step string, compensating bool) (leave func()) {
	var err error
	if w.Touch != nil {
		err = w.Touch(step, compensating)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.faults = append(w.faults, err.Error())
	}
	if w.working == nil {
		w.working = map[string]int{}
	}
	if w.working[step]++; w.working[step] > 1 {
		w.faults = append(w.faults, fmt.Sprintf("%d attempts at %s at the same time", w.working[step], step))
	}
	all := 0
	for _, n := range w.working {
		all += n
	}
	w.most = max(w.most, all)
	verb := "do "
	if compensating {
		verb = "compensate "
	}
	w.log = append(w.log, verb+step)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.working[step]--
	}
}

// Process stands for an operating system process that can be killed.
type Process struct{ dead atomic.Bool }

// processKey is where a context carries its process.
type processKey struct{}

// Context is what attempts of the process must work under.
func (p *Process) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, processKey{}, p)
}

// Kill ends the process: its attempts change nothing any more.
func (p *Process) Kill() { p.dead.Store(true) }

// alive reports whether the process that ctx belongs to can still do anything.
func alive(ctx context.Context) bool {
	p, ok := ctx.Value(processKey{}).(*Process)
	return !ok || !p.dead.Load()
}
