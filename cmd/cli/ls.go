package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps/look"
)

// watchInterval is how often ls --watch looks.
const watchInterval = 500 * time.Millisecond

func newLs(a *app) *cobra.Command {
	var all, watch bool
	cmd := &cobra.Command{
		Use: "ls", GroupID: groupLook, Aliases: []string{"list"}, Short: "list the sessions, and the step that each is at",
		Long: `List the sessions of the repository. STEP is the step that a session is at, where
it was cut off, or which native services of an active session have died; of
containers ecluse status knows that. ls never waits for a run, changes nothing, and
asks neither git nor Docker about sessions.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if watch {
				return a.watch(all)
			}
			views, err := a.views(all)
			if err != nil {
				return err
			}
			if err := a.showList(a.Stdout, views, all); err != nil {
				return err
			}
			a.hintRecover(views, all)
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "the sessions of every repository on this machine")
	cmd.Flags().BoolVar(&watch, "watch", false, "go on showing them until interrupted")
	return cmd
}

// views looks at every session.
func (a *app) views(all bool) ([]listView, error) {
	m, err := a.looker()
	if err != nil {
		return nil, err
	}
	list, err := a.sessions(context.Background(), all)
	if err != nil {
		return nil, err
	}
	var listening map[session.Key]map[string][]int
	if a.json { // the table has no room for it, and it takes longer than all the rest
		if listening, err = look.Listening(list); err != nil {
			return nil, err
		}
	}
	views := []listView{}
	now := time.Now()
	for _, s := range list {
		status, err := m.Status(s)
		if errors.Is(err, session.ErrNotFound) {
			continue // it went while we looked
		}
		if err != nil {
			return nil, err
		}
		v := listView{sessionView: a.view(status, now)}
		if a.json {
			if v.formerView, err = former(status.Session, listening[s.Key]); err != nil {
				return nil, err
			}
		}
		views = append(views, v)
	}
	return views, nil
}

// showList prints sessions as a table or as JSON.
func (a *app) showList(w io.Writer, views []listView, all bool) error {
	if a.json {
		return writeJSON(w, views)
	}
	if len(views) == 0 {
		_, err := fmt.Fprintln(w, "no sessions; make one with: ecluse up BRANCH")
		return err
	}
	columns := []display.Column{
		{Head: "SLUG"}, {Head: "STATE"}, {Head: "STEP"}, {Head: "SLOT", Right: true},
		{Head: "PORTS", Min: 12, Drop: 1}, {Head: "BRANCH", Min: 12, Drop: 2}, {Head: "AGE", Right: true, Drop: 3},
	}
	if all {
		columns = append(columns, display.Column{Head: "REPOSITORY", Min: 12, Drop: 1})
	}
	table := a.table(columns...)
	for _, v := range views {
		table.Row(styleOf(v.sessionView), v.Slug, v.State, dash(stepColumn(v.sessionView)), strconv.Itoa(v.Slot), dash(portList(v.Ports)), v.Branch,
			display.Age(time.Since(v.StartedAt)), v.Root)
	}
	return table.Write(w)
}

// hintRecover tells people what finishes the sessions that were cut off.
func (a *app) hintRecover(views []listView, all bool) {
	var slugs []string
	for _, v := range views {
		if v.Interrupted {
			slugs = append(slugs, v.Slug)
		}
	}
	if a.json || len(slugs) == 0 {
		return
	}
	hint := "ecluse recover"
	if all {
		hint += " --all"
	}
	a.remark("cut off: "+strings.Join(slugs, ", ")+"; recover finishes what was begun, and down takes a session down", hint)
}

// styleOf makes those sessions stand out that somebody has to look after.
func styleOf(v sessionView) display.Style {
	switch {
	case v.Interrupted, v.Rebooted, v.RepoGone, len(v.Dead) > 0:
		return display.Yellow
	case v.State == string(fsm.Failed):
		return display.Red
	case v.State == string(fsm.Stopped):
		return display.Dim
	}
	return display.Normal
}

// watch shows the list again and again: in place on a terminal, else whenever it
// has changed.
func (a *app) watch(all bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var last []byte
	for {
		views, err := a.views(all)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := a.showList(&b, views, all); err != nil {
			return err
		}
		if !bytes.Equal(b.Bytes(), last) {
			last = b.Bytes()
			if isTerminal(a.Stdout) && !a.json {
				fmt.Fprint(a.Stdout, "\x1b[H\x1b[2J")
			}
			if _, err := a.Stdout.Write(last); err != nil {
				return nil //nolint:nilerr // the reader has gone, there is nobody to tell
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// dash stands for an empty cell.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
