package cli

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps/look"
)

// recoverOptions are the flags of recover.
type recoverOptions struct {
	all, resume, rollback, repair, dryRun bool
}

func newRecover(a *app) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use: "recover [SLUG...]", GroupID: groupLife, Short: "finish every interrupted or failed session",
		Long: `Finish what was cut off or got stuck: an up goes on at the step where it was, a
down or a rollback is completed. Without SLUG it is every session of the
repository; several are finished side by side, and those that somebody works on
are left alone. Exit status 0 means that nothing is left to do.`,
		Example: `  ecluse recover
  ecluse recover feat-x --rollback
  ecluse recover --all --repair      # after a reboot: all that ran, in every repository`,
		RunE: func(_ *cobra.Command, args []string) error { return a.recover(o, args) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "the sessions of every repository on this machine")
	f.BoolVar(&o.resume, "resume", false, "go forward: finish an up that failed or was cut off")
	f.BoolVar(&o.rollback, "rollback", false, "go back: compensate an up that failed or was cut off")
	f.BoolVar(&o.repair, "repair", false, "also make active sessions whole whose services have died")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done; change nothing")
	cmd.MarkFlagsMutuallyExclusive("resume", "rollback")
	return cmd
}

// recovered is what became of one session.
type recovered struct {
	Repo  string `json:"repo"`
	Slug  string `json:"slug"`
	From  string `json:"from"`
	State string `json:"state"`
	// Does says what was, or with --dry-run would be, done.
	Does  string `json:"does"`
	Done  bool   `json:"done"`
	Error *shown `json:"error"`

	err error
	// epoch at which it was found.
	epoch uint64
}

func (a *app) recover(o recoverOptions, args []string) error {
	m, err := a.looker()
	if err != nil {
		return err
	}
	chosen, err := a.choose(o, args)
	if errors.Is(err, session.ErrNotFound) && !o.dryRun {
		// Its lock may be all that is left of it.
		return errors.Join(err, a.store.Sweep())
	}
	if err != nil {
		return err
	}
	results, work := a.assess(m, o, chosen, len(args) > 0)
	if len(work) > 0 {
		if err := a.recoverAll(work, results); err != nil {
			return err
		}
	}
	if !o.dryRun {
		if err := a.store.Sweep(); err != nil {
			return err
		}
	}
	if err := a.showRecovered(o, results); err != nil {
		return err
	}
	return a.hintRepair(o, args, chosen)
}

// assess says what is, or with --dry-run would be, done with each session, and asks for
// it. Named are sessions that the user named.
func (a *app) assess(m *session.Manager, o recoverOptions, chosen []session.Session, named bool) (results []*recovered, work []session.RecoverRequest) {
	for _, s := range chosen {
		req := session.RecoverRequest{Key: s.Key, Mode: o.mode(), Repair: o.repair}
		r, needed := plan(m, req, s, named)
		if r == nil {
			continue
		}
		if needed && o.dryRun && r.From == string(fsm.Active) && a.isWhole(s) {
			r.Does, r.Done = nothing, true
		}
		results = append(results, r)
		if needed && !o.dryRun {
			work = append(work, req)
		}
	}
	return results, work
}

// hintRepair tells of active sessions whose services have died: recover leaves those
// alone unless it is asked to mend them.
func (a *app) hintRepair(o recoverOptions, args []string, chosen []session.Session) error {
	var dead []string
	for _, s := range chosen {
		if s.State == fsm.Active && len(look.Dead(s)) > 0 {
			dead = append(dead, s.Slug)
		}
	}
	if o.repair || len(dead) == 0 {
		return nil
	}
	hint := "ecluse recover --repair"
	if o.all {
		hint += " --all"
	}
	for _, arg := range args {
		hint += " " + arg
	}
	a.remark("services of "+strings.Join(dead, ", ")+" have died", hint)
	return nil
}

func (o recoverOptions) mode() session.Mode {
	switch {
	case o.resume:
		return session.Resume
	case o.rollback:
		return session.Rollback
	default:
		return session.Auto
	}
}

// choose lists the sessions that are meant.
func (a *app) choose(o recoverOptions, args []string) ([]session.Session, error) {
	ctx := context.Background()
	if len(args) > 0 {
		var list []session.Session
		for _, arg := range args {
			s, err := a.find(ctx, []string{arg})
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		}
		return list, nil
	}
	return a.sessions(ctx, o.all)
}

// sessions lists those of the repository, or of the machine.
func (a *app) sessions(ctx context.Context, all bool) ([]session.Session, error) {
	st, err := a.openStore()
	if err != nil {
		return nil, err
	}
	repo := ""
	if !all {
		if repo, err = a.commonDir(ctx, st); err != nil {
			return nil, err
		}
	}
	list, err := st.List()
	if err != nil {
		return nil, err
	}
	var mine []session.Session
	for _, s := range list {
		if all || s.Repo == repo {
			mine = append(mine, s)
		}
	}
	return mine, nil
}

