package detect

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/steps"
	"ecluse/steps/settings"
	"ecluse/steps/settings/settingstest"
)

// templateOf is the template of a mode.
func templateOf(t *testing.T, mode string) string {
	t.Helper()
	text, err := Template(mode, Look{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTemplateIsTheDefaults(t *testing.T) {
	for _, mode := range []string{settings.ModeContainer, settings.ModeHost, settings.ModeHybrid} {
		got, err := loaded(t, templateOf(t, mode))
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		want := settings.Defaults()
		want.Mode = mode
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
		if warnings := got.Warnings(); len(warnings) > 0 {
			t.Errorf("%s: %q", mode, warnings)
		}
	}
}

func TestTemplateSaysWhatWasAsked(t *testing.T) {
	text, err := Template(settings.ModeHost, Look{MaxSlots: 3, Prefix: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := loaded(t, text)
	if err != nil || got.MaxSlots != 3 || got.Prefix != "shop" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, test := range []struct {
		mode string
		look Look
	}{{"warp", Look{}}, {"", Look{}}, {settings.ModeHost, Look{MaxSlots: 256}}, {settings.ModeHost, Look{MaxSlots: -1}}, {settings.ModeHost, Look{Prefix: `a"b`}}} {
		if text, err := Template(test.mode, test.look); err == nil || text != "" {
			t.Errorf("%+v is taken", test)
		}
	}
}

// example is a line that is commented out.
var example = regexp.MustCompile(`^( *)#([^# ].*)$`)

func TestTemplateExamplesLoad(t *testing.T) {
	for _, mode := range []string{settings.ModeContainer, settings.ModeHost, settings.ModeHybrid} {
		lines := strings.Split(templateOf(t, mode), "\n")
		var all, header []int
		for i, line := range lines {
			if !example.MatchString(line) {
				continue
			}
			all = append(all, i)
			switch {
			case strings.HasPrefix(line, "#[["):
				header = []int{i, i + 1, i + 2, i + 3} // what a service needs
			case strings.HasPrefix(line, "#["):
				header = []int{i}
			}
			t.Run(fmt.Sprintf("%s/%s", mode, line), func(t *testing.T) {
				loadWith(t, lines, append(slices.Clone(header), i)...)
			})
		}
		if len(all) < 10 {
			t.Errorf("%s: there are %d examples", mode, len(all))
		}
		t.Run(mode+"/all", func(t *testing.T) {
			cfg := loadWith(t, lines, all...)
			if warnings := cfg.Warnings(); len(warnings) > 0 {
				t.Errorf("%q", warnings)
			}
			if len(cfg.Env) == 0 || cfg.Hooks.PostDown == nil || len(cfg.Services) == 0 {
				t.Errorf("got %+v", cfg)
			}
		})
	}
}

// loadWith loads a template with some of its examples in force.
func loadWith(t *testing.T, lines []string, examples ...int) settings.Config {
	t.Helper()
	lines = slices.Clone(lines)
	for _, i := range examples {
		lines[i] = example.ReplaceAllString(lines[i], "$1$2")
	}
	cfg, err := loaded(t, strings.Join(lines, "\n"))
	if err != nil {
		t.Error(err)
	}
	return cfg
}

// TestTemplateExplainsEveryKey: a key that is understood is in a template.
func TestTemplateExplainsEveryKey(t *testing.T) {
	var text string
	for _, mode := range []string{settings.ModeContainer, settings.ModeHost, settings.ModeHybrid} {
		text += templateOf(t, mode)
	}
	for _, key := range settingstest.Keys(reflect.TypeFor[settings.Config]()) {
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(text) {
			t.Errorf("no template has %s", key)
		}
	}
}

// loaded loads a configuration from a folder of its own.
func loaded(t *testing.T, text string) (settings.Config, error) {
	t.Helper()
	return steps.LoadConfig(settingstest.Root(t, text))
}
