package rebuild

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/settings"
)

// row is a session with a slot and a port.
func row(repo, slug string, slot, port int) session.Session {
	return session.Session{
		Key: session.Key{Repo: repo, Slug: slug}, Root: repo, Branch: slug, Slot: slot, Ports: map[string]int{"web": port}, State: fsm.Active,
		Plan: saga.Plan{Steps: []saga.Spec{{Name: "worktree", Kind: "worktree"}}}, Progress: saga.Progress{Steps: []saga.StepState{{Phase: saga.Done}}},
	}
}

// rebuilt are the rows of a copy, of which only some have a private folder.
func rebuilt(t *testing.T, private func(string) bool, rows ...session.Session) ([]Rebuilt, []Doubt) {
	t.Helper()
	r := Rebuilding{Copy: true, Now: time.Now(), Traces: Traces{
		Sessions: rows, Known: func(key session.Key) (bool, []string) { return private(key.Slug), nil },
	}}
	// The original tool had them once; that is older than the copy.
	var former Gathered
	for _, s := range rows {
		former.Evidence = append(former.Evidence, Evidence{Key: s.Key, Former: true, Slot: 9})
	}
	got, doubts, err := r.Rows(t.Context(), former)
	if err != nil {
		t.Fatal(err)
	}
	return got, doubts
}

// Of a copy only what left something behind is a session, and nobody knows how it is. A
// slot and a port are one session's.
func TestRowsOfACopy(t *testing.T) {
	always := func(string) bool { return true }
	got, doubts := rebuilt(t, func(slug string) bool { return slug != "gone" }, row("/b", "xx", 1, 81), row("/a", "gone", 1, 82), row("/a", "xx", 1, 83))
	if len(got) != 2 || got[0].Repo != "/a" || got[1].Repo != "/b" || got[0].State != fsm.Failed || got[0].Failure.Code != CodeRebuilt || got[0].Ports["web"] != 83 {
		t.Errorf("rows %+v", got)
	}
	if len(doubts) != 1 || doubts[0].Slug != "gone" {
		t.Errorf("doubts %+v", doubts)
	}
	for name, rows := range map[string][]session.Session{
		"slot": {row("/a", "xx", 1, 81), row("/a", "yy", 1, 82)},
		"port": {row("/a", "xx", 1, 81), row("/b", "yy", 1, 81)},
	} {
		if got, doubts := rebuilt(t, always, rows...); len(got) != 1 || got[0].Slug != "xx" || len(doubts) != 1 || doubts[0].Slug != "yy" || doubts[0].Fix == "" {
			t.Errorf("one %s twice: %+v, %+v", name, got, doubts)
		}
	}
}

// A record that may be out of date keeps what was done, so that it can be kept, and
// counts the rest as cut off.
func TestDoubtful(t *testing.T) {
	s := row("/a", "xx", 1, 81)
	s.State, s.Progress.Direction = fsm.PendingDown, saga.Backward
	s.Plan.Steps = append(s.Plan.Steps, saga.Spec{Name: "env", Kind: "env"})
	s.Progress.Steps = append(s.Progress.Steps, saga.StepState{Phase: saga.Compensating})
	before := slices.Clone(s.Progress.Steps)
	old := s
	Doubtful(&s, "why")
	if s.State != fsm.Failed || s.Progress.Direction != saga.Forward || s.Progress.Steps[0].Phase != saga.Done ||
		s.Progress.Steps[1].Phase != saga.Failed || !s.Progress.Steps[1].Resumed {
		t.Errorf("%+v", s)
	}
	if old.Progress.Steps[1].Phase != before[1].Phase {
		t.Error("what it was made of was changed")
	}
}

// home is a home of steps that has nothing in it.
type home struct {
	steps.Home
	dir string
}

func (h home) Dir(session.Key) string    { return filepath.Join(h.dir, "private") }
func (h home) LogDir(session.Key) string { return filepath.Join(h.dir, "logs") }

// A record that is made of evidence has facts that the steps read.
func TestSessionOfEvidence(t *testing.T) {
	t.Setenv("PATH", "") // no git: only what is known without it
	cfg := settings.Defaults()
	cfg.Mode = settings.ModeHybrid
	e := Evidence{
		Key: session.Key{Repo: "/r/.git", Slug: "feat-x"}, Root: "/r", Branch: "feat/x", Slot: 3, ID: "ID", Run: "RUN",
		vars: map[string]string{"ECLUSE_APP_PORT": "3003"},
		containers: []housedIn{{labels: map[string]string{
			"ecluse.step": "compose", "ecluse.run": "FIRST", "com.docker.compose.project": "p", "com.docker.compose.service": "db",
			composeFile: "/elsewhere/compose.yaml",
		}}},
	}
	s, _, err := e.Session(context.Background(), cfg, home{dir: t.TempDir()}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s.ID != "ID" || s.Slot != 3 || s.Ports["app"] != 3003 || s.State != fsm.Failed || !s.Settled || s.Worktree != "/r/.ecluse/worktrees/feat-x" {
		t.Errorf("session %+v", s)
	}
	worktree, known := steps.WorktreeOf(s)
	if !known || worktree.Made || worktree.BranchMade || !worktree.Finished {
		t.Errorf("worktree %+v, %t", worktree, known)
	}
	i := slices.IndexFunc(s.Plan.Steps, func(spec saga.Spec) bool { return spec.Kind == "compose" })
	compose, known := steps.ComposeOf(s, i)
	if !known || compose.Project != "p" || compose.Run != "FIRST" || filepath.Base(filepath.Dir(compose.File)) != "private" || s.Progress.Steps[i].Phase != saga.Done {
		t.Errorf("compose %+v, %t, %s", compose, known, s.Progress.Steps[i].Phase)
	}
	var volumes struct{ Projects []string }
	i = s.Plan.Index("volumes")
	if err := json.Unmarshal(s.Progress.Steps[i].Facts["volumes"], &volumes); err != nil || !slices.Contains(volumes.Projects, "p") || len(volumes.Projects) != 2 {
		t.Errorf("volumes %+v, %v", volumes, err)
	}
	e.Mode = settings.ModeHost
	if _, _, err := e.Session(context.Background(), cfg, home{}, time.Now()); err == nil {
		t.Error("a configuration of another mode will do")
	}
}

// The original tool's file may have keys that we do not know, and none that we do.
func TestFormerSessions(t *testing.T) {
	root := t.TempDir()
	if list, err := FormerSessions(root); err != nil || len(list) != 0 {
		t.Errorf("without a file: %+v, %v", list, err)
	}
	if err := os.MkdirAll(filepath.Dir(FormerPath(root)), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		`{}`: 0, `{"version": 9, "sessions": [{"slug": "a-b", "new": [1]}]}`: 1, `{"sessions": null}`: 0, `[`: -1, `{"sessions": 3}`: -1,
	} {
		if err := os.WriteFile(FormerPath(root), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := FormerSessions(root); (err != nil) != (want < 0) || err == nil && len(list) != want {
			t.Errorf("%s: %+v, %v", text, list, err)
		}
	}
}
