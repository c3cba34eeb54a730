package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ecluse/saga/session"
)

func newFlush(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "flush", GroupID: groupRepo, Short: "take all sessions down and remove everything of them",
		Long: `Take every session of the repository down, with its worktree and its data, and then
remove what carries the marks of sessions of the repository that are gone: logs, kept
volumes and databases, and templates, of whatever age. Uncommitted work is saved under
refs/ecluse/trash first.

Nothing else is touched: no other repository, no process, tmux session, container or
volume that cannot be proven to be of a session of this one. It asks before it
begins; without a terminal, and with --json, it takes --yes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.flush(cmd.Context(), yes) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// flushResult is what flush prints with --json.
type flushResult struct {
	// Sessions that were taken down, and what became of each.
	Sessions []*downed `json:"sessions"`
	// Residue that was found after that.
	Residue []*leftover `json:"residue"`
}

func (a *app) flush(ctx context.Context, yes bool) error {
	list, err := a.sessions(ctx, false)
	if err != nil {
		return err
	}
	o := defaultGC()
	o.olderThan, o.yes = 0, true
	if !yes {
		found, err := a.leftovers(ctx, o)
		if err != nil {
			return err
		}
		if agreed, err := a.agree(list, found); err != nil || !agreed {
			return err
		}
	}
	result := flushResult{Sessions: []*downed{}, Residue: []*leftover{}}
	if len(list) > 0 {
		result.Sessions, err = a.downSeveral(downOptions{Options: session.Options{DeleteWorktree: true}}, list)
		if err != nil {
			return err
		}
		if _, err := os.Stat(a.dir); err != nil {
			a.dir = list[0].Root // it was the worktree of one of them
		}
	}
	found, err := a.leftovers(ctx, o)
	if err != nil {
		return err
	}
	if err := a.removeAll(found); err != nil {
		return err
	}
	result.Residue = append(result.Residue, found...)
	if a.json {
		err = writeJSON(a.Stdout, result)
	} else {
		err = a.writeFlushed(result)
	}
	if err != nil {
		return err
	}
	return a.answer(result)
}

// agree asks whether all this is to go. Without a terminal nobody can be asked.
func (a *app) agree(list []session.Session, found []*leftover) (bool, error) {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "  session %s (%s, branch %s), with its worktree and its data\n", s.Slug, s.State, s.Branch)
	}
	for _, l := range found {
		if l.Keep == "" {
			fmt.Fprintf(&b, "  %s %s: %s\n", l.Kind, l.Name, l.Why)
		}
	}
	if b.Len() == 0 {
		return true, nil // there is nothing to ask about
	}
	fmt.Fprintf(a.Stderr, "flush removes:\n%s", b.String())
	if !a.asks() {
		return false, hinted{usagef("flush asks before it removes all this, and there is no terminal to ask at; nothing was removed"), "ecluse flush --yes"}
	}
	answer, _ := a.question("Remove all of it? [y/N] ") // no answer is no
	switch strings.ToLower(answer) {
	case "y", "yes":
		return true, nil
	}
	return false, a.print("nothing was removed\n")
}

func (a *app) writeFlushed(r flushResult) error {
	if len(r.Sessions)+len(r.Residue) == 0 {
		return a.print("nothing to flush\n")
	}
	for _, s := range r.Sessions {
		if s.err == nil {
			if err := a.print("%s is down%s\n", s.Slug, s.fate); err != nil {
				return err
			}
		}
	}
	for _, l := range r.Residue {
		text := "removed"
		switch {
		case l.Keep != "":
			text = "stays: " + l.Keep
		case l.err != nil:
			continue
		}
		if err := a.print("%s %s: %s\n", l.Kind, l.Name, text); err != nil {
			return err
		}
	}
	return nil
}

// answer complains of all that went wrong, and answers with the worst of it.
func (a *app) answer(r flushResult) error {
	var errs []error
	for _, s := range r.Sessions {
		errs = append(errs, s.err)
	}
	for _, l := range r.Residue {
		errs = append(errs, l.err)
	}
	for _, err := range errs {
		if err != nil {
			a.complain(err)
		}
	}
	if worst := worstOf(errs...); worst != nil {
		return silentError{worst}
	}
	return nil
}
