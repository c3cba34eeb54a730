package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ecluse/cmd/display"
	"ecluse/saga/session"
	"ecluse/steps/git"
	"ecluse/steps/rebuild"
	"ecluse/steps/settings"
	"ecluse/store"
)

// rebuildCommand is what mends a state that cannot be read. It asks before it does.
const rebuildCommand = "ecluse doctor --rebuild"

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	rebuild, yes, dryRun bool
}

// check refuses flags that say nothing without --rebuild.
func (o doctorOptions) check() error {
	if !o.rebuild && (o.yes || o.dryRun) {
		return usagef("doctor changes nothing, so that --yes and --dry-run mean nothing; they go with --rebuild")
	}
	return nil
}

// rebuildResult is what doctor --rebuild prints with --json.
type rebuildResult struct {
	// DryRun: nothing was changed.
	DryRun bool `json:"dry_run"`
	// StateFile that was made anew, or would be.
	StateFile string `json:"state_file"`
	// Aside is what the damaged file is called now; empty if there was none.
	Aside string `json:"aside"`
	// Begun is the file that it began as: a copy, or what can be read of the damaged
	// one; empty if there is none.
	Begun string `json:"begun_as"`
	// BegunAt is when that was written; null without one.
	BegunAt *time.Time `json:"begun_at"`
	// Sessions that the new file has.
	Sessions []rebuiltView `json:"sessions"`
	// Doubts are what no session was made of, and why.
	Doubts []doubtView `json:"doubts"`
	// Blind is what could not be looked at.
	Blind []string `json:"blind"`

	// lost is how many of the doubts are of what may run and is in no state.
	lost int
}

// ended is how a rebuild ends that leaves something behind.
func (r rebuildResult) ended() error {
	if r.lost == 0 {
		return nil
	}
	return silentError{noError{errors.New("something of a session was found that no session was made of")}}
}

// rebuiltView is a session that was rebuilt.
type rebuiltView struct {
	Repo     string  `json:"repo"`
	Slug     string  `json:"slug"`
	Branch   string  `json:"branch"`
	Slot     int     `json:"slot"`
	State    string  `json:"state"`
	Worktree string  `json:"worktree_path"`
	Ports    portMap `json:"ports"`
	// From is where its record comes from: record, copy, evidence or original.
	From string `json:"from"`
	// Found is what speaks for it beside its record.
	Found []string `json:"found"`
}

// doubtView is what no session was made of.
type doubtView struct {
	Repo string `json:"repo"`
	Slug string `json:"slug"`
	What string `json:"what"`
	// Fix is a command that helps; empty if none does.
	Fix string `json:"fix"`
}

// rebuild makes a new state file out of what is left of the old one and of what carries
// the marks of sessions. What is looked at is looked at without a lock; the store then
// changes nothing if the file is another one by then, or if somebody works on a session.
func (a *app) rebuild(ctx context.Context, o doctorOptions) error {
	st, err := a.openStore()
	if err != nil {
		return err
	}
	remains, err := st.Remains()
	if errors.Is(err, store.ErrSound) {
		return a.takeOver(ctx, o, st)
	}
	if err != nil {
		return err
	}
	switch by, err := st.Working(); {
	case err != nil:
		return err
	case by != nil:
		return by
	}
	rows, result, err := a.survey(ctx, st, remains)
	if err != nil {
		return err
	}
	if !st.Exists() && !st.Begun() && len(rows) == 0 {
		return a.showRebuilt(result, "there is no state, and nothing that one could be made of")
	}
	if result.DryRun = o.dryRun; o.dryRun {
		return a.showRebuilt(result, "nothing was changed")
	}
	if agreed, err := a.agreeRebuild(o, result, "Make the state anew with these sessions?"); err != nil || !agreed {
		return err
	}
	sessions := make([]session.Session, len(rows))
	for i, row := range rows {
		sessions[i] = row.Session
	}
	if result.Aside, err = st.Rebuild(remains, sessions); err != nil {
		return err
	}
	text := st.Path() + " was made anew"
	if result.Aside != "" {
		text += "; what it was is kept as " + result.Aside
	}
	if a.asks() && !o.yes {
		return errors.Join(a.print("%s\n", text), result.ended()) // the rest was seen
	}
	return a.showRebuilt(result, text)
}

