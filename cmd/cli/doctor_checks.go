package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ecluse/cmd/display"
	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/git"
	"ecluse/steps/look"
	"ecluse/steps/rebuild"
	"ecluse/steps/settings"
	"ecluse/store"
)

const (
	// littleRoom and noRoom are bytes on the disk of the state below which it is
	// warned, and below which a transaction may fail.
	littleRoom, noRoom = 200 << 20, 10 << 20
	// fewNetworks is how many more there should be room for.
	fewNetworks = 3
	// probeTime bounds what Docker is asked.
	probeTime = 30 * time.Second
)

// in is a command for the repository of a session, wherever it is pasted.
func in(s session.Session, verb string, args ...string) string {
	return strings.Join(append([]string{"ecluse -C", git.Quote(s.Root), verb}, args...), " ")
}

// of makes a finding one about a session.
func (f *finding) of(key session.Key) { f.Repo, f.Slug = key.Repo, key.Slug }

// tools looks at what ecluse runs, as far as the repository needs it. The
// configuration is nil if there is none that can be read.
func (d *doctor) tools(ctx context.Context) *settings.Config {
	repo, err := d.repository(ctx)
	switch {
	case errors.Is(err, git.ErrMissing), errors.Is(err, git.ErrOld):
		d.say("git", verdictFail, "", "%v", err)
		return nil
	case err != nil:
		d.say("git", verdictOK, "", "git is there; %s is in no repository that can be used, so that only the machine is looked at (%v)", d.dir, err)
		d.docker(ctx, false)
		return nil
	}
	d.say("git", verdictOK, "", "git is there, and %s is a repository", repo.Root)
	cfg, err := d.config(repo)
	if err != nil {
		fix := "ecluse -C " + git.Quote(repo.Root) + " init"
		if exists(repo.Root + "/.ecluse.toml") {
			fix = "ecluse -C " + git.Quote(repo.Root) + " validate"
		}
		d.say("config", verdictFail, fix, "%v", err)
		d.docker(ctx, false)
		return nil
	}
	since := len(d.found)
	for _, text := range cfg.Warnings() {
		d.say("config", verdictWarn, "ecluse -C "+git.Quote(repo.Root)+" validate", "%s", text)
	}
	d.well(since, "config", "mode %s, up to %d sessions", cfg.Mode, cfg.MaxSlots)
	d.docker(ctx, cfg.Mode != settings.ModeHost)
	if err := steps.CheckManager(ctx, cfg); err != nil {
		d.say("tmux", verdictFail, "", "%v", err)
	} else {
		d.say("tmux", verdictOK, "", "services run %s", manager(cfg))
	}
	return &cfg
}

// manager says where native services run.
func manager(cfg settings.Config) string {
	if cfg.ProcessManager == "" {
		return settings.ManagerDetached
	}
	return cfg.ProcessManager
}

// docker looks whether Docker and Compose are there. Where nothing needs them that is no
// matter.
func (d *doctor) docker(ctx context.Context, needed bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	switch err := docker.Check(ctx); {
	case err == nil:
		d.say("docker", verdictOK, "", "Docker and Compose answer")
	case needed && errors.Is(err, docker.ErrUnreachable) && d.Getenv("DOCKER_HOST") == "" && exists("/run/systemd/system"):
		d.say("docker", verdictFail, "systemctl start docker", "%v", err)
	case needed:
		d.say("docker", verdictFail, "", "%v", err)
	default:
		d.say("docker", verdictOK, "", "not there, which only sessions with containers need: %v", err)
	}
}

// disk looks at the folder of the state.
func (d *doctor) disk() {
	free, writable, err := d.store.Room()
	dir := d.store.Folder()
	switch {
	case err != nil:
		d.say("state", verdictFail, "", "%v", err)
	case !writable:
		d.say("state", verdictFail, "chmod -R u+rwX "+git.Quote(dir), "%s cannot be written to: nothing can be begun or ended", dir)
	case free < noRoom:
		d.say("state", verdictFail, "df -h "+git.Quote(dir), "the disk of %s is full", dir)
	case free < littleRoom:
		d.say("state", verdictWarn, "df -h "+git.Quote(dir), "only %s are free on the disk of %s", bytesOf(int64(free)), dir)
	default:
		d.say("state", verdictOK, "", "%s can be written to", dir)
	}
}

// database looks at the state file. It returns the sessions that can be read; false if
// none can.
func (d *doctor) database() ([]session.Session, bool) {
	since := len(d.found)
	var damaged *store.DamagedError
	switch err := d.store.Check(); {
	case err == nil && !d.store.Exists() && d.store.Begun():
		d.say("state file", verdictFail, rebuildCommand, "the state file %s is gone, and there is what it was about; %s", d.store.Path(), d.lastCopy())
		return nil, false
	case err == nil:
	case errors.As(err, &damaged):
		d.say("state file", verdictFail, rebuildCommand, "the state file %s is damaged: %s; %s", damaged.Path, damaged.Why, d.lastCopy())
		return nil, false
	default:
		fix := ""
		if errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrNewer) {
			fix = rebuildCommand
		}
		for _, key := range store.Unreadable(err) {
			d.say("state file", verdictFail, fix, "the record of session %s of %s cannot be used", key.Slug, key.Repo).of(key)
		}
		if len(d.found) == since {
			d.say("state file", verdictFail, fix, "%v", err)
		}
	}
	all, err := d.store.List()
	if err != nil && len(store.Unreadable(err)) == 0 {
		if len(d.found) == since {
			d.say("state file", verdictFail, "", "%v", err)
		}
		return nil, false
	}
	d.well(since, "state file", "%s, %s of it", counted(len(all), "session", "sessions"), counted(len(d.store.Copies()), "copy", "copies"))
	return all, true
}

