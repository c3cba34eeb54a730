package steps

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// choosable is a configuration with two native services and one in Docker.
func choosable(mode string) settings.Config {
	cfg := settings.Defaults()
	cfg.Mode = mode
	cfg.Services = []settings.Service{
		{Name: "api", BasePort: 3000, Command: "api", ExtraPorts: []settings.ExtraPort{{BasePort: 9229}}},
		{Name: "web", BasePort: 4000, Command: "web"},
	}
	if mode == settings.ModeHybrid {
		cfg.Services = append(cfg.Services, settings.Service{Name: "db", BasePort: 5432, Run: settings.RunDocker})
	}
	return cfg
}

func TestChooseRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode   string
		choice settings.Choice
		says   string // nothing: it is taken
	}{
		"nothing":                {settings.ModeHost, settings.Choice{}, ""},
		"a service":              {settings.ModeHost, settings.Choice{Only: []string{"api"}, Skip: []string{"web"}}, ""},
		"an unknown service":     {settings.ModeHost, settings.Choice{Only: []string{"apo"}}, "there are: api, web"},
		"an unknown one skipped": {settings.ModeHost, settings.Choice{Skip: []string{"db"}}, "there are: api, web"},
		"chosen and skipped":     {settings.ModeHost, settings.Choice{Only: []string{"api"}, Skip: []string{"api"}}, "both"},
		"one of the file":        {settings.ModeHybrid, settings.Choice{Only: []string{"redis"}, Pins: map[string]int{"redis": 1}}, ""},
		"a pin":                  {settings.ModeHost, settings.Choice{Pins: map[string]int{"api.1": 65535}}, ""},
		"a pin of nothing":       {settings.ModeHost, settings.Choice{Pins: map[string]int{"db": 5}}, "there are: api, api.1, web"},
		"no port":                {settings.ModeHybrid, settings.Choice{Pins: map[string]int{"db": 65536}}, "1 to 65535"},
		"a port twice":           {settings.ModeHybrid, settings.Choice{Pins: map[string]int{"api": 5, "db": 5}}, "both api and db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := choosable(test.mode).Choose(test.choice)
			var wrong *settings.ChoiceError
			switch {
			case test.says == "" && err != nil:
				t.Error(err)
			case test.says != "" && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), test.says)):
				t.Errorf("the error is %v, want one that says %q", err, test.says)
			}
		})
	}
}

