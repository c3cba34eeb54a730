package steps

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ecluse/saga"
	"ecluse/saga/sagatest"
	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// fixtures is one (or several) for each kind of step.
var fixtures = map[string][]sagatest.Fixture{
	"hook": {
		{Name: "hook", New: func(t *testing.T) sagatest.Trial {
			r := newRig(t, func(c *settings.Config) {
				c.Hooks.PreUp = hookOf("touch made")
				c.Hooks.PostDown = hookOf("rm -f made")
			})
			return r.trial(t, "hook:pre_up", r.fileIs("made", true), r.fileIs("made", false))
		}},
		{Name: "hook that leaves a daemon", New: func(t *testing.T) sagatest.Trial {
			r := newRig(t, func(c *settings.Config) { c.Hooks.PreUp = hookOf("setsid sleep 1000 & touch made") })
			return r.trial(t, "hook:pre_up", r.runs("hook:pre_up", 1), r.runs("hook:pre_up", 0))
		}},
	},
	commandKind: commandFixtures,
	"worktree": {{Name: "worktree", New: func(t *testing.T) sagatest.Trial {
		r := newRig(t, nil)
		trial := r.trial(t, "worktree", r.worktreeIs(true), r.worktreeIs(false))
		trial.Damage = map[string]func() error{
			"directory gone": func() error { return os.RemoveAll(r.s.Worktree) },
		}
		return trial
	}}},
	"env": {{Name: "env", New: func(t *testing.T) sagatest.Trial {
		r := newRig(t, nil)
		r.put(t, filepath.Join(r.s.Root, ".env"), "SECRET=1\n")
		r.addWorktree(t)
		trial := r.trial(t, "env",
			func() error { return errors.Join(r.inWorktree(settings.EnvFile, true), r.inWorktree(".env", true)) },
			func() error { return errors.Join(r.inWorktree(settings.EnvFile, false), r.inWorktree(".env", false)) })
		trial.Damage = map[string]func() error{
			"file gone": func() error { return os.Remove(filepath.Join(r.s.Worktree, settings.EnvFile)) },
			"file changed": func() error {
				return os.WriteFile(filepath.Join(r.s.Worktree, settings.EnvFile), []byte("PORT=1\n"), 0o600)
			},
		}
		return trial
	}}},
	"ports": {{Name: "ports", New: func(t *testing.T) sagatest.Trial {
		dockertest.Require(t)
		r := newRig(t, func(c *settings.Config) { c.Mode = settings.ModeContainer })
		r.addWorktree(t)
		r.put(t, filepath.Join(r.s.Worktree, "compose.yaml"), "services: {db: {image: none, ports: [\"25432:5432\"]}}\n")
		nothing := func() error { return nil }
		trial := r.trial(t, "ports", nothing, nothing)
		trial.Opaque = true // leases end with the row, and not before
		return trial
	}}},
	"volumes":  {{Name: "volumes", New: newVolumesTrial}},
	"compose":  {{Name: "compose", New: newComposeTrial}},
	"database": databaseFixtures,
	tmuxKind:   tmuxFixtures[:1],
	"service": {tmuxFixtures[1], {Name: "service", New: func(t *testing.T) sagatest.Trial {
		r := newRig(t, func(c *settings.Config) {
			c.Services = []settings.Service{{Name: "api", BasePort: 23000, Command: "echo up; exec sleep 1000", Ready: settings.Ready{Log: "^up$"}}}
		})
		r.addWorktree(t)
		trial := r.trial(t, "service:api", r.runs("service:api", 1), r.runs("service:api", 0))
		trial.Damage = map[string]func() error{"killed": func() error {
			return proc.Stop(context.Background(), time.Second, func() ([]proc.ID, error) {
				return proc.Carrying(Marks(r.s, "service:api")...)
			})
		}}
		return trial
	}}},
}

// TestConformance tries every promise of a step on every kind in the registry. A
// kind without a fixture fails.
func TestConformance(t *testing.T) {
	tried := map[string]bool{}
	for _, section := range registry() {
		if tried[section.kind] {
			continue
		}
		tried[section.kind] = true
		list := fixtures[section.kind]
		if len(list) == 0 {
			t.Errorf("kind %s has no fixture", section.kind)
		}
		for _, fixture := range list {
			t.Run(strings.ReplaceAll(fixture.Name, " ", "-"), func(t *testing.T) { sagatest.Conform(t, fixture) })
		}
	}
}