// lastCopy names the last good copy of the state file, and how old it is.
func (d *doctor) lastCopy() string {
	copied, err := d.store.LastCopy()
	switch {
	case err != nil:
		return err.Error()
	case copied.Path == "":
		return "there is no copy of it that is whole"
	}
	return fmt.Sprintf("the last good copy is %s, %s old", copied.Path, display.Age(time.Since(copied.At)))
}

// sessions looks whether any waits for somebody.
func (d *doctor) sessions(all []session.Session) {
	since := len(d.found)
	m := &session.Manager{Store: d.store, Locker: d.store, Now: time.Now}
	for _, s := range all {
		status, err := m.Status(s)
		switch {
		case errors.Is(err, session.ErrNotFound), status.Owner != nil:
			continue // it went, or is being worked on
		case err != nil:
			d.say("sessions", verdictFail, "", "%v", err).of(s.Key)
		case !exists(s.Repo):
			d.say("repositories", verdictFail, in(s, "down", s.Slug), "the repository %s of session %s is gone", s.Repo, s.Slug).of(s.Key)
		case status.Interrupted:
			d.say("sessions", verdictFail, in(s, "recover", s.Slug), "%s was interrupted (%s)", s.Slug, s.State).of(s.Key)
		case s.State == fsm.Failed && s.Failure != nil && s.Failure.Code == rebuild.CodeRebuilt:
			d.say("sessions", verdictFail, in(s, "up", s.Slug), "%s was rebuilt, and nobody has looked at all of it since", s.Slug).of(s.Key)
		case s.State == fsm.Failed:
			d.say("sessions", verdictFail, in(s, "down", s.Slug), "%s has failed, and holds its slot and ports", s.Slug).of(s.Key)
		case !exists(s.Worktree):
			d.say("worktrees", verdictFail, in(s, "up", s.Slug), "the worktree %s of session %s is gone", s.Worktree, s.Slug).of(s.Key)
		case s.State == fsm.Active && steps.Rebooted(s.Run.Owner):
			d.say("sessions", verdictWarn, in(s, "recover", "--repair", s.Slug), "the machine was started anew since %s came up", s.Slug).of(s.Key)
		case s.State == fsm.Active && len(look.Dead(s)) > 0:
			d.say("sessions", verdictWarn, in(s, "recover", "--repair", s.Slug), "of %s have died: %s", s.Slug, strings.Join(look.Dead(s), ", ")).of(s.Key)
		}
	}
	d.well(since, "sessions", "none needs attention")
}

// residue looks for what gc would remove.
func (d *doctor) residue(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	o := defaultGC()
	o.all = true
	g, err := d.ground(ctx, o)
	if err != nil {
		d.say("residue", verdictWarn, "", "%v", err)
		return
	}
	goes, locks := map[string]int{}, 0
	for _, l := range d.search(ctx, g) {
		switch {
		case l.Keep != "":
		case l.Kind == store.StrayLock:
			locks++
		default:
			goes[l.Kind]++
		}
	}
	if locks > 0 {
		d.say("locks", verdictWarn, "ecluse gc --all --yes", "%d were left by commands that were killed", locks)
	} else {
		d.say("locks", verdictOK, "", "none was left behind")
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(goes)) {
		parts = append(parts, fmt.Sprintf("%d × %s", goes[kind], kind))
	}
	switch {
	case len(parts) > 0:
		d.say("residue", verdictWarn, "ecluse gc --all --yes", "of sessions that are gone: %s", strings.Join(parts, ", "))
	default:
		d.say("residue", verdictOK, "", "nothing is left of sessions that are gone")
	}
	for _, err := range g.blind {
		if !errors.Is(err, docker.ErrUnreachable) && len(store.Unreadable(err)) == 0 { // said already
			d.say("residue", verdictWarn, "", "not looked at: %v", err)
		}
	}
}

// networks looks for how many more Docker has room.
func (d *doctor) networks(ctx context.Context, cfg *settings.Config) {
	if cfg == nil || cfg.Mode == settings.ModeHost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	engine, err := docker.Open(ctx)
	if err != nil {
		return // said already
	}
	used, room, err := engine.Networks(ctx)
	switch {
	case err != nil:
		d.say("networks", verdictWarn, "", "%v", err)
	case room-used <= fewNetworks:
		d.say("networks", verdictWarn, "docker network prune", "Docker has address pools for about %d networks, and there are %d", room, used)
	default:
		d.say("networks", verdictOK, "", "%d of about %d that Docker has address pools for", used, room)
	}
}
