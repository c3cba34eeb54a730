package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ecluse/fsm"
	"ecluse/saga/session"
)

// logsOptions are the flags of logs.
type logsOptions struct {
	follow bool
	tail   int
	// all: no tail was asked for.
	all bool
}

func newLogs(a *app) *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use: "logs [SLUG] [STEP|SERVICE]", GroupID: groupLook, Short: "show what the steps and services of a session wrote",
		Long: `Show what the programs of a session's steps wrote when each was last at work, and what
its services write, also in containers. Of a session that failed or was rolled back
it is the log of the step that failed; a name chooses another. Logs outlive their
session.

With --follow it goes on until the session is gone or you interrupt it; a service
that is started anew is followed on.`,
		Example: `  ecluse logs feat-x            # of the step that failed, else all
  ecluse logs feat-x web -f
  ecluse logs feat-x hook:post_up --tail 20`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.all = !cmd.Flags().Changed("tail")
			if o.tail < 0 {
				return usagef("--tail %d is negative", o.tail)
			}
			return a.logs(cmd.Context(), o, args)
		},
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on with what is written later")
	cmd.Flags().IntVarP(&o.tail, "tail", "n", 0, "only the last `N` lines of each log; all without it, with --json the last 1000")
	return cmd
}

func (a *app) logs(ctx context.Context, o logsOptions, args []string) error {
	subject, name, err := a.logSubject(ctx, args)
	if err != nil {
		return err
	}
	list, err := a.logList(ctx, subject)
	if err != nil {
		return err
	}
	chosen := list
	switch {
	case name != "":
		if chosen = named(list, name); len(chosen) == 0 && !subject.plans(name) {
			return usagef("there is no log %s of session %s; there are: %s", name, subject.Slug, namesOf(list))
		}
	case !o.follow:
		if failed := failedLog(subject, list); failed != nil {
			chosen = failed
		}
	}
	if o.follow && subject.living {
		return a.followUntilSignal(ctx, o, subject, name, chosen)
	}
	if a.json {
		return a.writeLogsJSON(ctx, o, chosen)
	}
	return a.writeLogs(ctx, o, chosen)
}

// logSubject is the session whose logs are meant, which may be gone, and the name of
// the log, if one is named. A single argument is a session if there is, or was, one of
// that name.
func (a *app) logSubject(ctx context.Context, args []string) (logSubject, string, error) {
	name := ""
	if len(args) == 2 {
		args, name = args[:1], args[1]
	}
	s, err := a.find(ctx, args)
	if err == nil {
		return logSubject{Session: s, living: true}, name, nil
	}
	if !errors.Is(err, session.ErrNotFound) || len(args) == 0 {
		return logSubject{}, "", err
	}
	if s.Slug != "" {
		gone, known, err := a.gone(s.Key)
		if err != nil || known {
			return gone, name, err
		}
	}
	if here, hereErr := a.find(ctx, nil); hereErr == nil && name == "" {
		return logSubject{Session: here, living: true}, args[0], nil
	}
	return logSubject{}, "", err
}

// failedLog is the log of the step that the session, or its last run, failed at; nil if
// there is none, or nothing in it.
func failedLog(subject logSubject, list []logFile) []logFile {
	failure := subject.Failure
	if failure == nil || failure.Step == "" || subject.living && subject.State != fsm.Failed {
		return nil
	}
	compensating := failure.Code == session.CodeCompensationFailed
	for _, one := range list {
		if one.Step == failure.Step && one.Compensating == compensating && !one.contained() && one.size() > 0 {
			return []logFile{one}
		}
	}
	return nil
}

// named are the logs of a step or of a service.
func named(list []logFile, name string) []logFile {
	var exact, short []logFile
	for _, one := range list {
		_, kind, _ := strings.Cut(one.Step, ":")
		switch {
		case one.Step == name && !one.contained(), one.called == name && name != "":
			exact = append(exact, one)
		case kind == name || one.Service == name || one.contained() && one.Step == name:
			short = append(short, one)
		}
	}
	if len(exact) > 0 && exact[0].size() > 0 {
		return exact
	}
	return append(exact, short...)
}

// namesOf lists what can be named.
func namesOf(list []logFile) string {
	var names []string
	seen := map[string]bool{}
	for _, one := range list {
		name := one.Step
		if one.contained() {
			name = one.Service
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// followUntilSignal follows the logs until the session is gone or a signal comes.
func (a *app) followUntilSignal(ctx context.Context, o logsOptions, subject logSubject, name string, first []logFile) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case sig := <-signals:
			cancel(&session.Signalled{Signal: sig})
		case <-ctx.Done():
		}
	}()
	err := a.followLogs(ctx, o, subject, name, first)
	var by *session.Signalled
	if errors.As(context.Cause(ctx), &by) {
		return silentError{by}
	}
	return err
}

// writeLogs writes the logs one after another. What is of several has its name before
// each line.
func (a *app) writeLogs(ctx context.Context, o logsOptions, list []logFile) error {
	var filled []logFile
	for _, one := range list {
		if one.container != nil || one.size() > 0 {
			filled = append(filled, one)
		}
	}
	if len(filled) == 1 && !a.quiet {
		fmt.Fprintf(a.Stderr, "%s: %s\n", filled[0].title(), filled[0].where())
	}
	for _, one := range filled {
		out := &lineWriter{out: a.Stdout}
		if len(filled) > 1 {
			out.prefix = one.title() + " | "
		}
		if err := one.write(ctx, o, out); err != nil {
			return err
		}
		if err := out.flush(); err != nil {
			return fmt.Errorf("write the logs: %w", err)
		}
	}
	return nil
}