// What is planned is what was chosen. Native services alone are no reason to start
// everything that runs in Docker.
func TestPlanOfAChoice(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode   string
		choice settings.Choice
		want   []string // the steps that bring something up
	}{
		"all":          {settings.ModeHybrid, settings.Choice{}, []string{"compose", "service:api", "service:web"}},
		"native only":  {settings.ModeHybrid, settings.Choice{Only: []string{"web"}}, []string{"service:web"}},
		"docker only":  {settings.ModeHybrid, settings.Choice{Only: []string{"db"}}, []string{"compose"}},
		"of the file":  {settings.ModeHybrid, settings.Choice{Only: []string{"redis", "api"}}, []string{"compose", "service:api"}},
		"skipped":      {settings.ModeHybrid, settings.Choice{Skip: []string{"api", "db"}}, []string{"compose", "service:web"}},
		"on the host":  {settings.ModeHost, settings.Choice{Only: []string{"api"}}, []string{"service:api"}},
		"nothing left": {settings.ModeHost, settings.Choice{Skip: []string{"api", "web"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := choosable(test.mode).Choose(test.choice)
			ok(t, err)
			plan, err := Plan(cfg)
			ok(t, err)
			var have []string
			for _, spec := range plan.Steps {
				if Runs(spec) {
					have = append(have, spec.Name)
				}
			}
			if diff := cmp.Diff(test.want, have); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A session keeps its choice. That it was made is no change of the configuration.
func TestChoiceIsKept(t *testing.T) {
	t.Parallel()
	plain := choosable(settings.ModeHost)
	cfg, err := plain.Choose(settings.Choice{Only: []string{"web", "api", "web"}, Pins: map[string]int{"web": 4001}, NoInherit: true})
	ok(t, err)
	data, err := settings.Encode(cfg)
	ok(t, err)
	kept, err := ConfigOf(session.Session{Settings: data})
	ok(t, err)
	want := settings.Choice{Only: []string{"api", "web"}, Pins: map[string]int{"web": 4001}, NoInherit: true}
	if diff := cmp.Diff(want, kept.Choice); diff != "" {
		t.Error(diff)
	}
	if len(kept.InheritEnv) > 0 {
		t.Errorf("it inherits %v", kept.InheritEnv)
	}
	if !kept.Same(plain) || !plain.Same(kept) {
		t.Error("a choice counts as a change of the configuration")
	}
	plain.Prefix = "other"
	if kept.Same(plain) {
		t.Error("a change of the configuration does not count")
	}
	const flags = "--services api,web --port web=4001 --no-inherit-env"
	if kept.Choice.String() != flags {
		t.Errorf("as flags it is %q, want %q", kept.Choice, flags)
	}
}

// A choice is of a session; a configuration has none.
func TestChoiceIsNoKey(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, text := range []string{"choice = {}", "[choice]\nonly = [\"web\"]", "[Choice]\nonly = [\"web\"]"} {
		ok(t, os.WriteFile(filepath.Join(root, ".ecluse.toml"), []byte("mode = \"host\"\n"+text+"\n"), 0o600))
		_, err := LoadConfig(root)
		var wrong *config.Error
		if !errors.As(err, &wrong) {
			t.Errorf("%q is taken: %v", text, err)
		}
	}
}

// A pin is wanted before anything else, and what holds it is named.
func TestPinsAreWantedFirst(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	cfg, err := choosable(settings.ModeHost).Choose(settings.Choice{Pins: map[string]int{"web": taken}})
	ok(t, err)
	wants, err := Wants(t.Context(), cfg, 1)
	ok(t, err)
	if wants[0].Name != "web" || wants[0].Pin != taken || wants[0].Taken == "" {
		t.Errorf("the first want is %+v", wants[0])
	}
	if _, err := session.Reserve(nil, wants, nil); !errors.Is(err, session.ErrExhausted) {
		t.Errorf("a taken port was leased: %v", err)
	}
	ok(t, listener.Close())
	if wants, err = Wants(t.Context(), cfg, 1); err != nil {
		t.Fatal(err)
	}
	ports, err := session.Reserve(nil, wants, nil)
	if err != nil || ports["web"] != taken {
		t.Errorf("the leases are %v (%v)", ports, err)
	}
	_, err = session.Reserve(nil, wants, map[int]string{taken: "feat-other"})
	if !errors.Is(err, session.ErrExhausted) || !strings.Contains(err.Error(), "feat-other") {
		t.Errorf("another session's port: %v", err)
	}
}

// Of each group of compose files runs what was chosen of it, which may be nothing.
func TestSelectionOfAChoice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(`
services:
  app: {image: x, labels: {ecluse.role: app}}
  web: {image: x}
  front: {image: x, depends_on: [store]}
  store: {image: x}
  rare: {image: x, profiles: [rare]}
`), 0o600))
	model, err := docker.Load(t.Context(), docker.LoadOptions{Dir: dir, Project: "p"})
	ok(t, err)
	named := []settings.Service{{Name: "front", Run: settings.RunDocker}}
	for name, test := range map[string]struct {
		services []settings.Service
		choice   settings.Choice
		want     []string
	}{
		"all":                      {nil, settings.Choice{}, []string{"front", "store", "web"}},
		"with what it needs":       {nil, settings.Choice{Only: []string{"front"}}, []string{"front", "store"}},
		"without what it needs":    {nil, settings.Choice{Only: []string{"front"}, Skip: []string{"store"}}, []string{"front"}},
		"of an idle profile":       {nil, settings.Choice{Only: []string{"rare"}}, []string{"rare"}},
		"of another group":         {nil, settings.Choice{Only: []string{"elsewhere"}}, nil},
		"not what runs natively":   {nil, settings.Choice{Only: []string{"app"}}, nil},
		"of the same name, native": {[]settings.Service{{Name: "web"}}, settings.Choice{Only: []string{"web"}}, nil},
		"skipped":                  {nil, settings.Choice{Skip: []string{"web", "elsewhere"}}, []string{"front", "store"}},
		"all that are named":       {named, settings.Choice{Skip: []string{"front"}}, nil},
		"not named":                {named, settings.Choice{Only: []string{"web"}}, []string{"web"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings.Defaults()
			cfg.Mode, cfg.Services, cfg.Choice = settings.ModeHybrid, test.services, test.choice
			selection, err := selection(cfg, groups(cfg)[0], model)
			ok(t, err)
			chosen, err := model.Select(selection)
			ok(t, err)
			have := chosen.Services()
			if len(have) == 0 {
				have = nil
			}
			if diff := cmp.Diff(test.want, have); diff != "" {
				t.Error(diff)
			}
		})
	}
}
