package settings_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/renameio/v2"
	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ecluse/steps/config"
	"ecluse/steps/settings"
	"ecluse/steps/settings/settingstest"
)

// update writes what is published anew: go test ./steps/settings -run Published -update.
var update = flag.Bool("update", false, "write the published files anew")

// published compares a file with what it must be.
func published(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join("../../docs", name)
	if *update {
		if err := renameio.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), want); diff != "" {
		t.Errorf("%s is not what the configuration says; `make schema` makes it anew (-published +made):\n%s", path, diff)
	}
}

func schemaText(t *testing.T) string {
	t.Helper()
	s, err := settings.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPublishedSchema(t *testing.T) { published(t, "schema/config.json", schemaText(t)) }

func TestPublishedReference(t *testing.T) {
	text, err := settings.Reference()
	if err != nil {
		t.Fatal(err)
	}
	published(t, "configuration.md", text)
}

// validator is the schema, itself checked against the one of schemas.
func schemaValidator(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schemaText(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a TOML text as JSON has it.
func instance(t *testing.T, text string) any {
	t.Helper()
	var v map[string]any
	if err := toml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestSchemaTakesWhatLoads(t *testing.T) {
	s := schemaValidator(t)
	texts := map[string]string{"complete": complete}
	for _, mode := range []string{settings.ModeContainer, settings.ModeHost, settings.ModeHybrid} {
		texts[mode] = templateFor(t, mode)
	}
	for name, text := range texts {
		if _, err := load(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Validate(instance(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaRefuses: what the schema refuses is refused when it is loaded, too, and
// what is next to it is taken by both.
func TestSchemaRefuses(t *testing.T) {
	s := schemaValidator(t)
	const service = "\n[[services]]\nname = \"a\"\nbase_port = 3000\n"
	const docker = "\n[[services]]\nname = \"a\"\nrun = \"docker\"\nbase_port = 3000\n"
	for _, test := range []struct{ wrong, right string }{
		{"", `mode = "host"`},
		{`mode = "Host"`, `mode = "hybrid"`},
		{`mode = 1`, `mode = "container"`},
		{"mode = \"host\"\nmax_slots = 0", "mode = \"host\"\nmax_slots = 1"},
		{"mode = \"host\"\nmax_slots = 256", "mode = \"host\"\nmax_slots = 255"},
		{"mode = \"host\"\nmax_slots = \"8\"", "mode = \"host\"\nmax_slots = 0x8"},
		{"mode = \"host\"\nprefix = \"A\"", "mode = \"host\"\nprefix = \"0a-_\""},
		{"mode = \"host\"\nprefix = \"\"", "mode = \"host\"\nprefix = \"a\""},
		{"mode = \"host\"\nport_search_range = -1", "mode = \"host\"\nport_search_range = 0"},
		{"mode = \"host\"\nport_search_range = 256", "mode = \"host\"\nport_search_range = 255"},
		{"mode = \"host\"\nslot_stride = 256", "mode = \"host\"\nslot_stride = 0"},
		{"mode = \"host\"\nstrict_port = 1", "mode = \"host\"\nstrict_port = true"},
		{"mode = \"host\"\nunknown = 1", "mode = \"host\"\ninherit_env = []"},
		{"mode = \"host\"\ninherit_env = [1]", "mode = \"host\"\ninherit_env = [\"a\", { file = \"b\" }]"},
		{"mode = \"host\"\ninherit_env = [{ file = \"b\", mode = \"move\" }]", "mode = \"host\"\ninherit_env = [{ file = \"b\", mode = \"copy\" }]"},
		{"mode = \"host\"\ninherit_env = [{ mode = \"copy\" }]", "mode = \"host\"\ninherit_env = [\"b\"]"},
		{"mode = \"host\"\n[env]\n\"a-b\" = \"1\"", "mode = \"host\"\n[env]\n_b = \"1\""},
		{"mode = \"host\"\n[env]\nA = 1", "mode = \"host\"\n[env]\nA = \"\""},
		{"mode = \"host\"\n[hooks]\npre_up = \"\"", "mode = \"host\"\n[hooks]\npre_up = \"x\""},
		{"mode = \"host\"\n[hooks]\npre_up = { timeout = 0 }", "mode = \"host\"\n[hooks]\npre_up = { run = \"x\", timeout = 0 }"},
		{"mode = \"host\"\n[hooks]\npre_up = { run = \"x\", timeout = 5 }", "mode = \"host\"\n[hooks]\npre_up = { run = \"x\", timeout = \"1h1.5m.5s\" }"},
		{"mode = \"host\"\n[hooks]\npre_up = { run = \"x\", timeout = \"-5s\" }", "mode = \"host\"\n[hooks]\non_up = \"x\""},
		{"mode = \"host\"\n[hooks]\npre_up = { run = \"x\", retries = 101 }", "mode = \"host\"\n[hooks]\npre_up = { run = \"x\", retries = 100 }"},
		{"mode = \"host\"\n[[services]]\nbase_port = 1", "mode = \"host\"" + service},
		{"mode = \"host\"\n[[services]]\nname = \"a\"\nbase_port = 0", "mode = \"host\"" + service + "port_env = \"A\""},
		{"mode = \"host\"" + service + "port_env = \"A-\"", "mode = \"host\"" + service + "port_env = [\"A\", \"B\"]"},
		{"mode = \"host\"" + service + "run = \"here\"", "mode = \"host\"" + service + "run = \"native\""},
		{"mode = \"hybrid\"" + docker + "host_port = 65536", "mode = \"hybrid\"" + docker + "host_port = 0"},
		{"mode = \"host\"" + service + "extra_ports = [{ base_port = 0 }]", "mode = \"host\"" + service + "extra_ports = [{ base_port = 9000, port_env = \"A\" }]"},
		{"mode = \"host\"" + service + "ready = { tcp = 1 }", "mode = \"host\"" + service + "command = \"x\"\nready = { tcp = true, timeout = \"5s\" }"},
		{"mode = \"hybrid\"\n[compose]\nfile = 1", "mode = \"hybrid\"\n[compose]\nfile = [\"a.yaml\", \"b.yaml\"]"},
		{"mode = \"host\"\n[[databases]]\nname = \"a\"\nengine = \"mysql\"\nurl = \"x\"", "mode = \"host\"\n[[databases]]\nname = \"a\"\nengine = \"postgres\"\nurl = \"postgres://a@localhost/b\""},
		{"mode = \"host\"\n[[steps]]\nname = \"a\"", "mode = \"host\"\n[[steps]]\nname = \"a\"\ndo = \"x\""},
	} {
		if _, err := load(t, test.wrong); err == nil {
			t.Errorf("loads: %s", test.wrong)
		}
		if s.Validate(instance(t, test.wrong)) == nil {
			t.Errorf("the schema takes: %s", test.wrong)
		}
		if _, err := load(t, test.right); err != nil {
			t.Errorf("does not load: %v", err)
		}
		if err := s.Validate(instance(t, test.right)); err != nil {
			t.Errorf("the schema refuses: %s\n%v", test.right, err)
		}
	}
}

// TestSchemaExplainsEveryKey, in sentences.
func TestSchemaExplainsEveryKey(t *testing.T) {
	s, err := settings.Schema()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var look func(at string, s *config.Schema)
	look = func(at string, s *config.Schema) {
		for _, p := range s.Properties {
			n++
			if !strings.HasSuffix(p.Schema.Description, ".") {
				t.Errorf("%s.%s says %q", at, p.Name, p.Schema.Description)
			}
			look(at+"."+p.Name, p.Schema)
		}
		if s.Items != nil {
			look(at, s.Items)
		}
		for _, one := range s.AnyOf {
			look(at, one)
		}
	}
	look("", s)
	if n < len(settingstest.Keys(reflect.TypeFor[settings.Config]())) {
		t.Errorf("the schema has %d keys", n)
	}
}

// TestTOMLIsRead: what is shown of a configuration is that configuration.
func TestTOMLIsRead(t *testing.T) {
	texts := map[string]string{"complete": complete, "odd": "mode = \"host\"\n[env]\nA = \"x<&\\u007f\\\"\\\\ \\u2028é\"\n"}
	for _, mode := range []string{settings.ModeContainer, settings.ModeHost, settings.ModeHybrid} {
		texts[mode] = templateFor(t, mode)
	}
	for name, text := range texts {
		want, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := want.TOML()
		if err != nil {
			t.Fatal(err)
		}
		got, err := load(t, shown)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, shown)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s\n%s", name, diff, shown)
		}
	}
}
