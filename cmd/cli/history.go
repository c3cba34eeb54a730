package cli

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
	"ecluse/saga/session"
	"ecluse/store"
)

func newHistory(a *app) *cobra.Command {
	var all bool
	var limit int
	cmd := &cobra.Command{
		Use: "history [SLUG]", GroupID: groupLook, Short: "list every transition, of living and of gone sessions",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.history(cmd, args, all, limit)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "of every repository on this machine")
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "only the last `N` lines (0: all)")
	return cmd
}

func (a *app) history(cmd *cobra.Command, args []string, all bool, limit int) error {
	st, err := a.openStore()
	if err != nil {
		return err
	}
	filter := store.Filter{Limit: limit}
	if len(args) > 0 {
		if filter.Slug, err = session.Slug(args[0]); err != nil {
			return notFound{slug: args[0]}
		}
	}
	if !all {
		if filter.Repo, err = a.commonDir(cmd.Context(), st); err != nil {
			return err
		}
	}
	entries, err := st.History(filter)
	if err != nil {
		return err
	}
	if len(entries) == 0 && filter.Slug != "" {
		return notFound{slug: filter.Slug}
	}
	if a.json {
		if entries == nil {
			entries = []session.Entry{}
		}
		return writeJSON(a.Stdout, entries)
	}
	if len(entries) == 0 {
		return a.print("nothing has happened yet\n")
	}
	table := a.table(display.Column{Head: "TIME"}, display.Column{Head: "SLUG"}, display.Column{Head: "RUN"},
		display.Column{Head: "VERB"}, display.Column{Head: "WHAT", Min: 20})
	for _, e := range entries {
		table.Row(display.Normal, e.Time.Local().Format(time.DateTime), e.Slug, short(e.Run), string(e.Verb), what(e))
	}
	return table.Write(a.Stdout)
}

// what says in a line what an entry tells.
func what(e session.Entry) string {
	switch {
	case e.To != "":
		return fmt.Sprintf("%s → %s", e.From, e.To)
	case e.Step != "":
		text := fmt.Sprintf("%s %s", cmp.Or(e.Title, e.Step), e.Phase)
		if e.Attempt > 1 {
			text += fmt.Sprintf(" (attempt %d)", e.Attempt)
		}
		if e.Err != "" {
			text += ": " + e.Err
		}
		return text
	default:
		return e.Note
	}
}

// short is enough of an id to tell runs apart by eye.
func short(id string) string {
	if len(id) > 6 {
		return id[:6]
	}
	return id
}
