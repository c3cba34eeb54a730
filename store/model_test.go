package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/store/storetest"
)

// kinds of errors: two stores must agree on them.
var kinds = []error{
	session.ErrNotFound, session.ErrExhausted, session.ErrTaken, session.ErrNotThere,
	session.ErrSuperseded, session.ErrStale, saga.ErrGrammar,
}

func kind(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k
		}
	}
	return err
}

// TestModel applies random events, right ones and wrong ones, to a store on disk
// and to one in memory: they answer the same and hold the same.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "ecluse-store-") //nolint:usetesting // the T of rapid has none
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		disk, memory := New(dir), new(storetest.Memory)
		var fences []session.Fence
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				n++
				k := session.Key{Repo: rapid.SampledFrom([]string{"/a", "/ab"}).Draw(t, "repo"), Slug: rapid.SampledFrom([]string{"x1", "y1"}).Draw(t, "slug")}
				e := anEvent(t, k, n, disk, fences)
				got, err := disk.Apply(k, e)
				wanted, wantedErr := memory.Apply(k, e)
				if !errors.Is(kind(err), kind(wantedErr)) && (!errors.Is(wantedErr, kind(wantedErr)) || (err == nil) != (wantedErr == nil)) {
					t.Fatalf("%s: disk says %v, memory says %v", e.Kind, err, wantedErr)
				}
				if diff := cmp.Diff(wanted, got, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s (-memory +disk):\n%s", e.Kind, diff)
				}
				if err == nil {
					fences = append(fences, session.Fence{Epoch: got.Session.Epoch, Run: got.Session.Run.ID})
				}
			},
			"": func(t *rapid.T) {
				got, err := disk.List()
				wanted, _ := memory.List()
				if diff := cmp.Diff(wanted, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
					t.Fatalf("%v (-memory +disk):\n%s", err, diff)
				}
			},
		})
		got, err := disk.History(Filter{})
		if diff := cmp.Diff(memory.History(), got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("history: %v (-memory +disk):\n%s", err, diff)
		}
		auditor := &problems{}
		audit(auditor, dir)
		if len(auditor.found) > 0 {
			t.Fatal(auditor.found)
		}
	})
}

// problems gathers what audit finds.
type problems struct {
	testing.TB
	found []string
}

func (p *problems) Helper()                   {}
func (p *problems) Error(args ...any)         { p.found = append(p.found, fmt.Sprint(args...)) }
func (p *problems) Errorf(f string, a ...any) { p.found = append(p.found, fmt.Sprintf(f, a...)) }

// anEvent draws an event; most fit the session as it is.
func anEvent(t *rapid.T, k session.Key, n int, s *Store, fences []session.Fence) session.Event {
	seen, _ := s.Get(k)
	e := session.Event{
		Kind: rapid.SampledFrom([]session.EventKind{
			session.ClaimUp, session.ClaimUp, session.ClaimDown, session.ClaimResume, session.ClaimRollback,
			session.Journal, session.Journal, session.Journal, session.Journal, session.Lease, session.AskStop,
		}).Draw(t, "event"),
		At: storetest.Start.AddDate(0, 0, n), Seen: seen.Epoch, RunID: fmt.Sprint("run", n),
		Owner:   session.Owner{PID: n, Verb: session.VerbUp, Since: storetest.Start},
		Options: session.Options{KeepWorktree: rapid.Bool().Draw(t, "keep worktree"), KeepOnFailure: rapid.Bool().Draw(t, "keep on failure")},
		Fence:   session.Fence{Epoch: seen.Epoch, Run: seen.Run.ID},
	}
	port := rapid.IntRange(8000, 8005)
	for i := range rapid.IntRange(0, 2).Draw(t, "wants") {
		e.Wants = append(e.Wants, session.Want{Name: fmt.Sprint("port", i+n%2), Candidates: rapid.SliceOfN(port, 1, 3).Draw(t, "candidates")})
	}
	if e.Kind == session.ClaimUp && seen.Epoch == 0 {
		e.New = &session.Session{Key: k, ID: fmt.Sprint("id", n), Slot: rapid.IntRange(1, 2).Draw(t, "slot"), Plan: storetest.Plan()}
	}
	if e.Kind == session.Journal {
		e.Saga = []saga.Event{aReport(t, seen)}
	}
	if rapid.IntRange(0, 5).Draw(t, "wrong") == 0 {
		e.Seen++
		if len(fences) > 0 {
			e.Fence = rapid.SampledFrom(fences).Draw(t, "fence")
		}
	}
	return e
}

// aReport draws what the owner of a run might report.
func aReport(t *rapid.T, s session.Session) saga.Event {
	e := saga.Event{Step: rapid.SampledFrom([]string{"worktree", "compose"}).Draw(t, "step"), Err: "no", Key: "k", Data: json.RawMessage(`{"a":[1]}`)}
	fits := []saga.EventKind{saga.Verified, saga.Turn, saga.Halt}
	for i, step := range s.Progress.Steps {
		if !step.Phase.Running() {
			continue
		}
		e.Step = s.Plan.Steps[i].Name
		if step.Phase == saga.Started {
			fits = append(fits, saga.StepSaved, saga.StepDone, saga.StepDone, saga.StepDone, saga.StepFailed)
		} else {
			fits = append(fits, saga.StepCompensated, saga.StepCompensated, saga.StepCompensationFailed)
		}
	}
	e.Kind = rapid.SampledFrom(fits).Draw(t, "report")
	e.Permanent = rapid.Bool().Draw(t, "permanent")
	return e
}
