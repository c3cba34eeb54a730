package steps

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ecluse/saga"
	"ecluse/steps/config"
	"ecluse/steps/settings"
	"ecluse/steps/settings/settingstest"
)

// busy is a configuration with a step of every kind that needs no Docker.
func busy(steps ...settings.UserStep) settings.Config {
	cfg := settings.Defaults()
	cfg.Mode = settings.ModeHybrid
	cfg.Hooks = settings.Hooks{PreUp: hookOf("true"), PreSpawn: hookOf("true"), PostUp: hookOf("true")}
	cfg.Services = []settings.Service{
		{Name: "web", BasePort: 3000, Command: "web"}, {Name: "api", BasePort: 4000, Command: "api"},
		{Name: "db", BasePort: 5000, Run: settings.RunDocker, Compose: "a/compose.yaml"}, {Name: "cache", BasePort: 6000, Run: settings.RunDocker, Compose: "b/compose.yaml"},
	}
	cfg.Databases = []settings.Database{{Name: "main", Engine: settings.EnginePostgres, URL: "postgres://u@localhost/app"}}
	for i := range steps {
		steps[i].Do = "true"
	}
	cfg.Steps = steps
	return cfg
}

func needs(names ...string) *config.Strings {
	list := config.Strings(names)
	return &list
}

func TestWhereStepsStand(t *testing.T) {
	compose := []string{"compose:a/compose.yaml", "compose:b/compose.yaml"}
	for name, test := range map[string]struct {
		user   settings.UserStep
		choice settings.Choice
		want   []string
	}{
		"by default":         {settings.UserStep{}, settings.Choice{}, []string{"env", "service:api", "service:web"}},
		"worktree":           {settings.UserStep{Needs: needs("worktree")}, settings.Choice{}, []string{"env", "worktree"}},
		"nothing":            {settings.UserStep{Needs: needs()}, settings.Choice{}, []string{"env"}},
		"nothing, in main":   {settings.UserStep{Needs: needs(), Dir: settings.RootPrefix}, settings.Choice{}, []string{"hook:pre_up"}},
		"a kind":             {settings.UserStep{Needs: needs("compose")}, settings.Choice{}, append(slices.Clone(compose), "env")},
		"one of a kind":      {settings.UserStep{Needs: needs(compose[1])}, settings.Choice{}, []string{compose[1], "env"}},
		"a hook":             {settings.UserStep{Needs: needs("hook:pre_spawn")}, settings.Choice{}, []string{"env", "hook:pre_spawn"}},
		"a database":         {settings.UserStep{Needs: needs("database:main")}, settings.Choice{}, []string{"database:main", "env"}},
		"another, by name":   {settings.UserStep{Needs: needs("other")}, settings.Choice{}, []string{"env", "step:other"}},
		"another, as step":   {settings.UserStep{Needs: needs("step:other")}, settings.Choice{}, []string{"env", "step:other"}},
		"before a service":   {settings.UserStep{Before: config.Strings{"service:web"}}, settings.Choice{}, []string{"env"}},
		"one that is left":   {settings.UserStep{Needs: needs("service:web")}, settings.Choice{Skip: []string{"web"}}, []string{"env", "hook:pre_spawn"}},
		"all that is left":   {settings.UserStep{Needs: needs("service")}, settings.Choice{Skip: []string{"web"}}, []string{"env", "hook:pre_spawn", "service:api"}},
		"no containers left": {settings.UserStep{Needs: needs("compose")}, settings.Choice{Only: []string{"web"}}, []string{"env"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.user.Name = "own"
			cfg := busy(test.user, settings.UserStep{Name: "other", Needs: needs("worktree")})
			cfg.Choice = test.choice
			plan, err := Plan(cfg)
			ok(t, err)
			step := plan.Steps[plan.Index("step:own")]
			if !slices.Equal(step.Needs, test.want) {
				t.Errorf("it needs %q, not %q", step.Needs, test.want)
			}
			last := plan.Steps[len(plan.Steps)-1]
			all := map[string][]string{}
			for _, s := range plan.Steps {
				all[s.Name] = s.Needs
			}
			if last.Name != "hook:post_up" {
				t.Errorf("the last is %s", last.Name)
			}
			for _, s := range plan.Steps {
				if !reaches(all, last.Name, s.Name) {
					t.Errorf("post_up does not wait for %s", s.Name)
				}
			}
			if waits := reaches(all, "service:web", "step:own"); waits != (len(test.user.Before) > 0) && test.choice.String() == "" {
				t.Errorf("service:web waits for it: %t", waits)
			}
		})
	}
}

// Steps of the user's own change nothing about the others.
func TestOtherStepsStay(t *testing.T) {
	bare, err := Plan(busy())
	ok(t, err)
	with, err := Plan(busy(settings.UserStep{Name: "one", Needs: needs("worktree")}, settings.UserStep{Name: "two"}))
	ok(t, err)
	with.Steps = slices.DeleteFunc(with.Steps, func(s saga.Spec) bool { return s.Kind == commandKind })
	for i, s := range bare.Steps[:len(bare.Steps)-1] {
		if got := with.Steps[i]; got.Name != s.Name || strings.Join(slices.Sorted(slices.Values(got.Needs)), " ") != strings.Join(slices.Sorted(slices.Values(s.Needs)), " ") {
			t.Errorf("%s needs %q instead of %s, %q", got.Name, got.Needs, s.Name, s.Needs)
		}
	}
}

