package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sample has every form that a configuration has.
type sample struct {
	Mode    string              `toml:"mode" json:"mode"`
	Max     int                 `toml:"max_slots" json:"max_slots"`
	Strict  bool                `toml:"strict_port" json:"strict_port"`
	Env     map[string]string   `toml:"env" json:"env"`
	Inherit []OneOrTable[named] `toml:"inherit_env" json:"inherit_env"`
	Hooks   struct {
		PreUp *OneOrTable[command] `toml:"pre_up"`
		OnUp  *OneOrTable[command] `toml:"on_up" config:"deprecated"`
	} `toml:"hooks"`
	Services []struct {
		Name    string    `toml:"name"`
		Port    int       `toml:"base_port"`
		PortEnv Strings   `toml:"port_env"`
		Wait    *Duration `toml:"timeout"`
	} `toml:"services"`
}

type named struct {
	File string `toml:"file" json:"file"`
	Mode string `toml:"mode" json:"mode"`
}

func (n *named) Scalar(file string) error {
	if file == "" {
		return errors.New("a file needs a name")
	}
	*n = named{File: file}
	return nil
}

type command struct {
	Run     string    `toml:"run" json:"run"`
	Timeout *Duration `toml:"timeout" json:"timeout,omitempty"`
	Inputs  []string  `toml:"inputs" json:"inputs,omitempty"`
}

func (c *command) Scalar(run string) error {
	*c = command{Run: run}
	return nil
}

// write writes a configuration into a folder of its own.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), Name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems loads a text and returns what is wrong with it.
func problems(t testing.TB, text string) []Problem {
	t.Helper()
	var into sample
	err := Load(write(t, text), &into)
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T: %v", err, err)
	}
	return e.Problems
}

