package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

// hostile are files that would hurt a reader that is not linear, or that recurses:
// toml.Unmarshal takes 15 seconds for a megabyte of the first.
func hostile(size int) map[string]string {
	grow := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	return map[string]string{
		"keys":             grow("k%d = 1\n"),
		"variables":        "[env]\n" + grow("K%d = \"x\"\n"),
		"tables":           grow("[t%d]\n"),
		"services":         grow("[[services]]\nname = \"s%d\"\n"),
		"unknown keys":     grow("[[services]]\nnam = \"s%d\"\n"),
		"wrong types":      grow("[[services]]\nname = %d\n"),
		"one key":          grow("mode = \"%d\"\n"),
		"lines of no use":  grow("mode %d\n"),
		"arrays":           "a = " + strings.Repeat("[", size/2) + strings.Repeat("]", size/2),
		"inline tables":    "a = " + strings.Repeat("{a=", size/3),
		"a dotted key":     strings.Repeat("a.", size/2) + "a = 1",
		"a deep table":     "[" + strings.Repeat("a.", size/2) + "a]",
		"a deep env":       "env." + strings.Repeat("a.", size/2) + "a = 1",
		"a dotted name":    "env = { \"" + strings.Repeat("a.", size/2) + "\" = 1 }",
		"a long string":    "mode = \"" + strings.Repeat("x", size) + "\"",
		"an open string":   "mode = \"\"\"" + strings.Repeat("x\n", size/2),
		"an open array":    "inherit_env = [" + strings.Repeat("'a',\n", size/5),
		"a long key":       strings.Repeat("a", size),
		"zeroes":           strings.Repeat("\x00", size),
		"carriage returns": strings.Repeat("\r", size),
		"no UTF-8":         "mode = \"" + strings.Repeat("\xff", size),
	}
}

func TestHostileFilesNeitherHangNorCrash(t *testing.T) {
	files := hostile(1 << 20)
	large := hostile(10 << 20)
	for _, name := range []string{"keys", "an open array", "a long string", "arrays"} {
		files["10 MB of "+name] = large[name]
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			path := write(t, text)
			began := spent(t)
			var into sample
			p, err := Decode(path, &into)
			if err != nil {
				t.Fatal(err)
			}
			p.Invalid("env."+strings.Repeat("a.", 1<<20), "deep")
			if took := spent(t) - began; took > 15*time.Second {
				t.Errorf("took %s", took)
			}
			err = p.Err()
			if err != nil && len(err.Error()) > 200_000 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

// spent is the time that this process has had of the processors: what others do beside
// it makes nothing longer.
func spent(t *testing.T) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// seeds are documents about the rules of what may be set twice.
var seeds = []string{
	"", "a=1", "a.b=1\na.c=2", "a.b=1\n[a]", "[a]\nb.c=1\n[a.b.d]\ne=1", "[a.b]\n[a]\nc=1", "[a.b]\n[a]\nb.c=1", "[a]\n[a]",
	"[[a]]\n[[a]]\n[a.b]\n[[a]]\n[a.b]", "[[a]]\n[a]", "[a]\n[[a]]", "a=[]\n[[a]]", "a={}\n[a]", "a={b=1}\na.c=1", "a={b.c=1,b.d=2}",
	"a={b=1,b=2}", "a={b.c=1,b=2}", "a={b={}}\n[a.b.c]", "a=1\n[a.b]", "a=1\na.b=2", "[[a.b]]\n[a]\n[[a.b]]", "[[a]]\nb=1\n[[a.c]]\n[[a]]\n[[a.c]]",
	"'a.b'=1\na.b=2", "\"\"=1\n[\"\".x]", "a=\"\"\"x\ny\"\"\"\nb='''\n'''", "a=0x1F\nb=-1_000\nc=+1\nd=0o17\ne=0b11", "a=1.5\nb=inf\nc=-nan\nd=1e3",
	"a=[1,[2,'x'],{b=true}]", "a=[{b=1,b=2}]", "a=[1 2]", "a=\"\\u00e9\\t\"", "a=\"\\x\"", "a = 1 # c\r\n#\n", "\ufeffa=1", "a=00", "a=1__0",
	"[a]\nb=1\n[c]\n[a.d]\n[a.b.e]", "a=[\n1,\n# c\n2,\n]", "=1", "a=", "[]", "[a", "a b=1", "x.y.z=1\nx.y.w=2\nx.v=3\nx.y=4", "fruit.apple.color=1\n[fruit]",
	"[fruit]\napple.color=1\napple.taste.sweet=true\n[fruit.apple]", "[fruit]\napple.color=1\n[fruit.apple.texture]\nsmooth=true",
}

// FuzzLoad compares the verdict and the values with those of go-toml, and checks
// what the package promises of problems.
func FuzzLoad(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Add("mode = 'host'\nmax_slots = 2\n[[services]]\nname='a'\nport_env=['A']\ntimeout='1s'\n[hooks]\npre_up={run='x'}\non_up='y'\n[env]\nA='b'")
	f.Fuzz(func(t *testing.T, text string) {
		p := &Problems{path: Name}
		doc := parse([]byte(text), p)
		if !strings.HasPrefix(text, string(bom)) { // go-toml refuses the mark
			compare(t, text, doc, p)
		}
		var into sample
		decode(p, &into)
		for _, key := range []string{"mode", "services.0.name", "env.A", "hooks.pre_up.run", "inherit_env.1", text} {
			p.Invalid(key, "x")
			p.Has(key)
		}
		lines := strings.Count(text, "\n") + 1
		for _, problem := range p.list {
			if problem.Line < 0 || problem.Line > lines || problem.Line > 0 && problem.Column < 1 {
				t.Fatalf("%+v is outside the file", problem)
			}
			if problem.Line > 0 {
				checkExcerpt(t, problem)
			}
		}
	})
}

// compare compares a document with what go-toml makes of its text.
func compare(t *testing.T, text string, doc *document, p *Problems) {
	t.Helper()
	var want map[string]any
	err := toml.Unmarshal([]byte(text), &want)
	if len(p.list) > 0 && strings.HasPrefix(p.list[len(p.list)-1].Message, "a key of more than") {
		return
	}
	if err == nil && len(p.list) > 0 {
		t.Fatalf("%q: go-toml takes it; got %+v", text, p.list)
	}
	if len(p.list) > 0 {
		return
	}
	got, same := plainValue(doc.root)
	if !same { // go-toml looks closer at dates and large numbers, which no key takes
		return
	}
	if err != nil {
		t.Fatalf("%q: go-toml refuses it: %v", text, err)
	}
	if diff := cmp.Diff(map[string]any(want), got, cmp.Comparer(func(a, b float64) bool {
		return a == b || math.IsNaN(a) && math.IsNaN(b)
	})); diff != "" {
		t.Fatalf("%q: %s", text, diff)
	}
}

// plainValue is a node as go-toml would decode it, and whether it can be
// compared.
func plainValue(n *node) (any, bool) {
	switch n.form {
	case aTable:
		table, same := map[string]any{}, true
		for _, name := range n.names {
			v, ok := plainValue(n.table[name])
			table[name], same = v, same && ok
		}
		return table, same
	case anArray:
		list, same := []any{}, true
		for _, item := range n.items {
			v, ok := plainValue(item)
			list, same = append(list, v), same && ok
		}
		return list, same
	case aBoolean:
		return n.text == "true", true
	case anInteger:
		i, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, 64)
		return i, err == nil
	case aFloat:
		v, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
		return v, err == nil
	case aString:
		return n.text, true
	}
	return n.text, false
}
