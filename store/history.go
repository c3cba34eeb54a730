package store

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
)

// Filter chooses entries of the history, or runs. What is empty chooses all.
type Filter struct {
	Repo string
	Slug string
	Run  string
	// Limit keeps the newest so many; zero keeps all.
	Limit int
}

// newest keeps the last n of what is sorted by time; 0 keeps all.
func newest[T any](all []T, n int) []T {
	if n > 0 && len(all) > n {
		return all[len(all)-n:]
	}
	return all
}

// appendHistory adds lines to the history.
func appendHistory(tx *bolt.Tx, entries []session.Entry) error {
	b := tx.Bucket([]byte(bucketHistory))
	b.FillPercent = 1 // keys only ever grow
	for _, entry := range entries {
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		if err := put(tx, bucketHistory, seqKey(seq), entry); err != nil {
			return err
		}
		if err := tx.Bucket([]byte(bucketHistoryBySession)).Put(indexKey(entry.Key, seq), nil); err != nil {
			return err
		}
	}
	return nil
}

// History returns the transitions of sessions, living and gone, oldest first. What
// of it cannot be read is left out, and the error says so.
func (s *Store) History(f Filter) ([]session.Entry, error) {
	var entries []session.Entry
	var bad []error
	_, err := s.view(func(tx *bolt.Tx) error {
		seqs, err := linesOf(tx, f)
		if err != nil {
			return err
		}
		c := tx.Bucket([]byte(bucketHistory)).Cursor()
		var k, v []byte
		for _, seq := range seqs {
			wanted := seqKey(seq)
			if k, v = c.Next(); !bytes.Equal(k, wanted) {
				k, v = c.Seek(wanted)
			}
			if !bytes.Equal(k, wanted) {
				continue
			}
			var entry session.Entry
			if err := decode(k, v, &entry); err != nil {
				bad = append(bad, fmt.Errorf("line %d of the history: %w", seq, err))
			} else if f.Run == "" || f.Run == entry.Run {
				entries = append(entries, entry)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newest(entries, f.Limit), errors.Join(bad...)
}

// linesOf lists the places of the lines that may pass the filter. Of a run only its
// session is indexed.
func linesOf(tx *bolt.Tx, f Filter) ([]uint64, error) {
	if f.Run == "" {
		return historySeqs(tx, f, f.Limit)
	}
	run, err := readRun(tx, f.Run)
	if err != nil || run == nil {
		return nil, err
	}
	if f.Repo != "" && f.Repo != run.Repo || f.Slug != "" && f.Slug != run.Slug {
		return nil, nil
	}
	f.Repo, f.Slug = run.Repo, run.Slug
	return historySeqs(tx, f, 0)
}

// historySeqs lists the places of a session, a repository or all of them.
func historySeqs(tx *bolt.Tx, f Filter, limit int) ([]uint64, error) {
	if f.Repo == "" && f.Slug == "" {
		last := tx.Bucket([]byte(bucketHistory)).Sequence()
		first := uint64(1)
		if limit > 0 && last > uint64(limit) {
			first = last - uint64(limit) + 1
		}
		seqs := make([]uint64, 0, last+1-first)
		for seq := first; seq <= last; seq++ {
			seqs = append(seqs, seq)
		}
		return seqs, nil
	}
	seqs, _, err := sequence(tx, bucketHistoryBySession, f)
	return newest(seqs, limit), err
}

// Run is the summary of one run of one session. It outlives the session.
type Run struct {
	ID string `json:"id"`
	session.Key
	// Session is the session's id.
	Session string `json:"session"`
	Root    string `json:"root,omitempty"`
	Branch  string `json:"branch,omitempty"`

	Verb session.Verb `json:"verb"`
	// Owner is the one that has, or last had, the run.
	Owner session.Owner `json:"owner"`
	// From is the state in which the run found the session, State the one in
	// which it is, or left it.
	From  fsm.State `json:"from"`
	State fsm.State `json:"state"`

	StartedAt time.Time `json:"started_at"`
	// EndedAt is zero while the run is under way or waits for recover.
	EndedAt time.Time `json:"ended_at,omitzero"`
	// Outcome is how the run ended; Running while it has not.
	Outcome saga.Outcome     `json:"outcome"`
	Failure *session.Failure `json:"failure,omitempty"`

	// Seq is the run's place among all runs.
	Seq uint64 `json:"seq"`
}

// Superseded is the outcome of a run that was cut off, and whose session another
// run then took over.
const Superseded saga.Outcome = "superseded"

// recordRun keeps the summaries in step with what a transition answered.
func recordRun(tx *bolt.Tx, key session.Key, before session.Session, result session.Result, at time.Time) error {
	after := result.Session
	if after.Run.ID == "" {
		return nil
	}
	if before.State != fsm.Absent && before.Run.ID != after.Run.ID {
		if err := supersede(tx, before.Run.ID, at); err != nil {
			return err
		}
	}
	run, err := readRun(tx, after.Run.ID)
	if err != nil {
		return err
	}
	isNew := run == nil
	if isNew {
		if run, err = newRun(tx, key, after); err != nil {
			return err
		}
	}
	old := *run
	run.Owner, run.State, run.Failure = after.Run.Owner, after.State, after.Failure
	if !after.State.Pending() && run.EndedAt.IsZero() {
		run.EndedAt, run.Outcome = at, result.Decision.Outcome
	}
	if !isNew && sameOwner(old.Owner, run.Owner) && old.State == run.State && old.EndedAt.Equal(run.EndedAt) {
		return nil
	}
	return put(tx, bucketRuns, []byte(run.ID), run)
}

// sameOwner compares owners, one of whom may come from the disk.
func sameOwner(a, b session.Owner) bool {
	same := a.Since.Equal(b.Since)
	a.Since, b.Since = time.Time{}, time.Time{}
	return same && a == b
}

// newRun begins a summary.
func newRun(tx *bolt.Tx, key session.Key, s session.Session) (*Run, error) {
	seq, err := tx.Bucket([]byte(bucketRuns)).NextSequence()
	if err != nil {
		return nil, err
	}
	if err := tx.Bucket([]byte(bucketRunsBySession)).Put(indexKey(key, seq), []byte(s.Run.ID)); err != nil {
		return nil, err
	}
	return &Run{
		ID: s.Run.ID, Key: key, Session: s.ID, Root: s.Root, Branch: s.Branch, Verb: s.Run.Verb,
		From: s.Run.From, StartedAt: s.Run.StartedAt, Outcome: saga.Running, Seq: seq,
	}, nil
}

// supersede ends the summary of a run that nobody will finish.
func supersede(tx *bolt.Tx, id string, at time.Time) error {
	run, err := readRun(tx, id)
	if err != nil || run == nil || !run.EndedAt.IsZero() {
		return err
	}
	run.EndedAt, run.Outcome = at, Superseded
	return put(tx, bucketRuns, []byte(id), run)
}

// readRun reads a summary, nil when there is none.
func readRun(tx *bolt.Tx, id string) (*Run, error) {
	var run Run
	ok, err := get(tx, bucketRuns, []byte(id), &run)
	if err != nil || !ok {
		return nil, err
	}
	return &run, nil
}

// Runs returns the summaries of runs of sessions, living and gone, oldest first.
// What of it cannot be read is left out, and the error says so.
func (s *Store) Runs(f Filter) ([]Run, error) {
	var runs []Run
	var bad []error
	_, err := s.view(func(tx *bolt.Tx) error {
		ids, err := runIDs(tx, f)
		if err != nil {
			return err
		}
		for _, id := range ids {
			run, err := readRun(tx, id)
			switch {
			case err != nil:
				bad = append(bad, err)
			case run != nil && (f.Repo == "" || f.Repo == run.Repo) && (f.Slug == "" || f.Slug == run.Slug):
				runs = append(runs, *run)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return runs, errors.Join(bad...)
}

// runIDs lists the runs that a filter may choose, in the order in which they began.
func runIDs(tx *bolt.Tx, f Filter) ([]string, error) {
	if f.Run != "" {
		return []string{f.Run}, nil
	}
	seqs, says, err := sequence(tx, bucketRunsBySession, f)
	if err != nil {
		return nil, err
	}
	seqs = newest(seqs, f.Limit)
	ids := make([]string, len(seqs))
	for i, seq := range seqs {
		ids[i] = says[seq]
	}
	return ids, nil
}
