package steps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/steps/config"
	"ecluse/steps/run"
)

// hookPair is a hook of the way up and the one of the way down that mirrors it.
// The first is the Do of a step and the second its Compensate.
type hookPair struct {
	up, down string
	// root: they run in the main worktree, and not in the session's.
	root bool
	of   func(Hooks) (up, down *config.OneOrTable[Hook])
}

// The hooks, in the order of an up.
var (
	preUp = hookPair{up: "pre_up", down: "post_down", root: true, of: func(h Hooks) (_, _ *config.OneOrTable[Hook]) {
		return h.PreUp, h.PostDown
	}}
	preSpawn = hookPair{up: "pre_spawn", of: func(h Hooks) (_, _ *config.OneOrTable[Hook]) {
		return h.PreSpawn, nil
	}}
	postUp = hookPair{up: "post_up", down: "pre_down", of: func(h Hooks) (_, _ *config.OneOrTable[Hook]) {
		return h.PostUp, h.PreDown
	}}
)

// hookTimeout is how long a hook may take that does not say.
const hookTimeout = 10 * time.Minute

// hook runs the commands of a [hookPair].
type hook struct {
	*Target
	pair hookPair
}

var (
	_ saga.Step     = hook{}
	_ saga.Verifier = hook{}
)

// planHook adds the step of a pair of which at least one hook is configured.
func planHook(pair hookPair) func(*planner) {
	return func(p *planner) {
		up, down := pair.of(p.cfg.Hooks)
		if up == nil && down == nil {
			return
		}
		spec := saga.Spec{
			Name: "hook:" + pair.up, Kind: "hook", Cause: "hooks in .ecluse.toml",
			Does: "nothing", Reverts: "nothing",
			Policy: saga.Policy{Backoff: time.Second},
		}
		if up != nil {
			spec.Does = "run " + up.Value.Run
			spec.Policy.Timeout, spec.Policy.Retries = or(up.Value.Timeout, hookTimeout), up.Value.Retries
		}
		if down != nil {
			spec.Reverts = "run " + pair.down + ": " + down.Value.Run
			spec.Policy.CompensateTimeout, spec.Policy.CompensateRetries = or(down.Value.Timeout, hookTimeout), down.Value.Retries
		}
		p.add(spec)
	}
}

func newHook(t *Target, spec saga.Spec) saga.Step {
	for _, pair := range []hookPair{preUp, preSpawn, postUp} {
		if spec.Name == "hook:"+pair.up {
			return hook{t, pair}
		}
	}
	return hook{t, hookPair{of: func(Hooks) (_, _ *config.OneOrTable[Hook]) { return nil, nil }}}
}

