package steps

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/steps/config"
	"ecluse/steps/run"
	"ecluse/steps/settings"
)

// ledger is what hooks have written to a file beside the repository.
func (r *rig) ledger(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(r.s.Root), "ledger"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

// record is a hook that adds a line to the ledger.
func record(text string) string { return `echo "` + text + `" >>"$ECLUSE_ROOT/../ledger"` }

func TestWhatHooksSee(t *testing.T) {
	line := record(`$ECLUSE_STEP $ECLUSE_ATTEMPT $ECLUSE_RUN_ID $ECLUSE_SESSION_ID $ECLUSE_SLUG [$TABLE] [$GIT_DIR] $(pwd) $PWD`)
	r := newRig(t, func(c *settings.Config) {
		c.Hooks = settings.Hooks{PreUp: hookOf(line), PostDown: hookOf(line), PreSpawn: hookOf(line), PostUp: hookOf(line), PreDown: hookOf(line)}
		c.Env = map[string]string{"TABLE": "of ${ECLUSE_SLUG}"}
	})
	r.addWorktree(t)
	t.Setenv("GIT_DIR", "/hook")
	t.Setenv("ECLUSE_SESSION_ID", "of another")
	for _, test := range []struct{ step, table, dir string }{
		{"hook:pre_up", "", r.s.Root}, {"hook:pre_spawn", "of feat-x", r.s.Worktree}, {"hook:post_up", "of feat-x", r.s.Worktree},
	} {
		hook := stepOf(t, r, test.step)
		before := r.ledger(t)
		ok(t, hook.do(t))
		want := strings.Join([]string{test.step, "1", r.s.Run.ID, r.s.ID, "feat-x [" + test.table + "] []", test.dir, test.dir}, " ") + "\n"
		if got := strings.TrimPrefix(r.ledger(t), before); got != want {
			t.Errorf("it sees %s, not %s", got, want)
		}
		before = r.ledger(t)
		ok(t, hook.compensate(t))
		if test.step == "hook:pre_spawn" {
			want = ""
		}
		if got := strings.TrimPrefix(r.ledger(t), before); got != want {
			t.Errorf("its mirror sees %s, not %s", got, want)
		}
	}
}

func TestHooksMirrorEachOther(t *testing.T) {
	for name, test := range map[string]struct {
		noHooks, noWorktree bool
		want                string
	}{
		"both":        {want: "pre_up post_up pre_down post_down"},
		"no hooks":    {noHooks: true, want: "pre_up post_up"},
		"no worktree": {noWorktree: true, want: "pre_up post_up post_down"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *settings.Config) {
				c.Hooks = settings.Hooks{
					PreUp: hookOf(record("pre_up")), PostDown: hookOf(record("post_down")),
					PostUp: hookOf(record("post_up")), PreDown: hookOf(record("pre_down")),
				}
			})
			r.addWorktree(t)
			first, last := stepOf(t, r, "hook:pre_up"), stepOf(t, r, "hook:post_up")
			ok(t, first.do(t))
			ok(t, last.do(t))
			r.s.Run.Options.NoHooks = test.noHooks
			if test.noWorktree {
				ok(t, os.RemoveAll(r.s.Worktree))
			}
			ok(t, last.compensate(t))
			ok(t, first.compensate(t))
			if got := strings.Join(strings.Fields(r.ledger(t)), " "); got != test.want {
				t.Errorf("ran %s, not %s", got, test.want)
			}
		})
	}
}

func TestAHookThatFails(t *testing.T) {
	r := newRig(t, func(c *settings.Config) {
		c.Hooks = settings.Hooks{PreUp: hookOf("echo why >&2; setsid sleep 1000 & exit 7"), PostDown: hookOf("exit 8")}
	})
	hook := stepOf(t, r, "hook:pre_up")
	err := hook.do(t)
	// The name of the step stands before it already.
	if want := "echo why >&2; setsid sleep 1000 & exit 7: exit status 7: why"; err == nil || err.Error() != want {
		t.Errorf("it says %v, not %s", err, want)
	}
	if saga.IsPermanent(err) {
		t.Error("it is not tried again")
	}
	ok(t, r.runs("hook:pre_up", 0)())
	mustSay(t, hook.verify(t), "has not succeeded")
	mustSay(t, hook.compensate(t), "exit 8: exit status 8; mend it", "ecluse down feat-x --no-hooks")
}

