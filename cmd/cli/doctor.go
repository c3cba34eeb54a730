package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
)

func newDoctor(a *app) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use: "doctor", GroupID: groupRepo, Short: "check the machine, the state and all sessions; make a damaged state anew",
		Long: `Look at what ecluse needs (git, Docker, tmux), at its state, and at the sessions of
every repository on this machine: whether any was cut off, has lost its worktree or
its repository, has services that are down, also in containers, or finds a stranger at
one of its ports, and what is left of those that are gone. Nothing is changed, and it works, too, when the state cannot be read.

Exit status 0: all is well. 1: something is not; each comes with the command that
helps, where a command does.

--rebuild makes the state file anew when it is damaged or gone. To one that is sound it
does nothing but what is below. It begins as the last good copy, if there is one, and
is completed by what is found: environment files in worktrees, and containers and
processes with the marks of sessions. What was found and is in no copy is failed at first: ecluse up
looks at all of it and makes it whole, at its slot and its ports, and ecluse down
takes it away. What contradicts itself, or was not found, is told, and nothing is
guessed: exit status 1, as long as something may be lost. The damaged file is kept. It
asks before; without a terminal it takes --yes.

A repository has no sessions of ecluse yet, and some of the original tool: then
--rebuild takes them over, also into a sound state with those of other repositories,
of which nothing changes. Their worktrees stay when they are taken down, and the
original's files are never written to.`,
		Example: `  ecluse doctor
  ecluse doctor --rebuild --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if o.rebuild {
				return a.rebuild(cmd.Context(), o)
			}
			return a.doctor(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.rebuild, "rebuild", false, "make a state file that is damaged or gone anew")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what --rebuild would make; change nothing")
	return cmd
}

// The verdicts of a check.
const (
	verdictOK   = "ok"
	verdictWarn = "warn"
	verdictFail = "fail"
)

// finding is what a check of doctor came to.
type finding struct {
	// Check is its name: git, docker, tmux, config, state, database, original, locks,
	// sessions, worktrees, repositories, services, ports, residue or networks.
	Check string `json:"check"`
	// Verdict is ok, warn (it will bite) or fail (it does).
	Verdict string `json:"verdict"`
	Detail  string `json:"detail"`
	// Fix is a command that helps; empty if none does.
	Fix string `json:"fix"`
	// Repo and Slug of the session that it is about; empty if it is about none.
	Repo string `json:"repo"`
	Slug string `json:"slug"`
}

// doctor collects findings.
type doctor struct {
	*app
	found []*finding
}

// say adds a finding.
func (d *doctor) say(check, verdict, fix, format string, args ...any) *finding {
	f := &finding{Check: check, Verdict: verdict, Fix: fix, Detail: fmt.Sprintf(format, args...)}
	d.found = append(d.found, f)
	return f
}

// well says that nothing is wrong, unless something was said since a number of findings.
func (d *doctor) well(since int, check, format string, args ...any) {
	if len(d.found) == since {
		d.say(check, verdictOK, "", format, args...)
	}
}

func (a *app) doctor(ctx context.Context) error {
	if _, err := a.openStore(); err != nil {
		return err
	}
	d := &doctor{app: a}
	cfg := d.tools(ctx)
	d.disk()
	if all, ok := d.database(); ok {
		d.original(ctx, all)
		d.sessions(all)
		observed := d.observe(ctx, all)
		d.services(ctx, observed)
		d.ports(observed)
		d.residue(ctx)
	}
	d.networks(ctx, cfg)
	return a.showFindings(d.found)
}

// showFindings prints them, and answers whether all is well.
func (a *app) showFindings(found []*finding) error {
	bad := 0
	table := a.table(display.Column{Head: "CHECK"}, display.Column{Head: "VERDICT"}, display.Column{Head: "WHAT", Min: 30}, display.Column{Head: "FIX"})
	for _, f := range found {
		style := display.Normal
		switch f.Verdict {
		case verdictWarn:
			style = display.Yellow
		case verdictFail:
			style = display.Red
		}
		if f.Verdict != verdictOK {
			bad++
		}
		table.Row(style, f.Check, f.Verdict, f.Detail, dash(f.Fix))
	}
	var err error
	if a.json {
		err = writeJSON(a.Stdout, found)
	} else {
		err = a.writeFindings(table, found)
	}
	if err == nil && bad > 0 {
		err = silentError{noError{errors.New("not all is well")}}
	}
	return err
}

// writeFindings shows them to people. What does not fit into a row says below the table
// what is wrong and what helps, in full.
func (a *app) writeFindings(table *display.Table, found []*finding) error {
	if err := table.Write(a.Stdout); err != nil || !table.Cuts() {
		return err
	}
	for _, f := range found {
		if f.Verdict == verdictOK {
			continue
		}
		text := fmt.Sprintf("\n%s: %s\n", f.Check, f.Detail)
		if f.Fix != "" {
			text += fmt.Sprintf("fix: %s\n", f.Fix)
		}
		if err := a.print("%s", text); err != nil {
			return err
		}
	}
	return nil
}