// plan says what is to be done about a session; nil when it does not concern
// recover at all.
func plan(m *session.Manager, req session.RecoverRequest, s session.Session, named bool) (*recovered, bool) {
	status, err := m.Status(s)
	if errors.Is(err, session.ErrNotFound) {
		return nil, false // it went while we looked
	}
	r := &recovered{Repo: s.Repo, Slug: s.Slug, From: string(status.State), State: string(status.State), Does: nothing, err: err, epoch: status.Epoch}
	if err != nil {
		return r, false
	}
	switch {
	case status.Owner != nil && named:
		r.err = &session.BusyError{Key: s.Key, Owner: *status.Owner, Step: session.Describe(status.Session)}
		return r, false
	case status.Owner != nil:
		r.Does, r.Done = "nothing: "+status.Owner.String()+" is at work on it", true
		return r, false
	}
	way, err := req.Way(status.Session)
	switch {
	case !exists(s.Repo) && way != session.ClaimDown:
		r.err = hinted{noError{errors.New("the repository of session " + s.Slug + " is gone")}, in(s, "down", s.Slug)}
		return r, false
	case err != nil:
		r.err = err
		return r, false
	case way == "":
		r.Done = true
		if !named {
			return nil, false
		}
		return r, false
	}
	r.Does = ways[way]
	if way == session.ClaimResume && status.State == fsm.PendingDown {
		r.Does = "finish taking it down"
	}
	if status.State == fsm.Active {
		r.Does = "make it whole"
	}
	return r, true
}

// isWhole reports whether a look at an active session finds nothing that up would mend.
// What cannot be looked at is not known to be whole.
func (a *app) isWhole(s session.Session) bool {
	ctx := context.Background()
	l, err := a.lookAt(ctx, session.Status{Session: s})
	if err != nil {
		return false
	}
	a.completeLook(ctx, &l)
	return l.well()
}

// nothing is what is done to a session that is as it should be.
const nothing = "nothing"

// ways says what a claim comes to.
var ways = map[session.EventKind]string{
	session.ClaimUp: "bring it up", session.ClaimResume: "finish bringing it up",
	session.ClaimDown: "finish taking it down", session.ClaimRollback: "roll it back",
}

// done says what was done to a session that is in a state now.
func done(state fsm.State) string {
	switch state {
	case fsm.Active:
		return "brought up"
	case fsm.Stopped:
		return "stopped"
	default:
		return "taken down"
	}
}

// recoverAll finishes sessions side by side.
func (a *app) recoverAll(work []session.RecoverRequest, results []*recovered) error {
	a.several = len(work) > 1
	stops := a.listen()
	m, err := a.manager()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, req := range work {
		for _, r := range results {
			if r.Repo != req.Repo || r.Slug != req.Slug {
				continue
			}
			wg.Go(func() {
				s, err := m.Recover(stops, req)
				r.err, r.Done = err, err == nil
				switch {
				case r.Done && s.State == fsm.Active && s.Epoch == r.epoch:
					r.Does = nothing
				case r.Done:
					r.Does = done(s.State)
				}
				if s.State != "" {
					r.State = string(s.State)
				}
			})
		}
	}
	wg.Wait()
	return nil
}

// showRecovered prints what became of each, and answers with the worst of the
// errors.
func (a *app) showRecovered(o recoverOptions, results []*recovered) error {
	a.closeProgress()
	var worst error
	table := a.table(display.Column{Head: "SLUG"}, display.Column{Head: "WAS"}, display.Column{Head: "IS"}, display.Column{Head: "RESULT"})
	for _, r := range results {
		note := r.Does
		if note == nothing {
			note = "nothing to do"
		}
		if r.err != nil {
			if a.stops != nil {
				r.err = a.stops.explain(r.err)
			}
			r.Error, note = a.errorOf(r.err), "✗ "+classify(r.err).code
			if worst == nil || classify(r.err).status > classify(worst).status {
				worst = r.err
			}
		}
		table.Row(display.Normal, r.Slug, r.From, r.State, note)
	}
	if err := a.writeRecovered(results, table); err != nil {
		return err
	}
	for _, r := range results {
		if r.err != nil {
			a.complain(r.err)
		} else if worst == nil && o.dryRun && !r.Done {
			worst = noError{errors.New("something is left to recover")}
		}
	}
	if worst != nil {
		return silentError{worst}
	}
	return nil
}

// writeRecovered writes the result.
func (a *app) writeRecovered(results []*recovered, table *display.Table) error {
	switch {
	case a.json && results == nil:
		return writeJSON(a.Stdout, []*recovered{})
	case a.json:
		return writeJSON(a.Stdout, results)
	case len(results) == 0:
		return a.print("nothing to recover\n")
	default:
		return table.Write(a.Stdout)
	}
}