func TestThePolicyOfAStep(t *testing.T) {
	plan, err := Plan(busy(settings.UserStep{Name: "plain"}))
	ok(t, err)
	want := saga.Policy{Timeout: hookTimeout, CompensateTimeout: hookTimeout, CompensateRetries: 2, Backoff: time.Second}
	if got := plan.Steps[plan.Index("step:plain")].Policy; got != want {
		t.Errorf("got %+v", got)
	}
	cfg, err := loadText(t, `mode = "host"
[[steps]]
name = "own"
do = "true"
undo = "true"
timeout = 0
undo_timeout = "3s"
retries = 4
undo_retries = 0
backoff = "5s"
best_effort = true
`)
	ok(t, err)
	plan, err = Plan(cfg)
	ok(t, err)
	want = saga.Policy{CompensateTimeout: 3 * time.Second, Retries: 4, Backoff: 5 * time.Second, BestEffort: true}
	if got := plan.Steps[plan.Index("step:own")].Policy; got != want {
		t.Errorf("got %+v", got)
	}
}

func TestStepsThatCannotBe(t *testing.T) {
	const head = "mode = \"host\"\n[[services]]\nname = \"web\"\nbase_port = 3000\ncommand = \"web\"\n[[steps]]\nname = \"a\"\n"
	for lines, want := range map[string][]string{
		`undo = "x"`:                {":6:", "step a has no do"},
		`do = " "`:                  {":8:6", "do is empty"},
		"do = \"x\"\nundo = \"\"":   {":9:", "undo is empty"},
		`do = "x\u0000"`:            {":8:", "zero byte"},
		"do = \"x\"\nneeds = \"b\"": {":9:9", `no step "b" in mode host`, "there are: worktree, env, service:web, a"},
		"do = \"x\"\nneeds = [\"env\", \"wroktree\"]":                                   {":9:17", "did you mean worktree?"},
		"do = \"x\"\nneeds = \"compose\"":                                               {":9:", "mode host"},
		"do = \"x\"\nneeds = \"hook\"":                                                  {":9:", `no step "hook"`},
		"do = \"x\"\nneeds = \"hook:post_up\"":                                          {":9:", "after every other step"},
		"do = \"x\"\nneeds = \"a\"":                                                     {":9:", "step:a needs step:a"},
		"do = \"x\"\nbefore = \"env\"":                                                  {":9:", "step:a needs env needs step:a"},
		"do = \"x\"\nbefore = \"nothing\"":                                              {":9:", `no step "nothing"`},
		"do = \"x\"\nneeds = \"service\"\nbefore = \"service:web\"":                     {":9:", "step:a needs service:web needs step:a"},
		"do = \"x\"\nneeds = \"b\"\n[[steps]]\nname = \"b\"\ndo = \"x\"\nneeds = \"a\"": {":9:", "step:a needs step:b needs step:a"},
		"do = \"x\"\n[[steps]]\nname = \"a\"\ndo = \"x\"":                               {":10:", "two steps are named a"},
		"do = \"x\"\n[[steps]]\nname = \"worktree\"\ndo = \"x\"":                        {":10:", "built-in step"},
		"do = \"x\"\n[[steps]]\nname = \"A:b\"\ndo = \"x\"":                             {":10:", "cannot name a step"},
		"do = \"x\"\n[[steps]]\ndo = \"x\"":                                             {":9:", "needs a name"},
		"do = \"x\"\ndir = \"../up\"":                                                   {":9:", "dir is"},
		"do = \"x\"\ndir = \"${ECLUSE_ROOT}/..\"":                                       {":9:", "dir is"},
		"do = \"x\"\ninputs = [\"in\", \"/etc\"]":                                       {":9:17", "does not stay inside"},
		"do = \"x\"\nretries = -1":                                                      {":9:", "retries"},
		"do = \"x\"\nundo_retries = 2":                                                  {":9:", "no undo"},
		"do = \"x\"\nundo_timeout = \"2s\"":                                             {":9:", "no undo"},
		"do = \"x\"\nundo = \"x\"\nundo_retries = 101":                                  {":10:", "undo_retries"},
		"do = \"x\"\nneed = \"env\"":                                                    {":9:", "did you mean needs?"},
	} {
		_, err := loadText(t, head+lines)
		if err == nil {
			t.Errorf("taken:\n%s", lines)
			continue
		}
		for _, word := range want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s\n\tdoes not say %q:\n%v", lines, word, err)
			}
		}
		if n := strings.Count(err.Error(), ".ecluse.toml:"); n != 1 {
			t.Errorf("%s\n\tis told of %d times:\n%v", lines, n, err)
		}
	}
}

func TestBestEffortOfHooks(t *testing.T) {
	cfg, err := loadText(t, "mode = \"host\"\n[hooks]\npost_up = { run = \"x\", best_effort = true }")
	ok(t, err)
	plan, err := Plan(cfg)
	ok(t, err)
	if !plan.Steps[plan.Index("hook:post_up")].Policy.BestEffort {
		t.Error("it is required")
	}
	for _, name := range []string{"pre_down", "post_down", "on_down"} {
		_, err := loadText(t, "mode = \"host\"\n[hooks]\n"+name+" = { run = \"x\", best_effort = true }")
		mustSay(t, err, ":3:", "best_effort", "--no-hooks")
	}
}

// loadText loads a configuration from a folder of its own.
func loadText(t *testing.T, text string) (settings.Config, error) {
	t.Helper()
	return LoadConfig(settingstest.Root(t, text))
}
