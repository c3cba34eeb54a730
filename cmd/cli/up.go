package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// upOptions are the flags of up.
type upOptions struct {
	from      string
	dryRun    bool
	onFailure string
	wait      time.Duration
	force     bool
	watch     bool
	reuse     bool
	// keepSaid: --on-failure was given.
	keepSaid bool
	choiceFlags
}

func newUp(a *app) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use: "up [BRANCH]", GroupID: groupLife, Short: "bring a session up, or finish an up that was cut off",
		Long: `Bring up a session for BRANCH: a worktree, ports, containers and processes of
its own. The branch is taken from the repository, else from origin, else made.
BRANCH may also be the slug of a session or of a branch, where no branch has that name.

With a session that exists already, up makes what is missing, and only that: it
resumes an up that was cut off at the step where it was, repairs an active
session whose services have died, and does nothing at all when all is well.
Without BRANCH it is the session in whose worktree you are; in a worktree of
your own it is that worktree, which the session adopts. Elsewhere BRANCH is asked
for, in a terminal.

The .ecluse.toml that counts is that of the main worktree, whatever the branch
has, and also for a worktree of your own. A session keeps the one that it was
made from until it is taken down, and so it does with what --services, --skip,
--port and --no-inherit-env say: they count when the session is made, and may be
left out later.

When a step fails, all is taken back (6), or with --on-failure keep left to be looked
at (7). An up that was killed is to be run again, or ecluse recover does it (8).`,
		Example: `  ecluse up feat-x
  ecluse up feat-x --from origin/main --wait 10m
  ecluse up feat-x --skip worker --port web=3100
  ecluse up --force                  # in its worktree: start all services again
  ecluse up feat-x --json --quiet | jq -r .worktree_path`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.keepSaid = cmd.Flags().Changed("on-failure")
			return a.hintReuse(o, a.up(o, args))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "where a new branch begins: `REF`, seen from where you are (default HEAD of the main worktree)")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan, and how each step would be compensated; change nothing")
	f.StringVar(&o.onFailure, "on-failure", "rollback", "what a failed up leaves: rollback (nothing) or keep (everything, to look at)")
	f.DurationVar(&o.wait, "wait", 0, "wait up to `DURATION` for another command that works on the session")
	f.BoolVar(&o.force, "force", false, "start services and containers again, although they are well")
	f.BoolVar(&o.watch, "watch", false, "then stay and carry changes of the worktree into its containers, as develop.watch in the compose file says")
	o.add(cmd)
	f.BoolVar(&o.reuse, "reuse-worktree", false, "use the worktree that has BRANCH checked out already, if there is one")
	return cmd
}

// upResult is what up prints with --json. The keys of the session are those of
// the original tool.
type upResult struct {
	envResult
	State   string  `json:"state"`
	Changed bool    `json:"changed"`
	Ports   portMap `json:"ports"`
	// URLs are those of the native services that run and have a port.
	URLs     map[string]string `json:"urls"`
	Warnings []string          `json:"warnings"`
}

// resultOf is what there is to tell of a session that is up.
func (a *app) resultOf(s session.Session, changed bool) (upResult, error) {
	env, err := environment(s)
	return upResult{envResult: env, State: string(s.State), Changed: changed, Ports: ports(s), URLs: urls(s), Warnings: a.heard.all()}, err
}

func (a *app) up(o upOptions, args []string) error {
	ctx := context.Background()
	repo, err := a.repository(ctx)
	if err != nil {
		return err
	}
	cfg, err := a.config(repo)
	if err != nil {
		return err
	}
	if err := o.check(cfg); err != nil {
		return err
	}
	choice, err := o.choice()
	if err != nil {
		return err
	}
	target, err := a.upTarget(ctx, repo, args, o.from)
	if err == nil && o.reuse {
		target, err = a.reuse(ctx, repo, target)
	}
	if err != nil {
		return err
	}
	target.choice, target.fits = choice, func(s session.Session) error { return o.fits(choice, s) }
	if target.from, err = a.begin(ctx, repo, target, o.from); err != nil {
		return err
	}
	if o.dryRun {
		return a.showPlan(ctx, repo, cfg, target)
	}
	stops := a.listen()
	keep, err := a.advise(ctx, repo, cfg, target, o)
	if err != nil {
		return err
	}
	m, err := a.manager()
	if err != nil {
		return err
	}
	s, changed, err := m.Up(stops, session.UpRequest{
		Key: target.key, Branch: target.branch, MaxSlots: cfg.MaxSlots, Wait: o.wait,
		Options: session.Options{KeepOnFailure: keep, Anew: o.force}, Fits: target.fits, Again: o.again,
		New: func(ctx context.Context, slot int) (session.Session, []session.Want, error) {
			return draft(ctx, repo, cfg, target, slot)
		},
	})
	if as[*session.BusyError](err) {
		return fmt.Errorf("%w; --wait 10m would wait for it", err)
	}
	if err != nil {
		return err
	}
	a.tellMoved(ctx, s, changed)
	if err := a.showUp(s, changed); err != nil || !o.watch {
		return err
	}
	return a.follow(s)
}