// hookFact is on record while the last thing that became of a hook is that it
// succeeded.
type hookFact struct {
	Succeeded bool `json:"succeeded"`
	// Place is the folder that it ran in: what it did there is gone with it.
	Place string `json:"place,omitempty"`
	// Fingerprint of the hook and its inputs at that time.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// factHook is the key of a [hookFact].
const factHook = "hook"

// Do runs the hook.
func (h hook) Do(ctx context.Context, a *saga.Attempt) error {
	up, _ := h.pair.of(h.Config.Hooks)
	if up == nil {
		return nil
	}
	if err := h.checkInputs(up.Value); err != nil {
		return err
	}
	if err := h.forget(a); err != nil {
		return err
	}
	if err := h.run(ctx, up.Value); err != nil {
		return fmt.Errorf("%s: %w", h.pair.up, err)
	}
	fact := hookFact{Succeeded: true, Place: place(h.dir())}
	if len(up.Value.Inputs) > 0 {
		var err error
		if fact.Fingerprint, err = h.fingerprint(ctx, up.Value); err != nil {
			return err
		}
	}
	return a.Save(factHook, fact)
}

// forget takes back that the hook succeeded, before something is done that makes
// it untrue.
func (h hook) forget(a *saga.Attempt) error {
	var fact hookFact
	if _, err := a.Load(factHook, &fact); err != nil || !fact.Succeeded {
		return err
	}
	return a.Save(factHook, hookFact{})
}

// Verify tells whether a hook has to run (again): when it was cut off, and nobody
// can tell how far it came; or when its inputs have changed since it succeeded.
// What the run in hand has changed itself does not count.
func (h hook) Verify(ctx context.Context, a *saga.Attempt) error {
	up, _ := h.pair.of(h.Config.Hooks)
	if up == nil {
		return nil
	}
	var fact hookFact
	if _, err := a.Load(factHook, &fact); err != nil {
		return err
	}
	if !fact.Succeeded {
		return fmt.Errorf("%s has not succeeded, or was cut off", h.pair.up)
	}
	if place(h.dir()) != fact.Place {
		return fmt.Errorf("the folder that %s ran in was made anew", h.pair.up)
	}
	if len(up.Value.Inputs) == 0 || !a.Resumed && h.Session().State != fsm.Active {
		return nil
	}
	now, err := h.fingerprint(ctx, up.Value)
	if err == nil && now != fact.Fingerprint {
		err = fmt.Errorf("the inputs of %s have changed", h.pair.up)
	}
	return err
}

// Compensate runs the hook's mirror. Without a worktree there is nowhere to run
// what belongs there, and its absence must not keep a session from going.
func (h hook) Compensate(ctx context.Context, a *saga.Attempt) error {
	_, down := h.pair.of(h.Config.Hooks)
	if err := h.forget(a); err != nil {
		return err
	}
	if down == nil || h.Options().NoHooks {
		return nil
	}
	if !h.pair.root && !exists(h.Session().Worktree) {
		a.Warn("%s was not run: its worktree %s is gone", h.pair.down, h.Session().Worktree)
		return nil
	}
	if err := h.run(ctx, down.Value); err != nil {
		return fmt.Errorf("%s: %w; mend it and run the command again, or go on without it: ecluse down %s --no-hooks",
			h.pair.down, err, h.Session().Slug)
	}
	return nil
}

// place tells a folder from another one that has its name later, by its inode and
// when that was made: inodes are used again, and the numbers of devices change when
// the machine is started. Empty if there is no such folder.
func place(dir string) string {
	var stat unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_INO|unix.STATX_BTIME, &stat) != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d.%09d", stat.Ino, stat.Btime.Sec, stat.Btime.Nsec)
}

// dir is where the pair's hooks run.
func (h hook) dir() string {
	if h.pair.root {
		return h.Session().Root
	}
	return h.Session().Worktree
}

// run runs one hook. Those of the main worktree get neither `[env]` nor databases:
// both may refer to ports that are leased only once there is a worktree.
func (h hook) run(ctx context.Context, hook Hook) error {
	cfg := h.Config
	if h.pair.root {
		cfg = cfg.early()
	}
	vars, err := Environment(cfg, h.Session())
	if err != nil {
		return saga.Permanent(err)
	}
	return run.Shell(h.dir(), hook.Run, list(vars)...).Run(ctx)
}

// list is a map as an environment.
func list(vars map[string]string) []string {
	var env []string
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	return env
}

// checkInputs refuses what cannot be an input before the hook runs, and not after.
func (h hook) checkInputs(hook Hook) error {
	for _, input := range hook.Inputs {
		info, err := os.Stat(filepath.Join(h.dir(), input))
		if err == nil && !info.Mode().IsRegular() {
			return saga.Permanent(fmt.Errorf("input %s of %s: %w; name files in `inputs`", input, h.pair.up, errNoFile))
		}
	}
	return nil
}

// fingerprint sums up the hook and the content of its inputs. An input that is
// missing counts as such, so that it may appear later.
func (h hook) fingerprint(ctx context.Context, hook Hook) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", hook.Run)
	for _, input := range hook.Inputs {
		fmt.Fprintf(sum, "%q\n", input)
		file, err := openFile(filepath.Join(h.dir(), input))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read an input of %s: %w", h.pair.up, err)
		}
		n, err := copyAll(ctx, sum, file)
		_ = file.Close()
		if err != nil {
			return "", fmt.Errorf("read an input of %s: %w", h.pair.up, err)
		}
		fmt.Fprintf(sum, "%d\n", n)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
