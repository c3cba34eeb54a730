package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/look"
)

const day = 24 * time.Hour

// gcOptions are the flags of gc.
type gcOptions struct {
	yes, all, merged bool
	olderThan        age
	trash            age
	// old: sessions are meant, too, that nothing happened to for so long.
	old bool
}

// defaultGC is what gc does without flags, and doctor looks for.
func defaultGC() gcOptions { return gcOptions{olderThan: age(14 * day), trash: age(30 * day)} }

func newGC(a *app) *cobra.Command {
	o := defaultGC()
	cmd := &cobra.Command{
		Use: "gc", GroupID: groupRepo, Short: "find what belongs to no session, and with --yes remove it",
		Long: `List what carries the marks of sessions of this repository that are gone: processes,
containers, networks, volumes, images, databases and templates on the servers of
[[databases]], files of the state, folders where worktrees were, and saved work that is
old. Every Docker engine is asked where sessions had containers; what could not be asked
is named, for 30 days after the last session there. Nothing is removed without --yes.

Left alone is whatever belongs to a session that there is, whoever works on it; what
another ECLUSE_STATE_DIR knows; and what holds work that is not committed. Volumes and
databases that down --keep-volumes kept, templates, and logs go when they are older than
--older-than. A database goes only while nobody is connected to it.

With --merged or --older-than sessions are meant, too, and are taken down: those whose
branch is merged into that of origin, main or master, and those that nothing happened to
for so long. Both only if nobody is at work in them and all is committed. A merge that
squashes or rebases cannot be recognized. A branch without a commit of its own is not
taken for merged, for its session may have just begun; --older-than finds that in time.`,
		Example: `  ecluse gc
  ecluse gc --merged --older-than 7d --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.old = cmd.Flags().Changed("older-than")
			return a.gc(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.yes, "yes", false, "remove what is found")
	f.BoolVar(&o.all, "all", false, "of every repository on this machine")
	f.BoolVar(&o.merged, "merged", false, "also sessions whose branch had commits of its own, and is merged")
	f.Var(&o.olderThan, "older-than", "`AGE` of logs, kept data and templates that go; if given, also of sessions")
	f.Var(&o.trash, "trash-older-than", "`AGE` of saved work that goes")
	return cmd
}

// age is a duration that may be in days: 36h, 14d.
type age time.Duration

// String implements pflag.Value.
func (d *age) String() string {
	if n := time.Duration(*d); n >= day && n%day == 0 {
		return fmt.Sprintf("%dd", n/day)
	}
	return time.Duration(*d).String()
}

// Set implements pflag.Value.
func (d *age) Set(text string) error {
	n, err := time.ParseDuration(text)
	if count, isDays := strings.CutSuffix(text, "d"); err != nil && isDays {
		var whole int64
		if whole, err = strconv.ParseInt(count, 10, 32); err == nil {
			n = time.Duration(whole) * day
		}
	}
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no age; it takes a number of days, such as 14d, or a duration, such as 36h", text)
	}
	*d = age(n)
	return nil
}

// Type implements pflag.Value.
func (*age) Type() string { return "age" }

// leftover is something that gc found.
type leftover struct {
	// Kind is what it is: process, container, network, volume, image, worktree, saved
	// work, database, template, lock, folder, logs or session.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Where it is: the place of another Docker engine than this environment's, or the
	// address of a server; empty if that goes without saying.
	Where string `json:"where"`
	Repo  string `json:"repo"`
	// Slug of the session that it was of; empty if that is not known.
	Slug string `json:"slug"`
	Why  string `json:"why"`
	// Since is when it became so; null if that is not known.
	Since *time.Time `json:"since"`
	// Size in bytes; 0 if that is not known.
	Size int64 `json:"size"`
	// Keep says why it stays; empty if it is removed, or would be with --yes.
	Keep    string `json:"keep"`
	Removed bool   `json:"removed"`
	Error   *shown `json:"error"`

	key session.Key
	// guarded: it is removed under the owner lock of its session.
	guarded bool
	remove  func(context.Context) error
	session *session.Session // to be taken down
	err     error
}

// left makes an entry of residue.
func left(r look.Residue) *leftover {
	l := &leftover{
		Kind: r.Kind, Name: r.Name, Where: r.Where, Repo: r.Repo, Slug: r.Slug, Why: r.Why, Size: r.Size, Keep: r.Keep,
		key: r.Key, guarded: r.Guarded(), remove: r.Remove,
	}
	if !r.Since.IsZero() {
		l.Since = &r.Since
	}
	return l
}

func (a *app) gc(ctx context.Context, o gcOptions) error {
	found, err := a.leftovers(ctx, o)
	if err != nil {
		return err
	}
	if o.merged || o.old {
		candidates, err := a.candidates(ctx, o)
		if err != nil {
			return err
		}
		found = append(candidates, found...)
	}
	if o.yes {
		if err := a.removeAll(found); err != nil {
			return err
		}
	}
	return a.showLeftovers(found, o.yes)
}

// removeAll removes what is not to be kept: sessions first, whose own leftovers their
// down sees to.
func (a *app) removeAll(found []*leftover) error {
	ctx := a.listen().Soft
	if err := a.downFound(found); err != nil {
		return err
	}
	for _, l := range found {
		if l.Keep == "" && l.session == nil {
			if l.err = context.Cause(ctx); l.err == nil {
				l.err = a.remove(ctx, l)
			}
			l.Removed = l.err == nil
		}
		if l.err != nil {
			l.err = a.stops.explain(l.err)
			l.Error = a.errorOf(l.err)
		}
	}
	return nil
}

// downFound takes the sessions down that are among what was found.
func (a *app) downFound(found []*leftover) error {
	var sessions []session.Session
	var of []*leftover
	for _, l := range found {
		if l.session != nil && l.Keep == "" {
			sessions, of = append(sessions, *l.session), append(of, l)
		}
	}
	if len(sessions) == 0 {
		return nil
	}
	results, err := a.downSeveral(downOptions{}, sessions)
	if err != nil {
		return err
	}
	for i, l := range of { // one result for each, in their order
		l.err, l.Removed = results[i].err, results[i].Done
	}
	return nil
}

// remove removes one thing, if it is still nobody's.
func (a *app) remove(ctx context.Context, l *leftover) (err error) {
	if l.guarded {
		lock, err := a.store.Own(ctx, l.key, steps.Processes{}.Self("gc"), false)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, lock.Release(false)) }()
		switch _, err := a.store.Get(l.key); {
		case err == nil:
			return fmt.Errorf("there is a session %s again: %w", l.Slug, session.ErrBusy)
		case !errors.Is(err, session.ErrNotFound):
			return err
		}
	}
	if err := l.remove(ctx); err != nil {
		return leftError{fmt.Errorf("remove %s %s: %w", l.Kind, l.Name, err)}
	}
	return nil
}

// leftError is something that could not be removed: something is left.
type leftError struct{ error }

func (e leftError) Unwrap() []error { return []error{e.error, session.ErrFailed} }

// showLeftovers prints what was found, and what became of it.
func (a *app) showLeftovers(found []*leftover, yes bool) error {
	if a.json {
		if err := writeJSON(a.Stdout, append([]*leftover{}, found...)); err != nil {
			return err
		}
	} else if err := a.writeLeftovers(found, yes); err != nil {
		return err
	}
	var errs []error
	for _, l := range found {
		if l.err != nil {
			a.complain(l.err)
			errs = append(errs, l.err)
		}
	}
	if worst := worstOf(errs...); worst != nil {
		return silentError{worst}
	}
	return nil
}

func (a *app) writeLeftovers(found []*leftover, yes bool) error {
	if len(found) == 0 {
		return a.print("nothing is left of sessions that are gone\n")
	}
	table := a.table(display.Column{Head: "KIND"}, display.Column{Head: "NAME", Min: 20}, display.Column{Head: "AGE", Right: true},
		display.Column{Head: "SIZE", Right: true, Drop: 2}, display.Column{Head: "WHY", Min: 20, Drop: 1}, display.Column{Head: "RESULT", Min: 10})
	goes := 0
	for _, l := range found {
		old, size := "-", "-"
		if l.Since != nil {
			old = display.Age(time.Since(*l.Since))
		}
		if l.Size > 0 {
			size = bytesOf(l.Size)
		}
		result, style := "would be removed", display.Normal
		switch {
		case l.Keep != "":
			result, style = "stays: "+l.Keep, display.Dim
		case l.err != nil:
			result, style = "✗ "+classify(l.err).code, display.Red
		case yes:
			result = "removed"
		default:
			goes++
		}
		why := l.Why
		if l.Where != "" {
			why += " (" + l.Where + ")"
		}
		table.Row(style, l.Kind, l.Name, old, size, why, result)
	}
	if err := table.Write(a.Stdout); err != nil {
		return err
	}
	if goes > 0 && !yes {
		return a.print("nothing was removed; --yes removes %d of these\n", goes)
	}
	return nil
}

// bytesOf is a size as people read it.
func bytesOf(n int64) string {
	value, unit := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
