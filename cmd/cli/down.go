package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
)

// downOptions are the flags of down.
type downOptions struct {
	session.Options
	wait time.Duration
}

func newDown(a *app) *cobra.Command {
	var o downOptions
	cmd := &cobra.Command{
		Use: "down [SLUG...]", GroupID: groupLife, Short: "take sessions down, and leave nothing behind",
		Long: `Compensate everything that was done for a session: processes, containers,
networks, volumes, files, the worktree, and its branch if the session made it and it has
no commits. An up that is under way is asked to stop first, and is waited for.

Uncommitted work is never lost: it is saved under refs/ecluse/trash first, and
the command that brings it back is printed. A worktree that you made yourself
stays, unless --delete-worktree is given.

Without SLUG it is the session whose worktree you are in. Several are taken down
side by side, and each has a result of its own; if one of them is not there, none is
taken down. All of them: ecluse shutdown.

What can never be compensated, because the service is gone that it was made in, keeps
its session failed. --abandon goes on without steps that a down has failed at, and says
what each leaves; all others are compensated as ever.`,
		Example: `  ecluse down feat-x
  ecluse down feat-x --abandon step:bucket`,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if len(args) > 1 && len(o.Abandon) > 0 {
				return usagef("--abandon is for one session at a time")
			}
			if len(args) < 2 {
				return a.down(o, args)
			}
			list, err := a.named(args)
			if err != nil {
				return err
			}
			return a.downEach(o, list)
		},
	}
	o.declare(cmd, false)
	cmd.Flags().StringSliceVar(&o.Abandon, "abandon", nil, "go on without `STEP`s that a down has failed at, and say what they leave")
	return cmd
}

// declare adds the flags that down and shutdown have in common, as they are called and
// told of for one session, or for all.
func (o *downOptions) declare(cmd *cobra.Command, all bool) {
	of := func(one, many string) string {
		if all {
			return many
		}
		return one
	}
	keep, remove := of("keep-worktree", "keep-worktrees"), of("delete-worktree", "delete-worktrees")
	f := cmd.Flags()
	f.BoolVar(&o.KeepWorktree, keep, false, of(
		"stop everything, but keep the worktree, the slot and the ports; the data of containers goes, unless --keep-volumes is given, too",
		"stop everything, but keep the worktrees, the slots and the ports; data goes, unless --keep-volumes is given, too"))
	f.BoolVar(&o.DeleteWorktree, remove, false, of(
		"remove the worktree even if it was there before the session",
		"remove also worktrees that were there before their sessions"))
	f.BoolVar(&o.KeepVolumes, "keep-volumes", false, of(
		"keep the data of the session's containers",
		"keep the data of the sessions' containers"))
	f.BoolVar(&o.KeepBranch, of("keep-branch", "keep-branches"), false, of(
		"keep the branch, even if the session made it and it has no commits",
		"keep also branches that the sessions made and that have no commits"))
	f.BoolVar(&o.NoHooks, "no-hooks", false, "do not run pre_down and post_down")
	f.DurationVar(&o.wait, "wait", 0, "wait up to `DURATION` for another down of "+of("the", "a")+" session")
	cmd.MarkFlagsMutuallyExclusive(keep, remove)
}

// downResult is what down prints with --json.
type downResult struct {
	Slug     string   `json:"slug"`
	State    string   `json:"state"`
	Slot     int      `json:"slot"`
	Branch   string   `json:"branch"`
	Worktree string   `json:"worktree_path"`
	Warnings []string `json:"warnings"`
	// BranchDeleted: the session had made its branch, which had no commits.
	BranchDeleted bool `json:"branch_deleted"`
	// DataRemoved are the volumes and databases that a stopped session has lost.
	DataRemoved []string `json:"data_removed"`
	// Abandoned are the steps that were given up, and what they leave.
	Abandoned []abandoned `json:"abandoned"`
}

// named finds sessions by their names, each once. Whoever has mistyped one is told before
// anything is taken down.
func (a *app) named(args []string) ([]session.Session, error) {
	var list []session.Session
	for _, arg := range args {
		s, err := a.find(context.Background(), []string{arg})
		if errors.Is(err, session.ErrNotFound) {
			err = fmt.Errorf("nothing was taken down: %w", err)
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(list, func(other session.Session) bool { return other.Key == s.Key }) {
			list = append(list, s)
		}
	}
	return list, nil
}

func (a *app) down(o downOptions, args []string) error {
	seen, err := a.find(context.Background(), args)
	if len(args) == 0 && as[usageError](err) {
		return hinted{err, "ecluse ls"} // and not up, whoever goes down
	}
	if err != nil && (!errors.Is(err, session.ErrNotFound) || seen.Slug == "") {
		return err
	}
	missing := err
	// A session that has no row may still be on its way: its up is busy.
	stops := a.listen()
	m, err := a.manager()
	if err != nil {
		return err
	}
	o.Abandon = stepsNamed(seen, o.Abandon)
	was, _ := steps.Branch(context.Background(), seen)
	given, held := abandoning(seen, o.Abandon), dataOf(context.Background(), seen, o.Options)
	s, err := m.Down(stops, session.DownRequest{Key: seen.Key, Options: o.Options, Wait: o.wait})
	switch {
	case missing != nil && errors.Is(err, session.ErrNotFound):
		return missing
	case as[*session.BusyError](err):
		return fmt.Errorf("%w; --wait 10m would wait for it", err)
	}
	if as[*session.AbandonError](err) {
		return hinted{err, "ecluse down " + seen.Slug}
	}
	if err == nil || as[*session.RunError](err) {
		a.tellAbandoned(given)
	}
	if err != nil {
		return err
	}
	if s.Branch == "" { // its own up took it back
		s = seen
		s.State = fsm.Absent
	}
	return a.showDown(seen, s, was, held.gone(s), given)
}

// showDown prints what became of a session that was as it was seen; its branch was there
// then, or was not.
func (a *app) showDown(seen, s session.Session, was bool, lost []string, given []abandoned) error {
	branch, deleted := branchFate(seen, was) // what is down knows nothing any more
	if a.json {
		if text := dataGone(lost); text != "" {
			a.warn("%s is stopped; %s", s.Slug, text)
		}
		return writeJSON(a.Stdout, downResult{
			Slug: s.Slug, State: string(s.State), Slot: s.Slot, Branch: s.Branch, BranchDeleted: deleted,
			Worktree: s.Worktree, Warnings: a.heard.all(), Abandoned: given, DataRemoved: lost,
		})
	}
	if s.State == fsm.Stopped {
		text := fmt.Sprintf("%s is stopped; its worktree %s, slot %d and ports are kept", s.Slug, s.Worktree, s.Slot)
		if len(lost) > 0 {
			text += "; " + dataGone(lost)
		}
		return a.print("%s\n", text)
	}
	if !exists(a.dir) && exists(s.Root) {
		return a.print("%s is down%s; the directory that you are in is gone: cd %s\n", s.Slug, branch, git.Quote(s.Root))
	}
	return a.print("%s is down%s\n", s.Slug, branch)
}

// branchFate says what has become of the branch of a session, as that was before it was
// taken down, and was there then or not; empty if nobody can tell, or somebody else had
// deleted it.
func branchFate(s session.Session, was bool) (text string, deleted bool) {
	kept, deleted := steps.Branch(context.Background(), s)
	switch {
	case kept:
		text = fmt.Sprintf("; branch %s is kept", s.Branch)
	case deleted && !was:
		deleted = false
	case deleted:
		text = fmt.Sprintf("; deleted branch %s: it had no commits of its own", s.Branch)
	}
	return text, deleted
}
