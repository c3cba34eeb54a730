package display

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds what is shown of one text, in bytes.
const maxText = 4 << 10

// clean makes a text of unknown origin harmless: what is left are printable
// characters and line feeds. Of a line that was overwritten by carriage returns,
// as progress bars do, the last state is left.
func clean(s string) string {
	cut := len(s) > maxText
	if cut {
		s = s[:maxText]
		for range utf8.UTFMax - 1 { // what the cut left of a character
			if r, _ := utf8.DecodeLastRuneInString(s); r == utf8.RuneError {
				s = s[:len(s)-1]
			}
		}
	}
	var kept []string
	for line := range strings.SplitSeq(printable(s), "\n") {
		kept = append(kept, strings.TrimRight(overwritten(line), " "))
	}
	s = strings.Trim(strings.Join(kept, "\n"), "\n")
	if cut {
		s += ellipsis
	}
	return s
}

// overwritten is what a terminal would be left with, more or less, after a line
// with carriage returns.
func overwritten(line string) string {
	line = strings.TrimRight(line, "\r")
	return line[strings.LastIndexByte(line, '\r')+1:]
}

// printable takes escape sequences and control characters out of s, except for
// line feeds and carriage returns.
func printable(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\x1b', r >= 0x80 && r <= 0x9f:
			i = escaped(runes, i)
		case r == '\t':
			b.WriteByte(' ')
		case r == '\u2028', r == '\u2029', r == '\v', r == '\f':
			b.WriteByte('\n')
		case r == '\n', r == '\r', !invisible(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// invisible reports whether r shows nothing of its own but may change how others
// are shown. Joiners, which scripts and emoji are written with, are let through.
func invisible(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d'
}

// escaped returns the index of the last rune of the escape sequence that begins
// at i, by ECMA-48: with ESC, or with one of its 8-bit abbreviations.
func escaped(runes []rune, i int) int {
	kind := runes[i] - 0x40 // the abbreviation of ESC [ is 0x9b
	if runes[i] == '\x1b' {
		if i++; i == len(runes) {
			return i - 1
		}
		kind = runes[i]
	}
	switch kind {
	case '[':
		for i+1 < len(runes) && runes[i+1] >= 0x20 && runes[i+1] < 0x40 {
			i++
		}
		return last(runes, i+1, 0x40)
	case ']', 'P', 'X', '^', '_':
		return stringEnd(runes, i)
	}
	if kind < 0x20 || kind > 0x7e {
		return i - 1 // a lone ESC
	}
	for kind < 0x30 && i+1 < len(runes) && runes[i+1] >= 0x20 && runes[i+1] < 0x30 {
		i++
	}
	if kind < 0x30 {
		return last(runes, i+1, 0x30)
	}
	return i
}

// last is i if the rune there can end a sequence, as those from low on do, and
// otherwise the index before: the sequence was broken off.
func last(runes []rune, i int, low rune) int {
	if i < len(runes) && runes[i] >= low && runes[i] <= 0x7e {
		return i
	}
	return i - 1
}

// stringEnd finds the end of a control string; one that is not ended goes no
// further than its line.
func stringEnd(runes []rune, i int) int {
	for i++; i < len(runes); i++ {
		switch {
		case runes[i] == '\a', runes[i] == 0x9c:
			return i
		case runes[i] == '\x1b' && i+1 < len(runes) && runes[i+1] == '\\':
			return i + 1
		case runes[i] == '\n':
			return i - 1
		}
	}
	return i
}

// oneLine is the first line of a cleaned text, marked if there are more.
func oneLine(s string) string {
	first, rest, _ := strings.Cut(clean(s), "\n")
	if rest != "" {
		first += " " + ellipsis
	}
	return first
}

// wide holds the characters that take two columns: East Asian wide and emoji.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1},
		{Lo: 0x231a, Hi: 0x231b, Stride: 1},
		{Lo: 0x23e9, Hi: 0x23f3, Stride: 1},
		{Lo: 0x25fd, Hi: 0x25fe, Stride: 1},
		{Lo: 0x2614, Hi: 0x2615, Stride: 1},
		{Lo: 0x2648, Hi: 0x2653, Stride: 1},
		{Lo: 0x26a1, Hi: 0x26a1, Stride: 1},
		{Lo: 0x26bd, Hi: 0x26be, Stride: 1},
		{Lo: 0x2705, Hi: 0x2705, Stride: 1},
		{Lo: 0x270a, Hi: 0x270b, Stride: 1},
		{Lo: 0x2728, Hi: 0x2728, Stride: 1},
		{Lo: 0x274c, Hi: 0x274e, Stride: 1},
		{Lo: 0x2753, Hi: 0x2757, Stride: 1},
		{Lo: 0x2795, Hi: 0x2797, Stride: 1},
		{Lo: 0x2b1b, Hi: 0x2b1c, Stride: 1},
		{Lo: 0x2b50, Hi: 0x2b55, Stride: 1},
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1},
		{Lo: 0x3041, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xa960, Hi: 0xa97c, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x16fe0, Hi: 0x1b2ff, Stride: 1},
		{Lo: 0x1f004, Hi: 0x1f004, Stride: 1},
		{Lo: 0x1f0cf, Hi: 0x1f0cf, Stride: 1},
		{Lo: 0x1f18e, Hi: 0x1f19a, Stride: 1},
		{Lo: 0x1f200, Hi: 0x1f320, Stride: 1},
		{Lo: 0x1f32d, Hi: 0x1f64f, Stride: 1},
		{Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f7e0, Hi: 0x1f7f0, Stride: 1},
		{Lo: 0x1f90c, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x1fa70, Hi: 0x1faff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// columns is the width of a rune on a terminal.
func columns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	default:
		return 1
	}
}

// width is the width of a cleaned text on a terminal, in columns.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}

// truncate cuts a cleaned text to at most limit columns, the last of them an
// ellipsis if something was cut.
func truncate(s string, limit int) string {
	if width(s) <= limit {
		return s
	}
	if limit < 1 {
		return ""
	}
	n := 0
	for i, r := range s {
		if n+columns(r) > limit-1 {
			return strings.TrimRight(s[:i], " ") + ellipsis
		}
		n += columns(r)
	}
	return s
}