// survey looks what a new state would be. It changes nothing.
func (a *app) survey(ctx context.Context, st *store.Store, remains store.Remains) ([]rebuild.Rebuilt, rebuildResult, error) {
	traces := rebuild.Traces{Sessions: remains.Sessions, Known: st.Known, Home: st, Unclaimed: st.Unclaimed, Ours: func(getenv func(string) string) bool {
		dir, err := store.DefaultDir(getenv)
		return err != nil || git.Same(dir, st.Folder())
	}}
	if repo, err := a.repository(ctx); err == nil {
		traces.Here = &repo
	}
	gathered, err := traces.Gather(ctx)
	if err != nil {
		return nil, rebuildResult{}, err
	}
	r := rebuild.Rebuilding{Traces: traces, Copy: remains.Copy, Now: time.Now(), Config: func(root string) (settings.Config, error) {
		return a.config(git.Repo{Root: root})
	}}
	rows, doubts, err := r.Rows(ctx, gathered)
	if err != nil {
		return nil, rebuildResult{}, err
	}
	result := resultOf(st, rows, doubts, gathered.Blind)
	if result.Begun = remains.Path; remains.Path != "" {
		result.BegunAt = &remains.At
	}
	return rows, result, nil
}

// resultOf tells of sessions that are to be in the state, and of what is not.
func resultOf(st *store.Store, rows []rebuild.Rebuilt, doubts []rebuild.Doubt, blind []error) rebuildResult {
	result := rebuildResult{StateFile: st.Path(), Sessions: []rebuiltView{}, Doubts: []doubtView{}, Blind: []string{}}
	for _, row := range rows {
		result.Sessions = append(result.Sessions, rebuiltView{
			Repo: row.Repo, Slug: row.Slug, Branch: row.Branch, Slot: row.Slot, State: string(row.State), Worktree: row.Worktree,
			Ports: ports(row.Session), From: row.From, Found: append([]string{}, row.Found...),
		})
	}
	for _, d := range doubts {
		result.Doubts = append(result.Doubts, doubtView{d.Repo, d.Slug, d.What, d.Fix})
		if d.Lost {
			result.lost++
		}
	}
	for _, err := range blind {
		result.Blind = append(result.Blind, err.Error())
	}
	return result
}

// agreeRebuild asks whether that is to be the state.
func (a *app) agreeRebuild(o doctorOptions, result rebuildResult, question string) (bool, error) {
	if o.yes {
		return true, nil
	}
	if !a.asks() {
		return false, hinted{usagef("doctor asks before it changes the state, and there is no terminal to ask at; nothing was changed"), "ecluse doctor --rebuild --yes"}
	}
	if err := a.writeRebuilt(result); err != nil {
		return false, err
	}
	answer, _ := a.question(question + " [y/N] ") // no answer is no
	switch strings.ToLower(answer) {
	case "y", "yes":
		return true, nil
	}
	return false, a.print("nothing was changed\n")
}

// showRebuilt prints what came of it.
func (a *app) showRebuilt(result rebuildResult, text string) error {
	if a.json {
		return errors.Join(writeJSON(a.Stdout, result), result.ended())
	}
	if err := a.writeRebuilt(result); err != nil {
		return err
	}
	return errors.Join(a.print("%s\n", text), result.ended())
}

// writeRebuilt is the result for people.
func (a *app) writeRebuilt(result rebuildResult) error {
	if result.BegunAt != nil {
		what := "the last good copy"
		if result.Begun == result.StateFile {
			what = "what can be read of it"
		}
		if err := a.print("it begins as %s, %s, written %s ago: what happened since is known only by what was found\n",
			what, result.Begun, display.Age(time.Since(*result.BegunAt))); err != nil {
			return err
		}
	}
	table := a.table(display.Column{Head: "SLUG"}, display.Column{Head: "STATE"}, display.Column{Head: "SLOT", Right: true},
		display.Column{Head: "PORTS", Drop: 1}, display.Column{Head: "BRANCH"}, display.Column{Head: "FROM"}, display.Column{Head: "FOUND", Min: 20, Drop: 2})
	next := []string{}
	for _, s := range result.Sessions {
		table.Row(display.Normal, s.Slug, s.State, fmt.Sprint(s.Slot), portList(s.Ports), s.Branch, s.From, dash(strings.Join(s.Found, ", ")))
		if s.State == "failed" {
			next = append(next, s.Slug)
		}
	}
	if len(result.Sessions) > 0 {
		if err := table.Write(a.Stdout); err != nil {
			return err
		}
	}
	for _, text := range result.Blind {
		fmt.Fprintf(a.Stderr, "warning: not looked at: %s\n", text)
	}
	for _, d := range result.Doubts {
		fmt.Fprintf(a.Stderr, "warning: %s\n", d.What)
		if d.Fix != "" {
			fmt.Fprintf(a.Stderr, "hint: %s\n", d.Fix)
		}
	}
	if len(next) > 0 {
		return a.print("ecluse up makes whole, or ecluse down takes away: %s\n", strings.Join(next, ", "))
	}
	return nil
}
