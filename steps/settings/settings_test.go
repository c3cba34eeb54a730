package settings_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/config"
	"ecluse/steps/detect"
	"ecluse/steps/settings"
	"ecluse/steps/settings/settingstest"
)

// complete has every key.
const complete = `
mode = "hybrid"
max_slots = 4
prefix = "shop"
worktree_dir = "../trees"
app_label = "role"
app_label_value = "web"
strict_port = true
port_search_range = 3
slot_stride = 2
inherit_env = [".env", { file = "certs", mode = "reflink" }, { file = "local.json", mode = "copy" }, { file = "link" , mode = "symlink" }]

[env]
APP_URL = "http://localhost:${ECLUSE_WEB_PORT}"
DATABASE_URL = "postgres://app@localhost:${DB_PORT}/app$$${ECLUSE_CACHE_PORT}"
NESTED = "${APP_URL}/x"
PATH_OF = "${ECLUSE_ROOT}:${COMPOSE_PROJECT_NAME}"

[compose]
file = ["compose.yaml", "compose.dev.yaml"]
profiles = ["dev"]
timeout = "3m"

[hooks]
pre_up = "make"
pre_spawn = { run = "make deps", timeout = 0, retries = 2, inputs = ["go.sum"] }
post_up = { run = "make seed", timeout = "90s" }
pre_down = "make dump"
post_down = "true"

[[services]]
name = "web"
base_port = 3000
command = "npm run dev"
port_env = "WEB"
extra_ports = [{ base_port = 9229, port_env = ["INSPECT"] }, { base_port = 9429 }]
ready = { http = "/", tcp = true, log = "^up", command = "true", timeout = "2m" }

[[services]]
name = "db"
run = "docker"
base_port = 5432
host_port = 15432
port_env = ["DB_PORT", "PGPORT"]
publish_primary = false
compose = "./compose.yaml"
extra_ports = [{ base_port = 8300, container_port = 8080 }]

[[databases]]
name = "shop"
engine = "postgres"
url = "postgres://app@localhost:${DB_PORT}/shop"
template = "shop_template"
migrate = { run = "make migrate", timeout = "5m" }
inputs = ["migrations", "go.sum"]
url_env = ["SHOP_URL"]
timeout = "30s"

[[steps]]
name = "bucket"
do = "make bucket"
undo = "make drop-bucket"
check = "make has-bucket"
needs = ["worktree"]
before = ["service:web"]
dir = "infra"
timeout = "5m"
undo_timeout = "2m"
retries = 2
undo_retries = 3
backoff = "1s"
inputs = ["bucket.json"]
best_effort = true
`

func TestConfigTakesEveryKey(t *testing.T) {
	cfg, err := load(t, complete)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.SlotStride != 2 || !cfg.StrictPort || cfg.WorktreeDir != "../trees" || !slices.Equal(cfg.Compose.File, []string{"compose.yaml", "compose.dev.yaml"}) {
		t.Errorf("got %+v", cfg)
	}
	hook := cfg.Hooks.PreSpawn.Value
	if hook.Run != "make deps" || hook.Timeout.Or(time.Hour) != 0 || hook.Retries != 2 || !slices.Equal(hook.Inputs, []string{"go.sum"}) {
		t.Errorf("got %+v", hook)
	}
	if got := cfg.Hooks.PostUp.Value; got.Timeout.Or(time.Hour) != 90*time.Second {
		t.Errorf("got %+v", got)
	}
	web, db := cfg.Services[0], cfg.Services[1]
	if !web.Native() || !web.Publishes() || web.HostBase() != 3000 || web.ExtraName(0) != "web.inspect" || web.ExtraName(1) != "web.2" {
		t.Errorf("got %+v", web)
	}
	if db.Native() || db.Publishes() || db.HostBase() != 15432 {
		t.Errorf("got %+v", db)
	}
	if names := settingstest.Keys(reflect.TypeFor[settings.Config]()); slices.ContainsFunc(names, func(word string) bool { return !strings.Contains(complete, word) }) {
		t.Errorf("the sample lacks one of %v", names)
	}
}