func TestLoadTakesEveryForm(t *testing.T) {
	var got sample
	got.Max = 8
	got.Inherit = []OneOrTable[named]{{Value: named{File: "default"}}}
	err := Load(write(t, "\ufeff"+`mode = "host"
strict_port = true
inherit_env = [".env", { file = "certs", mode = "copy" }]
hooks.pre_up = { run = "make", timeout = "90s", inputs = ["go.sum"] }
[env]
"A" = 'x'
[[services]]
name = "web"
base_port = 0xbb8
port_env = "PORT"
timeout = 0
[[services]]
name = "api"
base_port = 4_000
port_env = ["A", "B"]
timeout = "10m"
`), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := sample{Mode: "host", Max: 8, Strict: true, Env: map[string]string{"A": "x"}}
	want.Inherit = []OneOrTable[named]{{Value: named{File: ".env"}}, {Value: named{File: "certs", Mode: "copy"}}}
	ninety, zero, ten := Duration(90*time.Second), Duration(0), Duration(10*time.Minute)
	want.Hooks.PreUp = &OneOrTable[command]{Value: command{Run: "make", Timeout: &ninety, Inputs: []string{"go.sum"}}}
	want.Services = append(want.Services, want.newService("web", 3000, &zero, "PORT"), want.newService("api", 4000, &ten, "A", "B"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// newService is one service of a sample.
func (sample) newService(name string, port int, wait *Duration, env ...string) (s struct {
	Name    string    `toml:"name"`
	Port    int       `toml:"base_port"`
	PortEnv Strings   `toml:"port_env"`
	Wait    *Duration `toml:"timeout"`
},
) {
	s.Name, s.Port, s.Wait, s.PortEnv = name, port, wait, env
	return s
}

func TestLoadReportsEverythingAtItsPlace(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string // key:line:column
	}{
		"unknown keys":                {"mod = \"x\"\n[hooks]\npre_upp = \"x\"\n[[services]]\nname = \"a\"\n  nam = 1\n", []string{"mod:1:1", "hooks.pre_upp:3:1", "services.0.nam:6:3"}},
		"unknown table":               {"[servces]\na = 1\n", []string{"servces:1:2"}},
		"unknown dotted key":          {"hooks.pre_dow = \"x\"\n", []string{"hooks.pre_dow:1:7"}},
		"unknown key in inline table": {"inherit_env = [{ file = \"a\", mod = \"copy\" }]\n", []string{"inherit_env.0.mod:1:30"}},
		"unknown key in scalar-or-table": {
			"[hooks]\npre_up = { run = \"x\", retrys = 1 }\n", []string{"hooks.pre_up.retrys:2:23"},
		},
		"wrong types": {
			"mode = 1\nmax_slots = \"x\"\nstrict_port = 0\nenv = []\ninherit_env = \".env\"\nhooks = 1.5\nservices = [1]\n",
			[]string{"mode:1:8", "max_slots:2:13", "strict_port:3:15", "env:4:1", "inherit_env:5:15", "hooks:6:9", "services.0:7:13"},
		},
		"wrong types deep down": {
			"inherit_env = [1, { file = 2 }]\n[hooks]\npre_up = [1]\n[env]\nA = 1979-05-27\n[[services]]\nport_env = [\"A\", 1]\ntimeout = true\n",
			[]string{"inherit_env.0:1:16", "inherit_env.1.file:1:28", "hooks.pre_up:3:1", "env.A:5:5", "services.0.port_env.1:7:18", "services.0.timeout:8:11"},
		},
		"durations": {
			"[[services]]\ntimeout = 90\n[[services]]\ntimeout = \"-1s\"\n[[services]]\ntimeout = \"soon\"\n[[services]]\ntimeout = \"\"\n",
			[]string{"services.0.timeout:2:11", "services.1.timeout:4:11", "services.2.timeout:6:11", "services.3.timeout:8:11"},
		},
		"what a scalar stands for":     {"inherit_env = [\"\"]\n", []string{"inherit_env.0:1:16"}},
		"number too large":             {"max_slots = 99999999999999999999\n", []string{"max_slots:1:13"}},
		"set twice":                    {"mode = \"a\"\nmode = \"b\"\n[hooks]\n[hooks]\n", []string{"mode:2:1", "hooks:4:2"}},
		"a value and a table":          {"hooks = \"a\"\n[hooks.pre_up]\nrun = \"x\"\n", []string{"hooks:1:9", "hooks:2:2"}},
		"no TOML and all else":         {"mode = host\nmax_slots = \"x\"\nfoo = 1\n", []string{":1:8", "max_slots:2:13", "foo:3:1"}},
		"a broken header is no reason": {"mode = \"a\"\n[[services]\nname = 1\n[hooks]\nfoo = 1\n", []string{":2:11", "hooks.foo:5:1"}},
		"an open array ends it":        {"foo = 1\ninherit_env = [\nmode = 1\nmax_slots = \"x\"\n", []string{"foo:1:1", ":3:1"}},
		"an open string does not":      {"mode = \"a\nmax_slots = \"x\"\n", []string{":1:10", "max_slots:2:13"}},
		"characters, not bytes":        {"env = { \"äöü\" = \"€\", B = 1 }\n", []string{"env.B:1:26"}},
		"byte order mark":              {"\ufeffmod = 1\n", []string{"mod:1:1"}},
		"carriage returns":             {"mode = \"a\"\r\nmod = 1\r\n", []string{"mod:2:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range problems(t, test.text) {
				got = append(got, fmt.Sprintf("%s:%d:%d", p.Key, p.Line, p.Column))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnknownKeyNamesWhatWasMeant(t *testing.T) {
	for text, want := range map[string]string{
		"max_slot = 1":                             "did you mean max_slots?",
		"maxSlots = 1":                             "did you mean max_slots?",
		"MODE = 1":                                 "did you mean mode?",
		"modee = 1":                                "did you mean mode?",
		"mdoe = 1":                                 "did you mean mode?",
		"[hooks]\npreup = 1":                       "did you mean pre_up?",
		"[hooks]\nmax_slots = 1":                   "top of the file",
		"[[services]]\nport-env = 1":               "did you mean port_env?",
		"inherit_env = [{ fil = 1 }]":              "did you mean file?",
		"[hooks]\npre_up = { timeot = 1 }":         "did you mean timeout?",
		"[hooks]\non_upp = 1":                      "keys here are pre_up",
		"[[services]]\nwhatever = 1":               "keys here are name, base_port, port_env, timeout",
		strings.Repeat("m", 10_000) + "ode = \"\"": "keys here are",
	} {
		got := problems(t, text)
		if len(got) != 1 || !strings.Contains(got[0].Message, want) || len(got[0].Message) > maxMessage+10 {
			t.Errorf("%.60q: got %+v; want %q", text, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"mode", "mode", 0}, {"mdoe", "mode", 1}, {"mod", "mode", 1}, {"mpde", "mode", 1}, {"abc", "xyz", 3}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d; want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestExcerptPointsAtThePlace(t *testing.T) {
	text := "mode = \"a\"\n\t" + "env = { \"ä\u202e\" = 'x', B = 12, C = \"\x1b\" } # " + strings.Repeat("long ", 100) + "\n" +
		"\tenv = { \"ä\u202e\" = 'x', B = 12 } # " + strings.Repeat("long ", 100) + "\n"
	got := problems(t, text)
	if len(got) != 2 {
		t.Fatalf("got %+v", got)
	}
	for _, p := range got {
		checkExcerpt(t, p)
	}
	if a, b := caretOn(got[0].Excerpt), caretOn(got[1].Excerpt); a != "·" || b != "12" {
		t.Errorf("the carets are under %q and %q", a, b)
	}
	long := problems(t, `env = { A = "`+strings.Repeat("x", 1<<20)+`", B = 12, C = "`+strings.Repeat("y", 1<<20)+`" }`)
	if len(long) != 1 || caretOn(long[0].Excerpt) != "12" || long[0].Column != 1<<20+21 {
		t.Errorf("got %+v", long)
	}
	checkExcerpt(t, long[0])
}

// caretOn is what the carets of an excerpt stand under.
func caretOn(excerpt string) string {
	top, bottom, _ := strings.Cut(excerpt, "\n")
	line, carets := []rune(top), []rune(bottom)
	var under []rune
	for i, c := range carets {
		if c == '^' && i < len(line) {
			under = append(under, line[i])
		}
	}
	return string(under)
}

// checkExcerpt looks whether an excerpt is two short lines that a terminal shows
// as they are.
func checkExcerpt(t testing.TB, p Problem) {
	t.Helper()
	top, bottom, ok := strings.Cut(p.Excerpt, "\n")
	if !ok || strings.Contains(bottom, "\n") || !strings.Contains(bottom, "^") {
		t.Errorf("the excerpt is %q", p.Excerpt)
	}
	for _, line := range []string{top, bottom, p.Message, p.Key} {
		if len([]rune(line)) > maxMessage+10 {
			t.Errorf("long: %q", line)
		}
		for _, r := range line {
			if printable(r) != r {
				t.Errorf("%q has %q in it", line, r)
			}
		}
	}
}

func TestInvalidPointsAtTheKey(t *testing.T) {
	path := write(t, `mode = "x"
inherit_env = [".env",
  ".env.local"]
hooks.pre_up = "x"
[env]
"a.b" = "1"
[[services]]
name = "a"
[[services]]
port_env = ["A", "B"]
[[services]]
nam = "b"
`)
	var into sample
	for key, want := range map[string][2]int{
		"mode": {1, 8}, "inherit_env": {2, 1}, "inherit_env.1": {3, 3}, "hooks.pre_up": {4, 16}, "hooks": {4, 1},
		"env.a.b": {6, 9}, "services.0.name": {8, 8}, "services.1": {9, 3}, "services.1.port_env.1": {10, 18},
		"services.1.name": {9, 3}, "services.2": {11, 3}, "services": {7, 3}, "max_slots": {}, "services.9.name": {7, 3},
	} {
		p := NewProblems(path)
		p.Invalid(key, "it is wrong")
		var e *Error
		if !errors.As(p.Err(), &e) || len(e.Problems) != 1 {
			t.Fatalf("%s: got %v", key, p.Err())
		}
		if got := e.Problems[0]; got.Key != key || got.Line != want[0] || got.Column != want[1] {
			t.Errorf("%s is at %d:%d; want %v", key, got.Line, got.Column, want)
		}
	}
	p, err := Decode(path, &into)
	if err != nil {
		t.Fatal(err)
	}
	p.Misnamed("env.a.b", "it is no name")
	if e := new(Error); !errors.As(p.Err(), &e) || e.Problems[0].Line != 6 || e.Problems[0].Column != 1 {
		t.Errorf("got %v", p.Err())
	}
	if p, err = Decode(path, &into); err != nil {
		t.Fatal(err)
	}
	p.Invalid("services.2.name", "it is missing") // misspelt, which was said
	p.Invalid("services.2.nam.x", "below what was said")
	p.Invalid("mode", "wrong")
	if e := new(Error); !errors.As(p.Err(), &e) || len(e.Problems) != 2 || e.Problems[0].Key != "mode" {
		t.Errorf("got %v", p.Err())
	}
	if !p.Has("services.0.name") || p.Has("services.1.name") || !p.Has("env.a.b") || p.Broken() {
		t.Error("Has or Broken is wrong")
	}
	if p := NewProblems(filepath.Join(t.TempDir(), "none")); p.Err() != nil {
		t.Errorf("got %v of no file", p.Err())
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "k%d = 1\n", i)
	}
	var into sample
	var e *Error
	if err := Load(write(t, text.String()), &into); !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	if len(e.Problems) != maxProblems || e.Omitted != 5000-maxProblems {
		t.Errorf("got %d and %d more", len(e.Problems), e.Omitted)
	}
	text.Reset()
	text.WriteString(strings.Repeat("mode = 'a'\n", 5000))
	if err := Load(write(t, text.String()), &into); !errors.As(err, &e) || len(e.Problems) != maxProblems || e.Omitted != 4999-maxProblems {
		t.Errorf("got %d and %d more", len(e.Problems), e.Omitted)
	}
	if e := problems(t, "mod = 1\r\n"); len(e) != 1 || strings.Contains(e[0].Excerpt, "·") {
		t.Errorf("got %+v", e)
	}
	data, err := json.Marshal(problems(t, "mod = 1")[0])
	if err != nil || !strings.Contains(string(data), `"line":1,"column":1`) {
		t.Errorf("got %s, %v", data, err)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	if _, err := Find(root); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), root) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, Name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err := Find(root); err != nil || path != filepath.Join(root, Name) {
		t.Errorf("got %q, %v", path, err)
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	var into sample
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxSize<<20+1); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, large, filepath.Join(dir, "none")} {
		if err := Load(path, &into); err == nil || errors.As(err, new(*Error)) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestValuesSurviveJSON(t *testing.T) {
	type all struct {
		List  Strings             `json:"list,omitempty"`
		Wait  *Duration           `json:"wait,omitempty"`
		One   OneOrTable[command] `json:"one"`
		Maybe *OneOrTable[named]  `json:"maybe,omitempty"`
	}
	rapid.Check(t, func(t *rapid.T) {
		wait := Duration(rapid.Int64Min(0).Draw(t, "wait"))
		want := all{Wait: &wait, One: OneOrTable[command]{Value: command{Run: rapid.String().Draw(t, "run"), Timeout: &wait}}}
		want.List = rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "list")
		if rapid.Bool().Draw(t, "maybe") {
			want.Maybe = &OneOrTable[named]{Value: named{File: rapid.String().Draw(t, "file")}}
		}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got all
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}
