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
	"ecluse/steps/plain"
	"ecluse/steps/run"
)

// hookTimeout is how long a command of the configuration may take that does not say.
const hookTimeout = 10 * time.Minute

// script is what a hook and a step of the user's own have in common: a command of the
// configuration that is the Do of a step.
type script struct {
	*Target
	// What it is called, for people.
	What string
	// Run is handed to `sh -c` in the folder Dir; empty is nothing to do.
	Run, Dir string
	// Inputs are files, relative to Dir.
	Inputs []string
	// Early: it runs before, or whether or not, ports are leased, and gets neither
	// `[env]` nor databases: both may refer to them.
	Early bool
}

// scriptFact is on record while the last thing that became of a script is that it
// succeeded.
type scriptFact struct {
	Succeeded bool `json:"succeeded"`
	// Place is the folder that it ran in: what it did there is gone with it.
	Place string `json:"place,omitempty"`
	// Fingerprint of the script and its inputs at that time.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Data tells which data it may have filled: see dataUnder.
	Data map[string]string `json:"data,omitempty"`
}

// factScript is the key of a [scriptFact].
const factScript = "hook"

// do runs the script and saves that it succeeded. Whole, if it is not nil, must agree.
func (s script) do(ctx context.Context, a *saga.Attempt, whole func(context.Context) error) error {
	if err := s.checkInputs(); err != nil {
		return err
	}
	if err := s.forget(a); err != nil {
		return err
	}
	err := s.exec(ctx, s.Run)
	switch {
	case err != nil && a.Step == "hook:"+s.What: // which stands before it already
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", s.What, err)
	}
	if whole != nil {
		if err := whole(ctx); err != nil {
			return err
		}
	}
	fact := scriptFact{Succeeded: true, Place: place(s.Dir)}
	if len(s.Inputs) > 0 {
		if fact.Fingerprint, err = s.fingerprint(ctx); err != nil {
			return err
		}
	}
	if fact.Data, err = s.dataUnder(a.Step); err != nil {
		return err
	}
	return a.Save(factScript, fact)
}

// forget takes back that the script succeeded, before something is done that makes
// it untrue.
func (s script) forget(a *saga.Attempt) error {
	var fact scriptFact
	if _, err := a.Load(factScript, &fact); err != nil || !fact.Succeeded {
		return err
	}
	return a.Save(factScript, scriptFact{})
}

// succeeded tells whether the script has to run (again): when it was cut off, and
// nobody can tell how far it came; or when the folder that it ran in is another one.
func (s script) succeeded(a *saga.Attempt) error {
	var fact scriptFact
	if _, err := a.Load(factScript, &fact); err != nil {
		return err
	}
	if !fact.Succeeded {
		return fmt.Errorf("%s has not succeeded, or was cut off", s.What)
	}
	if place(s.Dir) != fact.Place {
		return fmt.Errorf("the folder that %s ran in was made anew", s.What)
	}
	data, err := s.dataUnder(a.Step)
	if err != nil {
		return err
	}
	for step, run := range fact.Data {
		if data[step] != run {
			return fmt.Errorf("the data of %s, which %s may have filled, was made anew", step, s.What)
		}
	}
	return nil
}

// unchanged tells whether the inputs are what they were when the script succeeded.
// What the run in hand has changed itself does not count.
func (s script) unchanged(ctx context.Context, a *saga.Attempt) error {
	if len(s.Inputs) == 0 || !a.Resumed && s.Session().State != fsm.Active {
		return nil
	}
	var fact scriptFact
	if _, err := a.Load(factScript, &fact); err != nil {
		return err
	}
	now, err := s.fingerprint(ctx)
	if err == nil && now != fact.Fingerprint {
		err = fmt.Errorf("the inputs of %s have changed", s.What)
	}
	return err
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

// exec runs a command as the script is run. More is added to its environment.
func (s script) exec(ctx context.Context, command string, more ...string) error {
	cfg := s.Config
	if s.Early {
		cfg = cfg.Early()
	}
	vars, err := Environment(cfg, s.Session())
	if err != nil {
		return saga.Permanent(err)
	}
	return run.Shell(s.Dir, command, append(list(vars), more...)...).Run(ctx)
}

// list is a map as an environment.
func list(vars map[string]string) []string {
	var env []string
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	return env
}

// checkInputs refuses what cannot be an input before the script runs, and not after.
func (s script) checkInputs() error {
	for _, input := range s.Inputs {
		info, err := os.Stat(filepath.Join(s.Dir, input))
		if err == nil && !info.Mode().IsRegular() {
			return saga.Permanent(fmt.Errorf("input %s of %s: %w; name files in `inputs`", input, s.What, plain.ErrNotPlain))
		}
	}
	return nil
}

// fingerprint sums up the script and the content of its inputs. An input that is
// missing counts as such, so that it may appear later.
func (s script) fingerprint(ctx context.Context) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", s.Run)
	for _, input := range s.Inputs {
		fmt.Fprintf(sum, "%q\n", input)
		file, err := openFile(filepath.Join(s.Dir, input))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read an input of %s: %w", s.What, err)
		}
		n, err := copyAll(ctx, sum, file)
		_ = file.Close()
		if err != nil {
			return "", fmt.Errorf("read an input of %s: %w", s.What, err)
		}
		fmt.Fprintf(sum, "%d\n", n)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