func TestConfigSurvivesTheSession(t *testing.T) {
	texts := map[string]string{"complete": complete, "none inherited": "mode = \"host\"\ninherit_env = []", "least": "mode = \"host\""}
	for _, mode := range []string{settings.ModeContainer, settings.ModeHost, settings.ModeHybrid} {
		texts["template of "+mode] = templateFor(t, mode)
	}
	for name, text := range texts {
		want, err := load(t, text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		data, err := settings.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := steps.ConfigOf(session.Session{Settings: data})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestOlderWaysToSayIt(t *testing.T) {
	cfg, err := load(t, `mode = "hybrid"
slot_stride = 0
[hooks]
on_up = "old up"
on_down = { run = "old down", timeout = "1s" }
pre_down = "new down"
[[services]]
name = "my-api"
base_port = 3000
command = "x"
debug_port = 9229
[[services]]
name = "db"
run = "docker"
base_port = 5432
compose = "db/compose.yaml"
extra_ports = [{ base_port = 8300, container_port = 8080 }]
`)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.SlotStride != 1 || cfg.Services[1].Compose != "db/compose.yaml" || cfg.Services[1].Publishes() {
		t.Errorf("got %+v", cfg)
	}
	if cfg.Hooks.PreUp == nil || cfg.Hooks.PreUp.Value.Run != "old up" || cfg.Hooks.PreDown.Value.Run != "new down" {
		t.Errorf("got %+v", cfg.Hooks)
	}
	want := []settings.ExtraPort{{BasePort: 9229, PortEnv: config.Strings{"ECLUSE_MY_API_DEBUG_PORT"}}}
	if diff := cmp.Diff(want, cfg.Services[0].ExtraPorts); diff != "" {
		t.Error(diff)
	}
	warnings := strings.Join(cfg.Warnings(), "\n")
	for _, word := range []string{"on_up is now", "on_down is ignored", "debug_port", "publish_primary"} {
		if !strings.Contains(warnings, word) {
			t.Errorf("no warning has %q: %s", word, warnings)
		}
	}
	data, err := settings.Encode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	again, err := steps.ConfigOf(session.Session{Settings: data})
	if err != nil || again.Hooks.PreUp.Value.Run != "old up" || len(again.Services[0].ExtraPorts) != 1 {
		t.Errorf("got %+v, %v", again, err)
	}
}

// withWeb is a file with one service, to which lines can be added.
func withWeb(lines string) string {
	return "mode = \"hybrid\"\n[[services]]\nname = \"web\"\nbase_port = 3000\n" + lines
}

func TestConfigRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string // key:line
	}{
		"no mode":                    {"max_slots = 1", []string{"mode:0"}},
		"empty mode":                 {"mode = \"\"", []string{"mode:1"}},
		"unknown mode":               {"mode = \"Host\"", []string{"mode:1"}},
		"misspelt mode, once":        {"moed = \"host\"", []string{"moed:1"}},
		"no TOML, and nothing else":  {"max_slots = 0\nmode = ", []string{":2"}},
		"syntax and its consequence": {"mode = host\n", []string{":1"}},
		"everything at once": {
			"mode = 1\nprefix = \"A\"\nmax_slots = 256\nport_search_range = -1\nslot_stride = 256\nworktree_dir = \".\"\nfoo = 1\n",
			[]string{"mode:1", "prefix:2", "max_slots:3", "port_search_range:4", "slot_stride:5", "worktree_dir:6", "foo:7"},
		},
		"no slots":     {"mode = \"host\"\nmax_slots = 0", []string{"max_slots:2"}},
		"empty prefix": {"mode = \"host\"\nprefix = \"\"", []string{"prefix:2"}},
		"steps anywhere": {
			"mode = \"host\"\n[[steps]]\nname = \"a\"\ndo = \"x\"\ndir = \"${HOME}\"\n[[steps]]\nname = \"b\"\ndo = \"x\"\ndir = \"a/${ECLUSE_ROOT}\"\n" +
				"[[steps]]\nname = \"c\"\ndo = \"x\"\ndir = \"${ECLUSE_ROOT}/${X}\"\n[[steps]]\nname = \"d\"\ndo = \"x\"\ndir = \"${ECLUSE_ROOT}/a\"\n",
			[]string{"steps.0.dir:5", "steps.1.dir:9", "steps.2.dir:13"},
		},
		"worktrees in git":        {"mode = \"host\"\nworktree_dir = \"./.git/x\"", []string{"worktree_dir:2"}},
		"worktrees anywhere":      {"mode = \"host\"\nworktree_dir = \"/tmp/x\"", []string{"worktree_dir:2"}},
		"worktrees at home":       {"mode = \"host\"\nworktree_dir = \"~/x\"", []string{"worktree_dir:2"}},
		"worktrees on two lines":  {"mode = \"host\"\nworktree_dir = \"a\\nb\"", []string{"worktree_dir:2"}},
		"inherit from outside":    {"mode = \"host\"\ninherit_env = [\"/etc/passwd\",\n\"../x\",\n{ file = \"a/../../x\" },\n\".\",\n\"\"]", []string{"inherit_env.0:2", "inherit_env.1:3", "inherit_env.2:4", "inherit_env.3:5", "inherit_env.4:6"}},
		"inherit what is its own": {"mode = \"host\"\ninherit_env = [\".git\",\n\".git/config\",\n\".env.ecluse\",\n\".ecluse\",\n\".ecluse/worktrees/\"]", []string{"inherit_env.0:2", "inherit_env.1:3", "inherit_env.2:4", "inherit_env.3:5", "inherit_env.4:6"}},
		"inherit twice":           {"mode = \"host\"\ninherit_env = [\".env\",\n{ file = \"./.env\", mode = \"copy\" }]", []string{"inherit_env.1:3"}},
		"inherit in no way":       {"mode = \"host\"\ninherit_env = [\n{ file = \".env\", mode = \"hardlink\" }]", []string{"inherit_env.0.mode:3"}},
		"no variable":             {"mode = \"host\"\n[env]\n\"a b\" = \"\"\n\"A.B\" = \"\"\n1A = \"\"\n\"\" = \"\"", []string{"env.a b:3", "env.A.B:4", "env.1A:5", "env.:2"}},
		"a session's variable":    {"mode = \"host\"\n[env]\nECLUSE_SLOT = \"1\"\nCOMPOSE_PROJECT_NAME = \"x\"\nECLUSE_SESSION_ID = \"x\"", []string{"env.ECLUSE_SLOT:3", "env.COMPOSE_PROJECT_NAME:4", "env.ECLUSE_SESSION_ID:5"}},
		"no such variable":        {"mode = \"host\"\n[env]\nA = \"${NONE}\"\nB = \"$x\"\nC = \"${A}${ECLUSE_DB_PORT}\"\nD = \"${ECLUSE_APP_PORT}${PORT}\"", []string{"env.A:3", "env.B:4", "env.C:5"}},
		"no such port in hybrid":  {"mode = \"hybrid\"\n[env]\nA = \"${ECLUSE_DB_PORT}\"\nB = \"${DB_PORT}\"", []string{"env.B:4"}},
		"a circle":                {"mode = \"host\"\n[env]\nA = \"${B}\"\nB = \"${A}\"", []string{"env:2"}},
		"no value":                {"mode = \"host\"\n[env]\nA = \"\\u0000\"", []string{"env.A:3"}},
		"hooks":                   {"mode = \"host\"\n[hooks]\npre_up = \" \"\npost_up = { timeout = \"1s\" }\npre_spawn = { run = \"x\", retries = -1 }\npost_down = { run = \"x\", inputs = [\"a\", \"../b\"] }\non_down = \"\"", []string{"hooks.pre_up:3", "hooks.post_up:4", "hooks.pre_spawn.retries:5", "hooks.post_down.inputs.1:6", "hooks.on_down:7"}},
		"old hook":                {"mode = \"host\"\n[hooks]\non_up = \"\"", []string{"hooks.on_up:3"}},
		"compose file outside":    {"mode = \"hybrid\"\n[compose]\nfile = \"../compose.yaml\"", []string{"compose.file:3"}},
		"no compose file":         {"mode = \"hybrid\"\n[compose]\nfile = \"\"", []string{"compose.file:3"}},
		"service":                 {"mode = \"host\"\n[[services]]\n[[services]]\nname = \"A\"\nbase_port = 0\nrun = \"podman\"\n", []string{"services.0.base_port:2", "services.0.name:2", "services.1.name:4", "services.1.base_port:5", "services.1.run:6"}},
		"misspelt port, once":     {"mode = \"host\"\n[[services]]\nname = \"a\"\nbase_prot = 1\n", []string{"services.0.base_prot:4"}},
		"ports":                   {withWeb("host_port = 65536\nextra_ports = [{ base_port = 0 }, { container_port = -1, base_port = 9000 }]\nport_env = [\"A\", \"1\"]\n"), []string{"services.0.host_port:5", "services.0.extra_ports.0.base_port:6", "services.0.extra_ports.1.container_port:6", "services.0.port_env.1:7"}},
		"port variables":          {withWeb("port_env = \"ECLUSE_SLUG\"\nextra_ports = [{ base_port = 9000, port_env = \"a-b\" }]\n"), []string{"services.0.port_env:5", "services.0.extra_ports.0.port_env:6"}},
		"one lease for two":       {withWeb("extra_ports = [{ base_port = 9000, port_env = \"A\" },\n{ base_port = 9500, port_env = \"a\" }]\n"), []string{"services.0.extra_ports.1.port_env:6"}},
		"same name":               {withWeb("[[services]]\nname = \"web\"\nbase_port = 4000"), []string{"services.1.name:6"}},
		"same variable":           {withWeb("[[services]]\nname = \"we-b\"\nbase_port = 4000\n[[services]]\nname = \"we_b\"\nbase_port = 5000"), []string{"services.2.name:9"}},
		"docker in host mode":     {"mode = \"host\"\n[[services]]\nname = \"db\"\nrun = \"docker\"\nbase_port = 5432", []string{"services.0.run:4"}},
		"native in container":     {"mode = \"container\"\n[[services]]\nname = \"web\"\nbase_port = 3000", []string{"services.0.run:2"}},
		"ready":                   {withWeb("ready = { log = \"(\", http = \"health\" }"), []string{"services.0.ready.log:5", "services.0.ready.http:5"}},
		"service's compose":       {withWeb("run = \"docker\"\ncompose = \"../x\""), []string{"services.0.compose:6"}},
		"service's empty compose": {withWeb("run = \"docker\"\ncompose = \"\""), []string{"services.0.compose:6"}},
		"compose files outside":   {"mode = \"hybrid\"\n[compose]\nfile = [\"a.yaml\",\n\"../b.yaml\",\n\"\"]", []string{"compose.file.1:4", "compose.file.2:5"}},
		"no compose files":        {"mode = \"hybrid\"\n[compose]\nfile = []", []string{"compose.file:3"}},
		"long compose file":       {withWeb("run = \"docker\"\ncompose = \"" + strings.Repeat("x", settings.MaxFile+1) + "\""), []string{"services.0.compose:6"}},
		"odd compose file":        {withWeb("run = \"docker\"\ncompose = \"a\\nb\""), []string{"services.0.compose:6"}},
		"the same port":           {withWeb("[[services]]\nname = \"db\"\nrun = \"docker\"\nbase_port = 5432\nhost_port = 3000"), []string{"services.1.host_port:9"}},
		"too near":                {withWeb("[[services]]\nname = \"api\"\nbase_port = 3087"), []string{"services.1.base_port:7"}},
		"own extra port":          {withWeb("extra_ports = [{ base_port = 3000 }]"), []string{"services.0.extra_ports.0.base_port:5"}},
		"another's extra port":    {withWeb("[[services]]\nname = \"api\"\nbase_port = 4000\nextra_ports = [{ base_port = 3050 }]"), []string{"services.1.extra_ports.0.base_port:8"}},
		"debug port":              {withWeb("debug_port = 3001"), []string{"services.0.debug_port:5"}},
		"past the last port":      {"mode = \"host\"\n[[services]]\nname = \"a\"\nbase_port = 65530", []string{"services.0.base_port:4"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := load(t, test.text)
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			var got []string
			for _, p := range e.Problems {
				got = append(got, fmt.Sprintf("%s:%d", p.Key, p.Line))
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s\n%v", diff, err)
			}
			if diff := cmp.Diff(settings.Config{}, cfg); diff != "" {
				t.Error("a part of it is returned")
			}
		})
	}
}

func TestConfigAccepts(t *testing.T) {
	for name, text := range map[string]string{
		"nothing but a mode":        "mode = \"host\"",
		"88 apart":                  withWeb("[[services]]\nname = \"api\"\nbase_port = 3088"),
		"near, with a small range":  "port_search_range = 0\n" + withWeb("[[services]]\nname = \"api\"\nbase_port = 3008"),
		"one port in two":           withWeb("run = \"docker\"\n[[services]]\nname = \"api\"\nrun = \"docker\"\nbase_port = 3000\nhost_port = 13000"),
		"one that is not published": withWeb("[[services]]\nname = \"db\"\nrun = \"docker\"\nbase_port = 3000\npublish_primary = false"),
		"one compose file":          withWeb("run = \"docker\"\ncompose = \"a/b.yaml\"\n[[services]]\nname = \"db\"\nrun = \"docker\"\nbase_port = 5432\ncompose = \"./a//b.yaml\""),
		"two compose files":         withWeb("run = \"docker\"\ncompose = \"a.yaml\"\n[[services]]\nname = \"db\"\nrun = \"docker\"\nbase_port = 5432\ncompose = \"b.yaml\""),
		"two, one not named":        withWeb("run = \"docker\"\n[[services]]\nname = \"db\"\nrun = \"docker\"\nbase_port = 5432\ncompose = \"b.yaml\""),
		"ready with a variable":     withWeb("command = \"x\"\nready = { http = \"${URL}/x\" }\n[env]\nURL = \"http://localhost:${PORT}\""),
		"the highest":               "max_slots = 255\nport_search_range = 255\n" + withWeb(""),
	} {
		if _, err := load(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHugeConfigsAreRefusedSoon: files of a megabyte that are TOML, and whose every
// entry could be right.
func TestHugeConfigsAreRefusedSoon(t *testing.T) {
	grow := func(head, format string) string {
		text := new(strings.Builder)
		text.WriteString("mode = \"host\"\n" + head)
		for i := 0; text.Len() < 1<<20; i++ {
			fmt.Fprintf(text, format, i)
		}
		return text.String()
	}
	for key, text := range map[string]string{
		"services":             grow("", "[[services]]\nname = \"s%[1]d\"\nbase_port = 3000\n"),
		"env":                  grow("[env]\nK0 = \"\"\n", "L%d = \"${K0}\"\n"),
		"inherit_env":          grow("inherit_env = [\n", "\"f%d\",\n") + "]\n",
		"services.0.ready.log": grow("[[services]]\nname = \"a\"\nbase_port = 1\nready.log = \"", "(a|b)*%d") + "\"\n",
	} {
		began := time.Now()
		_, err := load(t, text)
		var e *config.Error
		if !errors.As(err, &e) || len(e.Problems) != 1 || e.Problems[0].Key != key {
			t.Errorf("%s: got %.300v", key, err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s took %s", key, took)
		}
	}
}

func TestComposeFileMayNotLeadOut(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	for _, dir := range []string{root, outside} {
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"in.yaml": "compose.yaml", "out.yaml": filepath.Join(outside, "compose.yaml"), "dir": outside}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]bool{"compose.yaml": true, "in.yaml": true, "none.yaml": true, "out.yaml": false, "dir/compose.yaml": false} {
		text := "mode = \"hybrid\"\n[compose]\nfile = \"" + file + "\"\n"
		if err := os.WriteFile(filepath.Join(root, config.Name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := steps.LoadConfig(root)
		if got := err == nil; got != want {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

func TestNoConfig(t *testing.T) {
	if _, err := steps.LoadConfig(t.TempDir()); !errors.Is(err, config.ErrMissing) {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"mode = \"host\"":                                                                                      "",
		"mode = \"host\"\nmax_slots = 65":                                                                      "max_slots",
		"mode = \"host\"\nport_search_range = 0":                                                               "port_search_range",
		"mode = \"host\"\nport_search_range = 0\nstrict_port = true":                                           "",
		"mode = \"host\"\n[[services]]\nname = \"a\"\nbase_port = 80\ncommand = \"x\"":                         "port 80",
		"mode = \"host\"\n[[services]]\nname = \"a\"\nbase_port = 3000":                                        "no command",
		withWeb("command = \"x\"\ncompose = \"x\""):                                                            "compose of service web",
		withWeb("command = \"x\"\npublish_primary = true"):                                                     "publish_primary",
		withWeb("run = \"docker\"\ncommand = \"x\""):                                                           "command of service web",
		withWeb("run = \"docker\"\nready = { tcp = true }"):                                                    "ready of service web",
		withWeb("run = \"docker\"\nextra_ports = [{ base_port = 8000, container_port = 1 }]"):                  "not published",
		withWeb("command = \"x\"\nport_env = [\"A\"]\nextra_ports = [{ base_port = 8000, port_env = \"A\" }]"): "A is set by",
	} {
		cfg, err := load(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := cfg.Warnings()
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("%s: got %q; want %q", text, got, want)
		}
	}
}

// load loads a configuration from a folder of its own.
func load(t *testing.T, text string) (settings.Config, error) {
	t.Helper()
	return steps.LoadConfig(settingstest.Root(t, text))
}

// templateFor is what init writes for a mode.
func templateFor(t *testing.T, mode string) string {
	t.Helper()
	text, err := detect.Template(mode, detect.Look{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKeysFindsWhatIsDeep(t *testing.T) {
	keys := settingstest.Keys(reflect.TypeFor[settings.Config]())
	for _, key := range []string{"mode", "inputs", "container_port", "profiles", "file", "http", "publish_primary"} {
		if !slices.Contains(keys, key) {
			t.Errorf("%s is not among %v", key, keys)
		}
	}
}
