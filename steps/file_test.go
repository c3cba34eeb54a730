package steps

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ecluse/saga"
	"ecluse/steps/config"
	"ecluse/steps/plain"
	"ecluse/steps/settings"
)

// promptly calls do, and fails the test if it does not return soon.
func promptly(t *testing.T, do func() error) error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- do() }()
	select {
	case err := <-result:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("it hangs")
		return nil
	}
}

// refused fails the test unless do ends soon, for good, because of what is no file.
func refused(t *testing.T, do func() error) {
	t.Helper()
	err := promptly(t, do)
	if !errors.Is(err, plain.ErrNotPlain) && !errors.Is(err, errNeither) || !saga.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}

// others make what is no plain file.
var others = map[string]func(path string) error{
	"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	"device": func(path string) error { return os.Symlink("/dev/zero", path) },
}

func TestWhatIsNoFileIsNotInherited(t *testing.T) {
	r := newEnvRig(t, settings.Inherit{File: "pipe", Mode: "copy"})
	ok(t, syscall.Mkfifo(filepath.Join(r.s.Root, "pipe"), 0o600))
	step := newEnv(r.Target, saga.Spec{})
	refused(t, func() error { return r.do(t, step) })
	ok(t, promptly(t, func() error { return r.compensate(t, step) }))
}

func TestACopyThatBecameAPipeStays(t *testing.T) {
	r := newEnvRig(t, settings.Inherit{File: "x", Mode: "copy"})
	r.put(t, r.s.Root, "x", "A=1\n")
	step := newEnv(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	path := filepath.Join(r.s.Worktree, "x")
	ok(t, os.Remove(path))
	ok(t, syscall.Mkfifo(path, 0o600))
	ok(t, promptly(t, func() error { return r.compensate(t, step) }))
	if !exists(path) {
		t.Error("what somebody else has put there was removed")
	}
}

func TestAnEnvFileThatIsAPipeIsNotWhole(t *testing.T) {
	r := newEnvRig(t)
	step := newEnv(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	path := filepath.Join(r.s.Worktree, settings.EnvFile)
	ok(t, os.Remove(path))
	ok(t, syscall.Mkfifo(path, 0o600))
	refused(t, func() error { return r.verify(t, step) })
}

func TestACopyEndsWithItsContext(t *testing.T) {
	r := newEnvRig(t)
	huge, err := os.Create(filepath.Join(r.s.Root, "huge"))
	ok(t, err)
	defer huge.Close()
	ok(t, huge.Truncate(1<<40))
	h, err := openHeritage(r.s)
	ok(t, err)
	defer h.close()
	want := errors.New("stopped")
	for name, act := range map[string]func(context.Context) error{
		"digest": func(ctx context.Context) error { _, err := h.note(ctx, "huge", settings.InheritCopy); return err },
		"copy":   func(ctx context.Context) error { _, err := h.carry(ctx, "huge", settings.InheritCopy); return err },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, want)
			defer cancel()
			if err := promptly(t, func() error { return act(ctx) }); !errors.Is(err, want) {
				t.Errorf("%v", err)
			}
		})
	}
	if exists(filepath.Join(r.s.Worktree, part("huge"))) {
		t.Error("half a copy is left")
	}
}

func TestAServiceReadsOnlyFiles(t *testing.T) {
	for name, put := range others {
		t.Run(name, func(t *testing.T) {
			ts := serviceOf(t, settings.Service{Command: "exec sleep 1000", Ready: settings.Ready{Command: "true"}})
			ok(t, put(filepath.Join(ts.s.Worktree, ".env")))
			refused(t, func() error { return ts.do(t) })
		})
	}
}

func TestInputsAreFiles(t *testing.T) {
	for name, put := range others {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *settings.Config) {
				c.Hooks.PreUp = &config.OneOrTable[settings.Hook]{Value: settings.Hook{Run: "touch ran", Inputs: []string{"input"}}}
			})
			ok(t, put(filepath.Join(r.s.Root, "input")))
			step, err := r.kit.Build(r, r.s.Plan.Steps[r.s.Plan.Index("hook:pre_up")])
			ok(t, err)
			refused(t, func() error { return step.Do(t.Context(), saga.NewAttempt("hook:pre_up", nil, nil)) })
			ok(t, r.fileIs("ran", false)())
		})
	}
}
