package dotenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	compose "github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestForms pins what a value looks like in the file, which people read too.
func TestForms(t *testing.T) {
	for value, want := range map[string]string{
		"":                                  "",
		"3001":                              "3001",
		"feat-x":                            "feat-x",
		"/home/me/repo":                     "/home/me/repo",
		"postgres://app@localhost:5433/app": "postgres://app@localhost:5433/app",
		"http://localhost:3001/?a=b":        "http://localhost:3001/?a=b",
		"two words":                         "'two words'",
		"a#b":                               "'a#b'",
		"~/x":                               "'~/x'",
		"=ls":                               "'=ls'",
		"grün":                              "'grün'",
		"$HOME":                             "'$HOME'",
		`a"b`:                               `'a"b'`,
		"two\nlines":                        "'two\nlines'",
		`C:\dir`:                            `'C:\dir'`,
		`C:\dir\`:                           `"C:\\dir\\"`,
		"it's $5":                           `"it's \$5"`,
		`it's "so" \n`:                      `"it's \"so\" \\n"`,
		"`id`":                              "'`id`'",
		"http://localhost/?a=b&c=d":         "'http://localhost/?a=b&c=d'",
		"\t":                                "'\t'",
		"\xff":                              "'\xff'",
	} {
		have, err := Marshal(map[string]string{"KEY": value})
		if err != nil || string(have) != "KEY="+want+"\n" {
			t.Errorf("%q: %q, %v; want %q", value, have, err, "KEY="+want+"\n")
		}
	}
}

func TestMarshalSorts(t *testing.T) {
	have, err := Marshal(map[string]string{"B": "2", "A": "1", "AB": "3"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("A=1\nAB=3\nB=2\n", string(have)); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        error
	}{
		{"KEY", "it's `id`", ErrUnwritable},
		{"KEY", "`id`\\", ErrUnwritable},
		{"KEY", "a\x00b", ErrUnwritable},
		{"", "x", ErrName},
		{"1A", "x", ErrName},
		{"A-B", "x", ErrName},
		{"A\nB", "x", ErrName},
		{"A=B", "x", ErrName},
		{"Ä", "x", ErrName},
	} {
		data, err := Marshal(map[string]string{tt.name: tt.value, "OTHER": "x"})
		if !errors.Is(err, tt.want) || data != nil {
			t.Errorf("%q=%q: %q, %v", tt.name, tt.value, data, err)
		}
		if err != nil && !strings.Contains(err.Error(), strings.Trim(fmt.Sprintf("%q", tt.name), `"`)) {
			t.Errorf("the error does not name the variable: %v", err)
		}
	}
}

// values draws what people and programs put into variables, the nasty parts of
// it often.
func values() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.SampledFrom([]string{
			"'", `"`, "$", `\`, "`", "#", " #", " ", "\n", "\r\n", "\t", "${HOME}", "$HOME", "$$", "$(id)", "${", "}",
			`\n`, `\$`, `\\`, `\'`, `\"`, `\0101`, "!", "~", "=", "&", ";", "*", "{a,b}", "KEY=", "export ", "\u00a0", "\u0085", "ß", "🚰", "\ufeff", "\xff",
			"3001", "http://localhost:3001/",
		}),
		rapid.StringN(0, 6, -1),
		rapid.StringMatching(`[ -~]{0,8}`),
	)
	return rapid.Map(rapid.SliceOfN(part, 0, 5), func(parts []string) string {
		return strings.Join(parts, "")
	})
}

// writable draws variables that Marshal takes.
func writable(t *rapid.T, n int) map[string]string {
	vars := map[string]string{}
	for i := range n {
		if value := values().Draw(t, "value"); Check("V", value) == nil {
			vars[fmt.Sprintf("V_%d", i)] = value
		}
	}
	return vars
}

// sourced is what a shell finds in the variables of a file. The environment has
// values for some of them, and for what their values may seem to refer to.
func sourced(shell, path string, vars map[string]string) (map[string]string, error) {
	var script strings.Builder
	script.WriteString("set -eu\n. \"$1\"\n")
	for name := range vars {
		fmt.Fprintf(&script, "printf '%%s=%%s\\0' %s \"$%s\"\n", name, name)
	}
	cmd := exec.Command(shell, "-c", script.String(), shell, path)
	cmd.Env = []string{"HOME=/home/other", "V_1=other", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	have := map[string]string{}
	for _, line := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if name, value, ok := strings.Cut(line, "="); ok {
			have[name] = value
		}
	}
	return have, err
}

