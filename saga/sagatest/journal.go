package sagatest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"ecluse/saga"
)

// ErrDisk is the failure of a journal that was told to fail.
var ErrDisk = errors.New("no space left on device")

// Journal is a [saga.Journal] in memory, the disk of one plan. It outlives the
// processes that write it.
type Journal struct {
	Plan saga.Plan
	// Before is called with the number of a transaction, counted from 1,
	// before it is written; an error stays its only trace. After is called
	// when it is written; an error is what the writer hears. Both may panic,
	// see [Crash].
	Before, After func(n int) error

	mu       sync.Mutex
	run      string
	n        int
	progress saga.Progress
	entries  []saga.Entry
	outcome  saga.Outcome
}

// NewJournal is the journal of a plan of which nothing was done.
func NewJournal(plan saga.Plan) *Journal {
	return &Journal{Plan: plan, progress: saga.NewProgress(plan)}
}

// Begin writes the events that begin a run or take it over.
func (j *Journal) Begin(run string, events ...saga.Event) (saga.Decision, error) {
	j.mu.Lock()
	j.run = run
	j.mu.Unlock()
	return j.Commit(events...)
}

// Commit implements [saga.Journal].
func (j *Journal) Commit(events ...saga.Event) (saga.Decision, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.n++
	if j.Before != nil {
		if err := j.Before(j.n); err != nil {
			return saga.Decision{}, err
		}
	}
	d, err := saga.Next(j.Plan, j.progress, j.run, time.Now(), events...)
	if err != nil {
		return saga.Decision{}, err
	}
	j.progress, j.outcome = d.Progress, d.Outcome
	j.entries = append(j.entries, d.Entries...)
	if j.After != nil {
		if err := j.After(j.n); err != nil {
			return saga.Decision{}, err
		}
	}
	return d, nil
}

// Progress as it is on disk.
func (j *Journal) Progress() saga.Progress {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.progress
}

// Outcome of the last transaction.
func (j *Journal) Outcome() saga.Outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.outcome
}

// Phase of a step, as it is on disk.
func (j *Journal) Phase(step string) saga.Phase {
	return j.Progress().Steps[j.Plan.Index(step)].Phase
}

// Entries lists every transition that was ever written.
func (j *Journal) Entries() []saga.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

// Commits is how many transactions were tried.
func (j *Journal) Commits() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.n
}

// Crash is what a [Process] dies of. See [Survive].
type Crash struct{}

// Crash kills the process and unwinds its stack.
func (p *Process) Crash() {
	p.Kill()
	panic(Crash{})
}

// Survive calls fn as a process that may crash, and reports whether it did.
func Survive(fn func()) (crashed bool) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case Crash:
			crashed = true
		default:
			panic(v)
		}
	}()
	fn()
	return false
}
