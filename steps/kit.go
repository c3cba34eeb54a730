package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/proc"
	"ecluse/steps/run"
	"ecluse/steps/settings"
)

// Home is where the files of sessions are: the state folder, as the steps need
// to know it.
type Home interface {
	// Dir is a session's private folder; it goes with the session.
	Dir(session.Key) string
	// LogDir is the folder of a session's logs; it outlives the session.
	LogDir(session.Key) string
	// StepLock takes the lock of a step, for its children to inherit. Two
	// steps never have one, whatever is in their names. The error wraps
	// os.ErrExist when somebody holds it.
	StepLock(key session.Key, step string) (*os.File, error)
	// StepLockPath is the lock's file.
	StepLockPath(key session.Key, step string) string
}

// Kit builds, prepares and drains the steps of sessions. It implements
// [session.Steps].
type Kit struct {
	Home Home
	// Point is called when a program was started and when it has ended, for
	// tests that end the process there. Nil in production.
	Point func(name string)
}

var _ session.Steps = Kit{}

const (
	// Grace is the time between TERM and KILL.
	Grace = 5 * time.Second
	// drainPatience is how long an orphan may go on to end by itself: git
	// mostly finishes what it is at.
	drainPatience = 2 * time.Second
	// drainLimit bounds the wait for orphans to be gone after that.
	drainLimit = time.Minute
	// lockPatience is how long a step's lock may be held while nobody is seen to hold it,
	// lockPause the time between two looks.
	lockPatience = 5 * time.Second
	lockPause    = 5 * time.Millisecond
)

// Build implements [session.Steps].
func (k Kit) Build(h session.Handle, spec saga.Spec) (saga.Step, error) {
	s := h.Session()
	cfg, err := ConfigOf(s)
	if err != nil {
		return nil, err
	}
	return build(&Target{Handle: h, Config: cfg, Dir: k.Home.Dir(s.Key), LogFile: LogPath(k.Home, s, spec.Name, false)}, spec)
}

// lockName is the name of the lock of a step's attempt. Do and Compensate have
// one each: what a Do that is done left running on purpose (a daemon that a hook
// started) must not keep Compensate from its chance to stop it in good order.
func lockName(step string, compensating bool) string {
	if compensating {
		return step + ".compensate"
	}
	return step + ".do"
}

// Prepare implements [session.Steps]: the attempt's children write to its log,
// carry its name in their environment, and inherit its lock. When the run is to be
// left at once, they are not waited for any more, but killed.
func (k Kit) Prepare(ctx context.Context, h session.Handle, spec saga.Spec, a *saga.Attempt) (context.Context, saga.Finish, error) {
	s := h.Session()
	ctx = proc.Hurry(ctx, saga.Abandoned(ctx))
	lock, err := k.lock(ctx, s, lockName(spec.Name, a.Compensating), func(text string) { a.Report("%s", text) })
	if err != nil {
		return nil, nil, err
	}
	log, err := k.openLog(s, spec, a)
	if err != nil {
		_ = lock.Close()
		return nil, nil, err
	}
	finish := func(err error) error {
		_, _ = log.Close(), lock.Close()
		if err == nil && !a.Compensating {
			return nil
		}
		return errors.Join(err, k.sweep(ctx, s, spec.Name))
	}
	return run.With(ctx, run.Inherit{
		Env:   append(Marks(s, spec.Name), settings.EnvRun+"="+s.Run.ID, settings.EnvAttempt+"="+strconv.Itoa(a.Number)),
		Files: []*os.File{lock}, Log: log, LogLimit: logLimit, Grace: Grace, Point: k.Point,
	}), finish, nil
}

// lock takes a step's lock. If it is held, an attempt before this one left something
// running. It was not cut off: Drain came before. So it has no work to finish, it is a
// daemon. Of a process that was killed the kernel lets the lock go a moment after it shows
// that it has no file open any more.
func (k Kit) lock(ctx context.Context, s session.Session, name string, report func(string)) (*os.File, error) {
	for deadline := time.Now().Add(lockPatience); ; {
		lock, err := k.Home.StepLock(s.Key, name)
		if !errors.Is(err, os.ErrExist) {
			return lock, err
		}
		last := time.Now().After(deadline)
		if err := k.drain(ctx, s, name, 0, report); err != nil {
			return nil, err
		}
		if last {
			return k.Home.StepLock(s.Key, name)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// Marks is the environment by which what a step started is found again.
func Marks(s session.Session, step string) []string {
	return []string{settings.EnvSession + "=" + s.ID, settings.EnvStep + "=" + step}
}

// sweep ends whatever a step has started and that still runs: its attempt failed,
// or it was compensated. A hook that succeeded may leave a daemon until then.
func (k Kit) sweep(ctx context.Context, s session.Session, step string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
	defer cancel()
	err := proc.Stop(ctx, Grace, func() ([]proc.ID, error) { return proc.Carrying(Marks(s, step)...) })
	if err != nil {
		return fmt.Errorf("end what the step left running: %w", err)
	}
	return nil
}

// LogPath is the log of a step's attempts in a run: "<run>/03-compose.log".
func LogPath(home Home, s session.Session, step string, compensating bool) string {
	return LogOf{s.Key, s.Run.ID, step, s.Plan.Index(step) + 1, compensating}.Path(home)
}

// LogOf says whose log is meant.
type LogOf struct {
	session.Key
	Run, Step string
	// Index of the step in its plan, from 1.
	Index        int
	Compensating bool
}

// Path of the log.
func (l LogOf) Path(home Home) string {
	name := fmt.Sprintf("%02d-%s", l.Index, strings.NewReplacer("/", "_", ":", "-").Replace(l.Step))
	if l.Compensating {
		name += ".compensate"
	}
	return filepath.Join(home.LogDir(l.Key), l.Run, name+".log")
}

// logLimit is how much a log holds of what one program of a step writes.
const logLimit = 64 << 20

// openLog opens the attempt's log.
func (k Kit) openLog(s session.Session, spec saga.Spec, a *saga.Attempt) (*os.File, error) {
	path := LogPath(k.Home, s, spec.Name, a.Compensating)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the log folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the step's log: %w", err)
	}
	return file, nil
}

// Drain implements [session.Steps].
func (k Kit) Drain(ctx context.Context, s session.Session, step string, report func(string)) error {
	for _, compensating := range []bool{false, true} {
		if err := k.drain(ctx, s, lockName(step, compensating), drainPatience, report); err != nil {
			return err
		}
	}
	return nil
}

// drain returns once nobody holds a step's lock: whoever does is waited for with
// patience, then ended.
func (k Kit) drain(ctx context.Context, s session.Session, name string, patience time.Duration, report func(string)) error {
	path := k.Home.StepLockPath(s.Key, name)
	holders := func() ([]proc.ID, error) { return proc.Holding(path) }
	ids, err := holders()
	if err != nil || len(ids) == 0 {
		return err
	}
	report(fmt.Sprintf("waiting for what an earlier attempt left running: %s", proc.Describe(ids[0])))
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	if proc.Await(ctx, patience, holders) == nil {
		return nil
	}
	return proc.Stop(ctx, Grace, holders)
}