// TestReadersAgree: whatever the values, sh and compose-go read them alike,
// compose-go also when its lookup knows other values for the same names.
func TestReadersAgree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vars")
	shells := []string{"sh"}
	for _, shell := range []string{"bash", "zsh"} {
		if _, err := exec.LookPath(shell); err == nil {
			shells = append(shells, shell)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		vars := writable(t, 40)
		if err := Write(path, vars); err != nil {
			t.Fatal(err)
		}
		for _, shell := range shells {
			have, err := sourced(shell, path, vars)
			if err != nil {
				t.Fatalf("%s: %v", shell, err)
			}
			if diff := cmp.Diff(vars, have); diff != "" {
				t.Fatalf("%s reads otherwise:\n%s", shell, diff)
			}
		}
		agreeCompose(t, path, vars)
	})
}

func agreeCompose(t *rapid.T, path string, vars map[string]string) {
	other := func(name string) (string, bool) { return "other", name != "nothing" }
	for _, lookup := range []compose.LookupFn{nil, other} {
		have, err := compose.ReadFile(path, lookup)
		if err != nil {
			t.Fatalf("compose: %v", err)
		}
		if diff := cmp.Diff(vars, have); diff != "" {
			t.Fatalf("compose reads otherwise:\n%s", diff)
		}
	}
}

// FuzzRoundTrip: what Marshal takes, Parse gives back; what it refuses has one of
// the two obstacles that the package names.
func FuzzRoundTrip(f *testing.F) {
	for _, value := range []string{"", "a b", "'", `\`, "`'", "$$", "\n\n", "'\"$`\\", "# x", "\x00"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		data, err := Marshal(map[string]string{"A": value, "B": "end"})
		if err != nil {
			bad := strings.ContainsRune(value, 0) || strings.Contains(value, "`") && (strings.Contains(value, "'") || strings.HasSuffix(value, `\`))
			if !bad {
				t.Fatalf("%q is refused: %v", value, err)
			}
			return
		}
		have, err := Parse(data)
		if err != nil {
			t.Fatalf("%q as %q: %v", value, data, err)
		}
		if diff := cmp.Diff(map[string]string{"A": value, "B": "end"}, have); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzParse: any bytes are variables or an error.
func FuzzParse(f *testing.F) {
	f.Add([]byte("A=1\nexport B='x'\nC=\"${A}\"\n# c\nD: y\n"))
	f.Add([]byte("\xef\xbb\xbfA=${B:?x}\n\"="))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Parse(data); err != nil && !errors.Is(err, ErrSyntax) {
			t.Fatal(err)
		}
	})
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".env.ecluse")
	target := filepath.Join(dir, "target")
	must(t, os.WriteFile(target, []byte("theirs"), 0o644))
	must(t, os.Symlink(target, path))
	must(t, os.WriteFile(filepath.Join(dir, "..env.ecluse123"), []byte("A="), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "..env.ecluse.bak"), nil, 0o600))
	must(t, Write(path, map[string]string{"A": "1"}))
	must(t, os.Chmod(path, 0o644))
	must(t, Write(path, map[string]string{"A": "2"}))

	info, err := os.Lstat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if data, _ := os.ReadFile(path); string(data) != "A=2\n" {
		t.Errorf("%q", data)
	}
	if data, _ := os.ReadFile(target); string(data) != "theirs" {
		t.Errorf("wrote through the link: %q", data)
	}
	if diff := cmp.Diff([]string{"..env.ecluse.bak", ".env.ecluse", "target"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	if err := Write(path, map[string]string{"A": "\x00"}); !errors.Is(err, ErrUnwritable) {
		t.Errorf("%v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "A=2\n" {
		t.Errorf("a refused write changed the file: %q", data)
	}
	for range 2 {
		must(t, Remove(path))
	}
	if diff := cmp.Diff([]string{"..env.ecluse.bak", "target"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	must(t, Remove(filepath.Join(dir, "gone", ".env.ecluse")))
	if err := Write(filepath.Join(dir, "gone", "x"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"A='x", "a b=c", "A=${"} {
		if vars, err := Parse([]byte(text)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v, %v", text, vars, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}
