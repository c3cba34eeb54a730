package steps

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/sagatest"
	"ecluse/steps/config"
	"ecluse/steps/settings"
)

// commandFixtures are steps of the user's own: one that tells how it is, and one that
// does not, in the main worktree.
var commandFixtures = []sagatest.Fixture{
	{Name: "command", New: func(t *testing.T) sagatest.Trial {
		r := newRig(t, withStep(settings.UserStep{
			Name: "bucket", Do: "sleep 0.1; mkdir -p bucket; touch bucket/whole", Undo: "rm -rf bucket", Check: "test -e bucket/whole",
		}))
		r.addWorktree(t)
		is := func(want bool) func() error {
			return func() error {
				return errors.Join(r.inWorktree("bucket", want), r.inWorktree("bucket/whole", want))
			}
		}
		trial := r.trial(t, "step:bucket", is(true), is(false))
		trial.Damage = map[string]func() error{
			"half": func() error { return os.Remove(filepath.Join(r.s.Worktree, "bucket/whole")) },
		}
		return trial
	}},
	{Name: "command with inputs and a daemon", New: func(t *testing.T) sagatest.Trial {
		r := newRig(t, withStep(settings.UserStep{
			Name: "bucket", Do: "setsid sleep 1000 & touch made", Undo: "rm -f made", Dir: settings.RootPrefix, Inputs: []string{"file"},
		}))
		trial := r.trial(t, "step:bucket",
			func() error { return errors.Join(r.fileIs("made", true)(), r.runs("step:bucket", 1)()) },
			func() error { return errors.Join(r.fileIs("made", false)(), r.runs("step:bucket", 0)()) })
		return trial
	}},
}

// withStep is a configuration with steps of the user's own.
func withStep(steps ...settings.UserStep) func(*settings.Config) {
	return func(c *settings.Config) { c.Steps = steps }
}

// bucket is a step in the worktree of a rig.
func bucket(t *testing.T, u settings.UserStep) *trialStep {
	t.Helper()
	u.Name = "bucket"
	r := newRig(t, withStep(u))
	r.addWorktree(t)
	return stepOf(t, r, "step:bucket")
}

func TestWhatACommandSees(t *testing.T) {
	line := record(`$ECLUSE_STEP $ECLUSE_ATTEMPT $ECLUSE_RUN_ID $ECLUSE_SESSION_ID [$TABLE] $PWD`)
	for name, test := range map[string]struct {
		user  settings.UserStep
		table string
		dir   func(*rig) string
	}{
		"worktree":         {settings.UserStep{}, "of feat-x", func(r *rig) string { return r.s.Worktree }},
		"folder":           {settings.UserStep{Dir: "sub"}, "of feat-x", func(r *rig) string { return r.s.Worktree + "/sub" }},
		"main, early":      {settings.UserStep{Dir: settings.RootPrefix, Needs: &config.Strings{}}, "", func(r *rig) string { return r.s.Root }},
		"main, after env":  {settings.UserStep{Dir: settings.RootPrefix}, "of feat-x", func(r *rig) string { return r.s.Root }},
		"folder of main":   {settings.UserStep{Dir: settings.RootPrefix + "/.git"}, "of feat-x", func(r *rig) string { return r.s.Root + "/.git" }},
		"a similar folder": {settings.UserStep{Dir: settings.RootPrefix + "s"}, "of feat-x", func(r *rig) string { return r.s.Worktree + "/" + settings.RootPrefix + "s" }},
	} {
		t.Run(name, func(t *testing.T) {
			test.user.Name, test.user.Do, test.user.Undo, test.user.Check = "bucket", line, line+"; touch $ECLUSE_ROOT/gone", line+"; test ! -e $ECLUSE_ROOT/gone"
			r := newRig(t, func(c *settings.Config) {
				c.Steps = []settings.UserStep{test.user}
				c.Env = map[string]string{"TABLE": "of ${ECLUSE_SLUG}"}
			})
			r.addWorktree(t)
			step := stepOf(t, r, "step:bucket")
			ok(t, os.MkdirAll(test.dir(r), 0o700))
			ok(t, step.do(t))
			ok(t, step.verify(t))
			ok(t, step.compensate(t))
			want := strings.Join([]string{"step:bucket", "1", r.s.Run.ID, r.s.ID, "[" + test.table + "]", test.dir(r)}, " ") + "\n"
			if got := r.ledger(t); got != strings.Repeat(want, 5) { // do, check; check; undo, check
				t.Errorf("it sees\n%s, not five times\n%s", got, want)
			}
		})
	}
}