func newComposeTrial(t *testing.T) sagatest.Trial {
	dockertest.Require(t)
	image := dockertest.Image(t)
	// It is the second of two files: the step has to find its own again.
	r := newRig(t, func(c *settings.Config) {
		c.Mode = settings.ModeContainer
		c.Services = []settings.Service{
			{Name: "web", Run: settings.RunDocker, BasePort: 80, PublishPrimary: new(bool)},
			{Name: "store", Run: settings.RunDocker, BasePort: 80, PublishPrimary: new(bool), Compose: "data/compose.yaml"},
		}
	})
	r.addWorktree(t)
	if err := os.Mkdir(filepath.Join(r.s.Worktree, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	dockertest.Clean(t, docker.LabelSession+"="+r.s.ID)
	r.put(t, filepath.Join(r.s.Worktree, "compose.yaml"), "services: {web: {image: none}}\n")
	r.put(t, filepath.Join(r.s.Worktree, "data/compose.yaml"), strings.ReplaceAll(`
services:
  store:
    image: IMAGE
    command: ["-serve", ":80"]
    volumes: ["data:/data"]
    stop_grace_period: 1s
    healthcheck: {test: ["CMD", "/tool", "-health", "http://127.0.0.1:80/health"], interval: 200ms}
volumes: {data: {}}
`, "IMAGE", image))
	// The step volumes answers for the named volume.
	t.Cleanup(func() { dockertest.Docker(t, "volume", "rm", "--force", projects(r.cfg, r.s)[1]+"_data") })
	left := func() []string {
		return slices.DeleteFunc(dockertest.Left(t, docker.LabelSession+"="+r.s.ID), func(one string) bool { return strings.HasPrefix(one, "volume ") })
	}
	trial := r.trial(t, composeStep+":data/compose.yaml", func() error {
		if have := left(); len(have) != 2 {
			return fmt.Errorf("there is %v, want a container and a network", have)
		}
		return nil
	}, func() error {
		if have := left(); len(have) != 0 {
			return fmt.Errorf("left: %v", have)
		}
		return nil
	})
	trial.Damage = map[string]func() error{"container gone": func() error {
		ids := strings.Fields(dockertest.Docker(t, "ps", "-aq", "--filter", "label="+docker.LabelSession+"="+r.s.ID))
		dockertest.Docker(t, append([]string{"rm", "-f"}, ids...)...)
		return nil
	}}
	return trial
}

// volumesTrial is the step volumes together with what Compose does after it.
type volumesTrial struct {
	saga.Step
	make func()
}

// Do makes a volume as Compose makes it.
func (v volumesTrial) Do(ctx context.Context, a *saga.Attempt) error {
	if err := v.Step.Do(ctx, a); err != nil {
		return err
	}
	v.make()
	return nil
}

func newVolumesTrial(t *testing.T) sagatest.Trial {
	dockertest.Require(t)
	r := newRig(t, func(c *settings.Config) { c.Mode = settings.ModeContainer })
	dockertest.Clean(t, docker.LabelSession+"="+r.s.ID)
	project := Project(r.cfg, r.s)
	is := func(want int) func() error {
		return func() error {
			if have := dockertest.Left(t, "com.docker.compose.project="+project); len(have) != want {
				return fmt.Errorf("there is %v, want %d volumes", have, want)
			}
			return nil
		}
	}
	trial := r.trial(t, volumesKind, is(1), is(0))
	build := trial.Build
	trial.Build = func() (saga.Step, error) {
		step, err := build()
		return volumesTrial{step, func() {
			dockertest.Docker(t, "volume", "create", "--label", docker.LabelSession+"="+r.s.ID, "--label", "com.docker.compose.project="+project, project+"_data")
		}}, err
	}
	return trial
}

// rig is a repository and a session, with what surrounds an attempt in production.
type rig struct {
	s    session.Session
	cfg  settings.Config
	kit  Kit
	home testHome
}

// Session and Lease implement session.Handle.
func (r *rig) Session() session.Session { return r.s }

func (r *rig) Lease(wants []session.Want) (session.Session, error) {
	for _, want := range wants {
		if len(want.Candidates) == 0 {
			return r.s, session.ErrExhausted
		}
		r.s.Ports[want.Name] = want.Candidates[0]
	}
	return r.s, nil
}

// newRig makes a repository of one commit.
func newRig(t *testing.T, change func(*settings.Config)) *rig {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "repo")
	cfg := settings.Defaults()
	cfg.Mode = settings.ModeHost
	if change != nil {
		change(&cfg)
	}
	r := &rig{cfg: cfg, home: testHome(filepath.Join(dir, "state"))}
	r.kit = Kit{Home: r.home}
	id := rand.Text()
	r.s = session.Session{
		Key: session.Key{Repo: filepath.Join(root, ".git"), Slug: "feat-x"}, ID: id, Root: root, Branch: "feat/x", Mode: cfg.Mode,
		Worktree: filepath.Join(root, ".ecluse/worktrees/feat-x"), Slot: 1, Ports: map[string]int{"app": 3001},
		Run: session.Run{ID: rand.Text(), Verb: session.VerbUp},
	}
	if r.s.Settings, err = settings.Encode(cfg); err != nil {
		t.Fatal(err)
	}
	if r.s.Plan, err = Plan(cfg); err != nil {
		t.Fatal(err)
	}
	r.git(t, dir, "init", "-q", "-b", "main", "repo")
	r.put(t, filepath.Join(root, "file"), "text\n")
	r.put(t, filepath.Join(root, ".gitignore"), ".env\n")
	r.git(t, root, "add", "-A")
	r.git(t, root, "commit", "-q", "-m", "first")
	return r
}

// trial is a step of the rig's plan.
func (r *rig) trial(t *testing.T, step string, present, absent func() error) sagatest.Trial {
	t.Helper()
	i := r.s.Plan.Index(step)
	if i < 0 {
		t.Fatalf("the plan has no %s:\n%s", step, r.s.Plan)
	}
	spec := r.s.Plan.Steps[i]
	return sagatest.Trial{
		Spec: spec, Present: present, Absent: absent,
		Build: func() (saga.Step, error) { return r.kit.Build(r, spec) },
		Surround: func(ctx context.Context, a *saga.Attempt) (context.Context, saga.Finish, error) {
			return r.kit.Prepare(ctx, r, spec, a)
		},
	}
}

func hookOf(run string) *config.OneOrTable[settings.Hook] {
	return &config.OneOrTable[settings.Hook]{Value: settings.Hook{Run: run}}
}

func (r *rig) git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@t"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (r *rig) put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// addWorktree makes the worktree for steps that come after it.
func (r *rig) addWorktree(t *testing.T) {
	r.git(t, r.s.Root, "worktree", "add", "-q", "-b", r.s.Branch, r.s.Worktree)
}

// fileIs looks for a file in the main worktree, inWorktree in the session's.
func (r *rig) fileIs(name string, want bool) func() error {
	return func() error { return fileIs(filepath.Join(r.s.Root, name), want) }
}

func (r *rig) inWorktree(name string, want bool) error {
	return fileIs(filepath.Join(r.s.Worktree, name), want)
}

func fileIs(path string, want bool) error {
	_, err := os.Stat(path)
	if have := !errors.Is(err, fs.ErrNotExist); have != want {
		return fmt.Errorf("%s is there: %t, want %t", path, have, want)
	}
	return nil
}

// worktreeIs looks for the worktree and its branch.
func (r *rig) worktreeIs(want bool) func() error {
	return func() error {
		out, err := exec.Command("git", "-C", r.s.Root, "worktree", "list", "--porcelain").Output()
		if err != nil {
			return err
		}
		branch := exec.Command("git", "-C", r.s.Root, "rev-parse", "-q", "--verify", "refs/heads/"+r.s.Branch).Run() == nil
		if have := strings.Contains(string(out), "worktree "+r.s.Worktree+"\n"); have != want || branch != want {
			return fmt.Errorf("worktree %t, branch %t, want %t", have, branch, want)
		}
		return fileIs(filepath.Join(r.s.Worktree, "file"), want)
	}
}

// runs counts the processes of a step.
func (r *rig) runs(step string, want int) func() error {
	return func() error {
		ids, err := proc.Carrying(Marks(r.s, step)...)
		if err == nil && len(ids) != want {
			err = fmt.Errorf("%d processes of %s run, want %d", len(ids), step, want)
		}
		return err
	}
}

// testHome is a Home in a folder.
type testHome string

func (h testHome) Dir(session.Key) string    { return filepath.Join(string(h), "session") }
func (h testHome) LogDir(session.Key) string { return filepath.Join(string(h), "logs") }
func (h testHome) StepLockPath(_ session.Key, step string) string {
	return filepath.Join(string(h), "session", "locks", url.PathEscape(step))
}

func (h testHome) StepLock(key session.Key, step string) (*os.File, error) {
	path := h.StepLockPath(key, step)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = os.ErrExist
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
