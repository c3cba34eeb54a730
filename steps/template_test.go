package steps

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// loadText loads a configuration from a folder of its own.
func loadText(t *testing.T, text string) (Config, error) {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, ".ecluse.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadConfig(root)
}

var modes = []string{ModeContainer, ModeHost, ModeHybrid}

// template is the template of a mode.
func template(t *testing.T, mode string) string {
	t.Helper()
	text, err := Template(mode, Look{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTemplateIsTheDefaults(t *testing.T) {
	for _, mode := range modes {
		got, err := loadText(t, template(t, mode))
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		want := Defaults()
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
	text, err := Template(ModeHost, Look{MaxSlots: 3, Prefix: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := loadText(t, text)
	if err != nil || got.MaxSlots != 3 || got.Prefix != "shop" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, test := range []struct {
		mode string
		look Look
	}{{"warp", Look{}}, {"", Look{}}, {ModeHost, Look{MaxSlots: 256}}, {ModeHost, Look{MaxSlots: -1}}, {ModeHost, Look{Prefix: `a"b`}}} {
		if text, err := Template(test.mode, test.look); err == nil || text != "" {
			t.Errorf("%+v is taken", test)
		}
	}
}

// example is a line that is commented out.
var example = regexp.MustCompile(`^( *)#([^# ].*)$`)

func TestTemplateExamplesLoad(t *testing.T) {
	for _, mode := range modes {
		lines := strings.Split(template(t, mode), "\n")
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
func loadWith(t *testing.T, lines []string, examples ...int) Config {
	t.Helper()
	lines = slices.Clone(lines)
	for _, i := range examples {
		lines[i] = example.ReplaceAllString(lines[i], "$1$2")
	}
	cfg, err := loadText(t, strings.Join(lines, "\n"))
	if err != nil {
		t.Error(err)
	}
	return cfg
}

// TestTemplateExplainsEveryKey: a key that is understood is in a template.
func TestTemplateExplainsEveryKey(t *testing.T) {
	var text string
	for _, mode := range modes {
		text += template(t, mode)
	}
	for _, key := range keysOf(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(text) {
			t.Errorf("no template has %s", key)
		}
	}
}

// keysOf lists the keys of a struct and of what is in it.
func keysOf(of reflect.Type) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range of.NumField() {
		field := of.Field(i)
		tag, deprecated := field.Tag.Get("toml"), field.Tag.Get("config") == "deprecated"
		if tag == "-" || deprecated {
			continue
		}
		if tag != "" {
			keys = append(keys, tag)
		}
		keys = append(keys, keysOf(field.Type)...)
	}
	return keys
}

func TestKeysOfFindsWhatIsDeep(t *testing.T) {
	keys := keysOf(reflect.TypeFor[Config]())
	for _, key := range []string{"mode", "inputs", "container_port", "profiles", "file", "http", "publish_primary"} {
		if !slices.Contains(keys, key) {
			t.Errorf("%s is not among %v", key, keys)
		}
	}
}