// Without a check nobody can tell how far one came that was cut off.
func TestACommandWithoutCheck(t *testing.T) {
	step := bucket(t, settings.UserStep{Do: "test ! -e broken"})
	mustSay(t, step.verify(t, true), "cut off")
	ok(t, step.do(t))
	ok(t, step.verify(t))
	broken := filepath.Join(step.s.Worktree, "broken")
	step.put(t, broken, "")
	mustSay(t, step.do(t), "do", "exit status 1")
	mustSay(t, step.verify(t, true), "cut off")
	ok(t, os.Remove(broken))
	ok(t, step.do(t))
	ok(t, step.compensate(t)) // there is no undo
	mustSay(t, step.verify(t), "cut off")
	ok(t, step.do(t))
	step.git(t, step.s.Root, "worktree", "remove", step.s.Worktree)
	step.git(t, step.s.Root, "worktree", "add", "-q", step.s.Worktree, step.s.Branch)
	mustSay(t, step.verify(t), "made anew")
}

// The check has the last word.
func TestTheCheckOfACommand(t *testing.T) {
	step := bucket(t, settings.UserStep{Do: "true", Undo: "true", Check: "echo seen; test -e there"})
	there := filepath.Join(step.s.Worktree, "there")
	mustSay(t, step.do(t), "do succeeded, but the check fails", "seen")
	mustSay(t, step.verify(t, true), "the check fails")
	step.put(t, there, "")
	ok(t, step.verify(t, true)) // it was cut off after its effect
	ok(t, step.do(t))
	ok(t, step.verify(t))
	mustSay(t, step.compensate(t), "undo succeeded, but so does the check")
	ok(t, os.Remove(there))
	mustSay(t, step.verify(t), "the check fails")
	ok(t, step.compensate(t))

	step = bucket(t, settings.UserStep{Do: "true", Undo: "true", Check: "kill -KILL $$"})
	mustSay(t, step.compensate(t), "does not tell")
}

// A check may be true of what was made from earlier inputs.
func TestTheInputsOfACommand(t *testing.T) {
	step := bucket(t, settings.UserStep{Do: "cp in out", Undo: "rm -f out", Check: "test -e out", Inputs: []string{"in"}})
	in := filepath.Join(step.s.Worktree, "in")
	step.put(t, in, "one")
	ok(t, step.do(t))
	ok(t, step.verify(t))
	step.put(t, in, "two")
	ok(t, step.verify(t)) // the run in hand may change them
	step.s.State = fsm.Active
	mustSay(t, step.verify(t), "have changed")
	delete(step.facts, factScript) // as a repair leaves it that is killed before do
	mustSay(t, step.verify(t, true), "cut off")
	ok(t, step.do(t))
	ok(t, step.verify(t))
}

func TestACommandWithoutItsFolder(t *testing.T) {
	step := bucket(t, settings.UserStep{Do: "true", Undo: record("ran"), Dir: "sub"})
	err := step.do(t)
	mustSay(t, err, "sub is not there")
	if !saga.IsPermanent(err) {
		t.Error("it is tried again")
	}
	ok(t, step.compensate(t))
	ok(t, os.RemoveAll(step.s.Worktree))
	ok(t, step.compensate(t))
	if step.ledger(t) != "" {
		t.Error("undo ran")
	}
}

// --no-hooks is about hooks.
func TestACommandIsCompensatedWithoutHooks(t *testing.T) {
	step := bucket(t, settings.UserStep{Do: "true", Undo: record("ran")})
	step.s.Run.Options.NoHooks = true
	ok(t, step.compensate(t))
	if step.ledger(t) != "ran\n" {
		t.Error("undo did not run")
	}
}

func TestTheUndoOfACommandFails(t *testing.T) {
	step := bucket(t, settings.UserStep{Do: "setsid sleep 1000 &", Undo: "echo why; exit 5", Check: "false"})
	mustSay(t, step.compensate(t), "undo", "exit status 5", "why")
	ok(t, step.runs("step:bucket", 0)())
}
