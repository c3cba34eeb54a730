package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/look"
)

// statusInterval is how often status --wait looks.
const (
	statusInterval = 250 * time.Millisecond
	driftInterval  = time.Second
)

func newStatus(a *app) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "status [SLUG]", GroupID: groupLook, Short: "look at what of a session is really there",
		Long: `Look at the services of a session, native ones and those in containers, and at
whether each step's effect is still what it was when it was done (drift: what up
would mend). Nothing is changed. A service with ready.command is asked by it.

Exit status 0: the session is active, every service that ecluse manages is healthy
(all_healthy in the JSON), and every step is as it should be. 1: one is not, or the
session is stopped. 5: somebody works on it. 7: it failed; then the failure is shown.
8: it was interrupted. Also then what is there of it is shown.`,
		Example: `  ecluse status feat-x
  ecluse status --wait 2m --quiet && npm run e2e
  ecluse status --json | jq '.services[] | select(.healthy | not)'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if wait < 0 {
				return usagef("--wait %s is negative", wait)
			}
			return a.status(cmd.Context(), args, wait)
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait up to `DURATION` until the exit status is 0")
	return cmd
}

// seen is one look at a session.
type seen struct {
	session.Status
	services []look.Service
	drift    []look.Drift
}

// healthy reports whether the session is up, and all that is managed with it.
func (l seen) healthy() bool {
	return l.State == fsm.Active && len(l.unhealthy()) == 0
}

// well reports whether nothing of it is to be mended.
func (l seen) well() bool { return l.healthy() && len(l.drift) == 0 }

// unhealthy are the services that should be well and are not.
func (l seen) unhealthy() []look.Service {
	var list []look.Service
	for _, v := range l.services {
		if v.Managed && !v.Healthy {
			list = append(list, v)
		}
	}
	return list
}

// status looks, again and again if asked to, and shows what it saw last.
func (a *app) status(ctx context.Context, args []string, wait time.Duration) error {
	deadline, told := time.Now().Add(wait), ""
	if wait > 0 {
		a.stops = newStopper(func(os.Signal) {})
		ctx = a.stops.Soft
	}
	var before *seen
	for {
		last := !time.Now().Add(statusInterval).Before(deadline) // by when it begins: the machine may stand still
		l, err := a.look(ctx, args)
		if err == nil && (l.healthy() || last) {
			a.completeLook(ctx, &l)
		}
		if ctx.Err() != nil { // what was seen meanwhile may be but half
			return a.cutShort(ctx, args, before)
		}
		if err != nil {
			return err
		}
		before = &l
		// Nobody works on it: it will not get healthy by itself.
		idle := l.State != fsm.Active && l.Owner == nil
		if l.well() || last || idle {
			return a.showStatus(l)
		}
		if text := waitsFor(l); text != told && !a.quiet {
			fmt.Fprintf(a.Stderr, "waiting: %s\n", text)
			told = text
		}
		select {
		case <-time.After(l.pause()):
		case <-ctx.Done():
			return a.cutShort(ctx, args, before)
		}
	}
}

// pause is how long to wait before the next look: to look at every step takes more.
func (l seen) pause() time.Duration {
	if len(l.drift) > 0 {
		return driftInterval
	}
	return statusInterval
}

// cutShort shows what was seen last when a signal ends the waiting; where that is
// nothing, it looks once more.
func (a *app) cutShort(ctx context.Context, args []string, before *seen) error {
	if before == nil {
		l, err := a.look(context.WithoutCancel(ctx), args)
		if err != nil {
			return err
		}
		before = &l
	}
	if err := a.writeSeen(*before, notActive(before.Status)); err != nil {
		return err
	}
	err := fmt.Errorf("waiting for session %s has ended: %w", before.Slug, context.Cause(ctx))
	a.complain(err)
	return silentError{err}
}

// look looks at the session and its services.
func (a *app) look(ctx context.Context, args []string) (seen, error) {
	s, err := a.find(ctx, args)
	if err != nil {
		return seen{}, err
	}
	m, err := a.looker()
	if err != nil {
		return seen{}, err
	}
	status, err := m.Status(s)
	if errors.Is(err, session.ErrNotFound) {
		return seen{}, notFound{slug: s.Slug} // it went while we looked
	}
	if err != nil {
		return seen{}, err
	}
	return a.lookAt(ctx, status)
}

// lookAt looks at the services of a session.
func (a *app) lookAt(ctx context.Context, status session.Status) (seen, error) {
	st, err := a.openStore()
	if err != nil {
		return seen{}, err
	}
	all, err := st.List()
	if err != nil {
		return seen{}, err
	}
	services, err := look.Observe(ctx, status.Session, all)
	return seen{Status: status, services: services}, err
}

// completeLook looks at the steps, too. While somebody works on them it would be of the
// moment.
func (a *app) completeLook(ctx context.Context, l *seen) {
	if l.State.Pending() {
		return
	}
	if st, err := a.openStore(); err == nil {
		l.drift = look.Drifts(ctx, steps.Kit{Home: st}, l.Session, l.services)
	}
}

// waitsFor says what keeps a session from being healthy.
func waitsFor(l seen) string {
	if l.State != fsm.Active {
		text := fmt.Sprintf("%s is %s", l.Slug, l.State)
		if step := session.Describe(l.Session); step != "" {
			text += ", " + step
		}
		return text
	}
	var parts []string
	for _, v := range l.unhealthy() {
		parts = append(parts, v.Name+" is "+v.State)
	}
	if len(parts) == 0 {
		for _, d := range l.drift {
			parts = append(parts, "step "+d.Step+" is not as it was")
		}
	}
	return strings.Join(parts, ", ")
}

// writeSeen writes the result; state is why the session is not active.
func (a *app) writeSeen(l seen, state error) error {
	switch {
	case a.json:
		return writeJSON(a.Stdout, a.statusResult(l, state))
	case !a.quiet:
		return a.writeStatus(l)
	}
	return nil
}

// showStatus shows what was seen, and makes an exit status of it.
func (a *app) showStatus(l seen) error {
	state := notActive(l.Status)
	err := a.writeSeen(l, state)
	switch {
	case err != nil:
		return err
	case state != nil:
		if failure := a.view(l.Status, time.Now()).Error; failure != nil {
			state = advised{state, failure.all()}
		}
		a.complain(state)
		return silentError{state}
	case !l.well():
		if !a.quiet && !a.json {
			a.hintStatus(l)
		}
		return silentError{noError{errors.New("the session is not as it should be")}}
	}
	return nil
}

// hintStatus says on stderr what can be done.
func (a *app) hintStatus(l seen) {
	bad := l.unhealthy()
	switch {
	case len(bad) == 0:
		fmt.Fprintf(a.Stderr, "ecluse: %s not as when it was done\n", counted(len(l.drift), "step is", "steps are"))
	default:
		fmt.Fprintf(a.Stderr, "ecluse: %s not healthy\n", counted(len(bad), "service is", "services are"))
	}
	wrong := 0
	for _, v := range bad {
		if text := portHint(l.Session, v); text != "" {
			fmt.Fprintf(a.Stderr, "hint: %s\n", text)
			wrong++
		}
	}
	if wrong < len(bad) || len(bad) == 0 {
		fmt.Fprintf(a.Stderr, "hint: %s\n", a.pasted("ecluse up "+l.Slug, l.Session))
	}
}

// counted is "1 service is" or "2 services are".
func counted(n int, one, several string) string {
	if n == 1 {
		several = one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// portHint says what to do about a service at a wrong port; empty if it is at its own.
// What runs there may be somebody else's, so it is never asked to be ended.
func portHint(s session.Session, v look.Service) string {
	if v.State != look.WrongPort || v.ActualPort == 0 {
		return ""
	}
	whose := ""
	if c := v.Conflict; c != nil {
		whose = fmt.Sprintf(", a port of %s, which is not to be disturbed", slotOf(c))
	}
	return fmt.Sprintf("%s is at port %d%s; its own is %d: ecluse down %s --keep-worktree && ecluse up %s",
		v.Name, v.ActualPort, whose, v.Port, s.Slug, s.Slug)
}

// slotOf names the slot of a conflict.
func slotOf(c *look.PortConflict) string {
	if c.Session == "" {
		return fmt.Sprintf("slot %d", c.Slot)
	}
	return fmt.Sprintf("slot %d of session %s", c.Slot, c.Session)
}