// check refuses values that the flags do not take.
func (o upOptions) check(cfg settings.Config) error {
	switch {
	case o.onFailure != "rollback" && o.onFailure != "keep":
		return usagef("--on-failure %s is unknown; it takes rollback or keep", o.onFailure)
	case o.wait < 0:
		return usagef("--wait %s is negative", o.wait)
	case o.watch && cfg.Mode == settings.ModeHost:
		return usagef("--watch is for containers, and in host mode there are none")
	}
	return nil
}

// again chooses what --force makes anew.
func (o upOptions) again(spec saga.Spec) bool { return o.force && steps.Runs(spec) }

// begin is the commit that --from means, as it is seen from where the command is
// run: HEAD is that of the worktree there.
func (a *app) begin(ctx context.Context, repo git.Repo, t upTarget, from string) (string, error) {
	if from == "" {
		return "", nil
	}
	there := git.Repo{CommonDir: repo.CommonDir, Root: a.dir}
	res, err := there.Resolve(ctx, t.branch, from)
	switch {
	case t.branch == "" || err == nil && res.Kind != git.KindNew:
		return "", usagef("--from says where a new branch begins, and there is one already; leave it out")
	case err != nil:
		return "", err
	}
	return res.Base, nil
}

// advise warns of what the user may not expect: of a new session all that is odd
// about the configuration, of another one that it keeps the one it has. It also
// tells whether a failure is to leave everything: a session that was left so keeps
// to it until told otherwise.
func (a *app) advise(ctx context.Context, repo git.Repo, cfg settings.Config, t upTarget, o upOptions) (keep bool, err error) {
	warn := func(format string, args ...any) {
		a.sink().Notify(saga.Notice{Time: time.Now(), Warning: true, Message: fmt.Sprintf(format, args...)})
	}
	keep = o.onFailure == "keep"
	s, err := a.store.Get(t.key)
	if errors.Is(err, session.ErrNotFound) {
		for _, warning := range slices.Concat(cfg.Warnings(), steps.Outside(ctx, cfg, repo.Root)) {
			warn("%s", warning)
		}
		if t.hasOwnConfig(ctx, repo) {
			warn("the .ecluse.toml of %s differs from the one of the main worktree, %s, and that is the one that counts", t.branch, repo.Root)
		}
		if chosen, err := chosen(cfg, t.choice); err == nil {
			a.tellUnchosen(ctx, chosen, cmp.Or(t.worktree, repo.Root))
		}
		return keep, nil
	}
	if err != nil {
		return keep, err
	}
	if s.State == fsm.Failed && !o.keepSaid {
		keep = s.Run.Options.KeepOnFailure
	}
	had, err := steps.ConfigOf(s)
	if err != nil {
		return keep, nil //nolint:nilerr // whoever needs it says it
	}
	a.tellUnchosen(ctx, had, composeDir(s))
	if !had.Same(cfg) {
		warn(".ecluse.toml has changed since session %s was made, which keeps the old one until `ecluse down %s`", s.Slug, s.Slug)
	}
	return keep, nil
}

// draft makes the record of a new session. Whatever can be found out to be
// impossible is found out here, before anything is made.
func draft(ctx context.Context, repo git.Repo, cfg settings.Config, t upTarget, slot int) (session.Session, []session.Want, error) {
	cfg, err := chosen(cfg, t.choice)
	if err != nil {
		return session.Session{}, nil, err
	}
	if t.branch == "" {
		t.branch = cmp.Or(t.had, t.key.Slug) // the session that the slug named has just gone
	}
	if t.worktree == "" {
		if _, err := repo.Resolve(ctx, t.branch, t.from); err != nil {
			return session.Session{}, nil, err
		}
	}
	if cfg.Mode != settings.ModeHost {
		if err := docker.Installed(ctx); err != nil { // its engine is asked below
			return session.Session{}, nil, err
		}
	}
	if err := steps.CheckManager(ctx, cfg); err != nil {
		return session.Session{}, nil, err
	}
	plan, err := steps.Plan(cfg)
	if err != nil {
		return session.Session{}, nil, err
	}
	data, err := settings.Encode(cfg)
	if err != nil {
		return session.Session{}, nil, err
	}
	s := session.Session{
		Root: repo.Root, Branch: t.branch, From: t.from, Mode: cfg.Mode, Worktree: t.worktree,
		Plan: plan, Settings: data,
	}
	if s.Worktree == "" {
		s.Worktree = filepath.Join(repo.Root, cfg.WorktreeDir, t.key.Slug)
	}
	if t.worktree != "" {
		steps.Adopting(s.Plan)
	}
	wants, err := steps.Wants(ctx, cfg, slot)
	return s, wants, err
}

// showUp prints the session that is up.
func (a *app) showUp(s session.Session, changed bool) error {
	result, err := a.resultOf(s, changed)
	if err != nil {
		return err
	}
	if a.json {
		return writeJSON(a.Stdout, result)
	}
	verb := "is up"
	if !changed {
		verb = "was up already"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s in slot %d\n", s.Slug, verb, s.Slot)
	fmt.Fprintf(&b, "  branch    %s\n  worktree  %s\n", s.Branch, s.Worktree)
	if len(s.Ports) > 0 {
		fmt.Fprintf(&b, "  ports     %s\n", portList(s.Ports))
	}
	for _, name := range slices.Sorted(maps.Keys(result.URLs)) {
		fmt.Fprintf(&b, "  %-9s %s\n", name, result.URLs[name])
	}
	return a.print("%s", b.String())
}
