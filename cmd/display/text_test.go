package display

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain":              {"hello", "hello"},
		"umlauts":            {"größe 日本 👩‍💻", "größe 日本 👩‍💻"},
		"color":              {"\x1b[1;31mred\x1b[0m", "red"},
		"private mode":       {"a\x1b[?25lb", "ab"},
		"clear":              {"a\x1b[2J\x1b[Hb", "ab"},
		"title":              {"\x1b]0;pwned\aafter", "after"},
		"title, long end":    {"\x1b]0;pwned\x1b\\after", "after"},
		"title, broken off":  {"\x1b]0;pwned\nafter", "after"},
		"link":               {"\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
		"device control":     {"a\x1bPq#0\x1b\\b", "ab"},
		"8-bit":              {"a\u009b31mb\u009d0;x\u009cc", "abc"},
		"charset":            {"a\x1b(Bb", "ab"},
		"reset":              {"a\x1bcb", "ab"},
		"sequence cut short": {"a\x1b[31", "a"},
		"sequence broken":    {"a\x1b[31\nb", "a\nb"},
		"lone escape":        {"a\x1b", "a"},
		"escaped escape":     {"a\x1b\x1b[31mb", "ab"},
		"bell, backspace":    {"a\a\b\x00\x7fb", "ab"},
		"tab":                {"a\tb", "a b"},
		"progress bar":       {"10%\r55%\r100%", "100%"},
		"windows":            {"a\r\nb\r\n", "a\nb"},
		"blank ends":         {"\n\na\n\n", "a"},
		"forged line":        {"a\vb\u2028c", "a\nb\nc"},
		"bidi":               {"a\u202eb\u2066c\u200f", "abc"},
		"hidden":             {"a\ufeff\u00adb\U000e0041", "ab"},
		"not utf-8":          {"a\xffb\x9bc", "a\ufffdb\ufffdc"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := clean(c.in); got != c.want {
				t.Errorf("clean(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestCleanCuts(t *testing.T) {
	for _, unit := range []string{"x", "é", "日", "👾"} {
		got := clean("a" + strings.Repeat(unit, maxText))
		if len(got) > maxText+len(ellipsis) || !utf8.ValidString(got) || strings.ContainsRune(got, utf8.RuneError) {
			t.Errorf("%s: %d bytes, ends %q", unit, len(got), got[len(got)-8:])
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"a\x1b[31mb", "\x1b]0;t\a", "\u009bm", "a\rb\r\n", "\xff\xfe", "\x1b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if len(got) > 3*maxText+len(ellipsis) || !utf8.ValidString(got) {
			t.Errorf("clean(%q) = %q", s, got)
		}
		for _, r := range got {
			if r != '\n' && unicode.IsControl(r) {
				t.Errorf("clean(%q) keeps %q", s, r)
			}
		}
		if again := clean(got); again != got && len(got) <= maxText {
			t.Errorf("clean(%q) = %q, cleaned again %q", s, got, again)
		}
		for limit := range 5 {
			if cut := truncate(oneLine(s), limit); width(cut) > limit {
				t.Errorf("truncate(%q, %d) = %q", s, limit, cut)
			}
		}
	})
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"hello", 5, "hello"},
		{"hello", 4, "hel…"},
		{"hello", 1, "…"},
		{"hello", 0, ""},
		{"hello", -3, ""},
		{"", 0, ""},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
		{"one two", 5, "one…"},
	} {
		if got := truncate(c.in, c.limit); got != c.want {
			t.Errorf("truncate(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		d                      time.Duration
		duration, seconds, age string
	}{
		{-time.Second, "0s", "0s", "0s"},
		{0, "0s", "0s", "0s"},
		{49 * time.Millisecond, "0s", "0s", "0s"},
		{340 * time.Millisecond, "0.3s", "0s", "0s"},
		{4100 * time.Millisecond, "4.1s", "4s", "4s"},
		{9970 * time.Millisecond, "10s", "9s", "9s"},
		{41 * time.Second, "41s", "41s", "41s"},
		{59600 * time.Millisecond, "1m", "59s", "59s"},
		{192 * time.Second, "3m12s", "3m12s", "3m"},
		{time.Hour - time.Millisecond, "1h", "59m59s", "59m"},
		{2 * time.Hour, "2h", "2h", "2h"},
		{2*time.Hour + 5*time.Minute, "2h5m", "2h5m", "2h"},
		{24*time.Hour - time.Second, "1d", "1d", "23h"},
		{5*24*time.Hour + 4*time.Hour, "5d4h", "5d4h", "5d"},
	} {
		if got := Duration(c.d); got != c.duration {
			t.Errorf("Duration(%s) = %s, want %s", c.d, got, c.duration)
		}
		if got := Seconds(c.d); got != c.seconds {
			t.Errorf("Seconds(%s) = %s, want %s", c.d, got, c.seconds)
		}
		if got := Age(c.d); got != c.age {
			t.Errorf("Age(%s) = %s, want %s", c.d, got, c.age)
		}
	}
}
