package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
)

// downAtOnce is how many sessions are taken down side by side.
const downAtOnce = 8

func newShutdown(a *app) *cobra.Command {
	var o downOptions
	var all bool
	cmd := &cobra.Command{
		Use: "shutdown", GroupID: groupLife, Short: "take all sessions down",
		Long: `Take every session of the repository down, side by side, each as its own down
would: an up that is under way is asked to stop first. One that fails does not
keep the others. Exit status 0 means that all went; else it is the worst of
theirs, and ecluse ls shows what is left.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := o.check(); err != nil {
				return err
			}
			list, err := a.sessions(context.Background(), all)
			if err != nil {
				return err
			}
			if len(list) == 0 && !a.json {
				return a.print("no sessions; nothing to take down\n")
			}
			return a.downEach(o, list)
		},
	}
	o.declare(cmd, true)
	cmd.Flags().BoolVar(&all, "all", false, "the sessions of every repository on this machine")
	return cmd
}

// downed is what became of one of several sessions.
type downed struct {
	Repo string `json:"repo"`
	Slug string `json:"slug"`
	// From is the state in which the session was found, State the one it is in.
	From     string `json:"from"`
	State    string `json:"state"`
	Slot     int    `json:"slot"`
	Branch   string `json:"branch"`
	Worktree string `json:"worktree_path"`
	// Done: it is as it was asked to be.
	Done bool `json:"done"`
	// BranchDeleted: the session had made its branch, which had no commits.
	BranchDeleted bool `json:"branch_deleted"`
	// DataRemoved are the volumes and databases that a stopped session has lost.
	DataRemoved []string `json:"data_removed"`
	// Warnings of its run; among them where uncommitted work was saved.
	Warnings []string `json:"warnings"`
	Error    *shown   `json:"error"`

	err error
	// fate says what became of its branch.
	fate string
}

// downEach takes sessions down, side by side, and says what became of each.
func (a *app) downEach(o downOptions, list []session.Session) error {
	results, err := a.downSeveral(o, list)
	if err != nil {
		return err
	}
	return a.showDowned(results)
}

// downSeveral takes sessions down. What goes wrong with one is in its result.
func (a *app) downSeveral(o downOptions, list []session.Session) ([]*downed, error) {
	a.several = len(list) > 1
	stops := a.listen()
	results := make([]*downed, 0, len(list))
	var running sync.WaitGroup
	room := make(chan struct{}, downAtOnce)
	for _, s := range list {
		r := &downed{
			Repo: s.Repo, Slug: s.Slug, From: string(s.State), State: string(s.State), Slot: s.Slot,
			Branch: s.Branch, Worktree: s.Worktree, Warnings: []string{}, DataRemoved: []string{},
		}
		results = append(results, r)
		m, err := a.manager()
		if err != nil {
			return nil, err
		}
		m.Sink = r.listen(m.Sink)
		running.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			if r.err = context.Cause(stops.Soft); r.err != nil {
				return
			}
			was, _ := steps.Branch(context.Background(), s)
			held := dataOf(context.Background(), s, o.Options)
			after, err := m.Down(stops, session.DownRequest{Key: s.Key, Options: o.Options, Wait: o.wait})
			r.down(after, err)
			r.DataRemoved = held.gone(after)
			if r.err == nil {
				r.fate, r.BranchDeleted = branchFate(s, was)
			}
		})
	}
	running.Wait()
	a.closeProgress()
	for _, r := range results {
		if r.err != nil {
			r.err = a.stops.explain(r.err)
			r.Error = a.errorOf(r.err)
		}
	}
	return results, nil
}

// listen hands on what the engine tells, and keeps the warnings.
func (r *downed) listen(next saga.Sink) saga.Sink {
	var mu sync.Mutex // guards r.Warnings
	return saga.SinkFunc(func(n saga.Notice) {
		if n.Warning {
			mu.Lock()
			r.Warnings = append(r.Warnings, n.Message)
			mu.Unlock()
		}
		next.Notify(n)
	})
}

// down takes in how a down ended. A session that somebody else has ended meanwhile is
// as it should be.
func (r *downed) down(s session.Session, err error) {
	if errors.Is(err, session.ErrNotFound) {
		s.State, err = fsm.Absent, nil
	}
	r.err, r.Done = err, err == nil
	switch {
	case s.State != "":
		r.State = string(s.State)
	case r.Done:
		r.State = string(fsm.Absent) // its own up took it back
	}
}

// worstOf is the error of those with the highest exit status.
func worstOf(errs ...error) error {
	var worst error
	for _, err := range errs {
		if err != nil && (worst == nil || classify(err).status > classify(worst).status) {
			worst = err
		}
	}
	return worst
}

// showDowned prints what became of each, and answers with the worst of the errors.
func (a *app) showDowned(results []*downed) error {
	table := a.table(display.Column{Head: "SLUG"}, display.Column{Head: "WAS"}, display.Column{Head: "IS"}, display.Column{Head: "RESULT"})
	gone, stopped := 0, 0
	var errs []error
	for _, r := range results {
		note, style := "taken down"+r.fate, display.Normal
		switch {
		case r.err != nil:
			note, style = "✗ "+classify(r.err).code, display.Red
			errs = append(errs, r.err)
		case r.State == string(fsm.Stopped):
			note = "stopped, its worktree is kept"
			if len(r.DataRemoved) > 0 {
				note += "; " + dataGone(r.DataRemoved)
			}
			stopped++
		default:
			gone++
		}
		table.Row(style, r.Slug, r.From, r.State, note)
	}
	var err error
	if a.json {
		err = writeJSON(a.Stdout, results)
	} else if err = table.Write(a.Stdout); err == nil && len(results) > 1 {
		err = a.print("%s\n", tally(gone, stopped, len(errs)))
	}
	if err != nil {
		return err
	}
	for _, err := range errs {
		a.complain(err)
	}
	if worst := worstOf(errs...); worst != nil {
		return silentError{worst}
	}
	return nil
}

// tally sums up: "3 taken down, 1 failed".
func tally(gone, stopped, failed int) string {
	text := fmt.Sprintf("%d taken down", gone)
	if stopped > 0 {
		text += fmt.Sprintf(", %d stopped", stopped)
	}
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	return text
}

// check refuses a wait that cannot be.
func (o downOptions) check() error {
	if o.wait < time.Duration(0) {
		return usagef("--wait %s is negative", o.wait)
	}
	return nil
}