func TestInputsOfAHook(t *testing.T) {
	r := newRig(t, func(c *settings.Config) {
		c.Hooks.PreUp = &config.OneOrTable[settings.Hook]{Value: settings.Hook{Run: "true", Inputs: []string{"lock", "later", "made"}}}
		c.Hooks.PostDown = hookOf("true")
	})
	lock := filepath.Join(r.s.Root, "lock")
	r.put(t, lock, "one")
	hook := stepOf(t, r, "hook:pre_up")
	mustSay(t, hook.verify(t, true), "has not succeeded")
	ok(t, hook.do(t))
	ok(t, hook.verify(t, true)) // so it is skipped

	r.put(t, lock, "two")
	ok(t, hook.verify(t)) // while it is made, what the run changes does not count
	mustSay(t, hook.verify(t, true), "have changed")
	r.s.State = fsm.Active
	mustSay(t, hook.verify(t), "have changed")
	ok(t, hook.do(t))
	ok(t, hook.verify(t))

	r.put(t, filepath.Join(r.s.Root, "later"), "")
	mustSay(t, hook.verify(t), "have changed")
	ok(t, os.Remove(filepath.Join(r.s.Root, "later")))
	ok(t, hook.verify(t))
	r.cfg.Hooks.PreUp.Value.Run = "true # as of today"
	hook.build(t)
	mustSay(t, hook.verify(t), "have changed")
	ok(t, hook.do(t))

	ok(t, hook.compensate(t))
	mustSay(t, hook.verify(t), "has not succeeded")
}

// A hook that failed after it had succeeded has not succeeded.
func TestAHookThatFailsLater(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Hooks.PreUp = hookOf("test ! -e broken") })
	hook := stepOf(t, r, "hook:pre_up")
	ok(t, hook.do(t))
	ok(t, hook.verify(t))
	r.put(t, filepath.Join(r.s.Root, "broken"), "")
	mustSay(t, hook.do(t), "exit status 1")
	mustSay(t, hook.verify(t), "has not succeeded")
}

// What an attempt prepares reaches its programs, and is theirs alone.
func TestAnAttemptIsPrepared(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Hooks.PreUp = hookOf("echo said") })
	hook := stepOf(t, r, "hook:pre_up")
	ok(t, hook.do(t))
	path := LogPath(r.home, r.s, "hook:pre_up", false)
	if said := run.Tail(path, 0); said != "said" {
		t.Errorf("the log says %q", said)
	}
	info, err := os.Stat(path)
	ok(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the log is %v", info.Mode())
	}
}

func TestADaemonThatAHookLeftIsNotWaitedFor(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Hooks.PreUp = hookOf("setsid sleep 1000 & touch made") })
	hook := stepOf(t, r, "hook:pre_up")
	ok(t, hook.do(t))
	// Each finds the daemon of the one before. On a busy machine some may take long; if
	// it were waited for, all would.
	took := drainPatience
	for try := 0; try < 10 && took >= drainPatience; try++ {
		begun := time.Now()
		ok(t, hook.do(t))
		took = time.Since(begun)
	}
	if took >= drainPatience {
		t.Errorf("it took %s", took)
	}
	ok(t, r.runs("hook:pre_up", 1)())
	ok(t, hook.compensate(t))
	ok(t, r.runs("hook:pre_up", 0)())
}

func TestZeroBytesAreRefused(t *testing.T) {
	for _, lines := range []string{
		`command = "echo \u0000"`, `ready = { command = "echo \u0000" }`, `ready = { http = "/\u0000" }`,
		"[hooks]\npre_up = \"echo \\u0000\"", "[hooks]\npost_down = { run = \"echo \\u0000\" }",
		"[hooks]\npost_up = { run = \"x\", inputs = [\"\\u0000\"] }", "[env]\nA = \"\\u0000\"",
		"[compose]\nprofiles = [\"\\u0000\"]", "[compose]\nfile = \"\\u0000\"",
	} {
		_, err := loadText(t, "mode = \"hybrid\"\n[[services]]\nname = \"web\"\nbase_port = 3000\n"+lines)
		mustSay(t, err, "zero byte")
	}
	_, err := loadText(t, "mode = \"host\"\ninherit_env = [\"\\u0000\"]\napp_label = \"\\u0000\"")
	mustSay(t, err, ".ecluse.toml:2:", ".ecluse.toml:3:")
}
