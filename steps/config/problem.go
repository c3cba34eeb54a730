package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Key is what it is about, as a path: "services.0.name".
	Key string `json:"key,omitempty"`
	// Line and Column are where it stands, from 1, the column in characters.
	// Both are 0 when it stands nowhere.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Message says what is wrong, and what would be right.
	Message string `json:"message"`
	// Excerpt is the line and, below it, a caret under the place.
	Excerpt string `json:"excerpt,omitempty"`
}

// Error is what is wrong with a configuration, in the order of the file.
type Error struct {
	// Path is the file.
	Path string
	// Problems are at least one.
	Problems []Problem
	// Omitted counts the problems that are not in the list, because it is long.
	Omitted int
}

// Error lists the problems as compilers do: each at file:line:column.
func (e *Error) Error() string {
	var text strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			text.WriteByte('\n')
		}
		text.WriteString(e.Path)
		if p.Line > 0 {
			fmt.Fprintf(&text, ":%d:%d", p.Line, p.Column)
		}
		text.WriteString(": " + p.Message)
		if p.Excerpt != "" {
			text.WriteString("\n" + p.Excerpt)
		}
	}
	if e.Omitted > 0 {
		fmt.Fprintf(&text, "\n%s: and %d more", e.Path, e.Omitted)
	}
	return text.String()
}

const (
	// maxProblems bounds how many problems are kept.
	maxProblems = 100
	// maxMessage and maxKey bound a message and a key, in bytes: either may
	// quote the file.
	maxMessage, maxKey = 400, 120
)

// Problems collects what is wrong with a configuration.
type Problems struct {
	path    string
	doc     *document
	list    []Problem
	seen    map[string]bool
	secret  map[string]bool
	omitted int
}

// NewProblems begins a collection for a file, to which the caller adds what
// [Load] cannot know. A file that cannot be read leaves the problems without a
// place.
func NewProblems(path string) *Problems {
	text, err := Read(path)
	if err != nil {
		text = nil
	}
	// What is no TOML was reported by Load.
	return &Problems{path: path, doc: parse(text, &Problems{})}
}

// Has reports whether the file sets a key.
func (p *Problems) Has(key string) bool {
	_, found := p.doc.find(key)
	return found
}

// Wrong reports whether something was found wrong with a key.
func (p *Problems) Wrong(key string) bool { return p.seen[key] }

// Broken reports whether the file could not be read to its end as TOML, so that
// what seems to be missing may be there.
func (p *Problems) Broken() bool { return p.doc.broken }

// Secret has the problems with a key show nothing of the file: what is wrong with a
// value that holds a password is told to whoever reads a terminal, or a log.
func (p *Problems) Secret(key string) {
	if p.secret == nil {
		p.secret = map[string]bool{}
	}
	p.secret[key] = true
}

// Invalid adds a problem with a key, given as a path: "mode", "services.0.name",
// "hooks.post_up". It stands at the key's value, or, where the file has no such
// key, at what comes nearest. A key of which something is wrong already is left
// alone, and so is one that was misspelt: a second message would mislead.
func (p *Problems) Invalid(key, message string) { p.invalid(key, message, (*node).place) }

// Misnamed is [Problems.Invalid] for a problem with a key's name: it stands at the
// key.
func (p *Problems) Misnamed(key, message string) {
	p.invalid(key, message, func(n *node) span { return n.key })
}

// invalid adds a problem unless it would mislead.
func (p *Problems) invalid(key, message string, place func(*node) span) {
	at := key
	for range maxJoined {
		if p.seen[at] {
			return
		}
		at = at[:max(strings.LastIndexByte(at, '.'), 0)]
	}
	n, _ := p.doc.find(key)
	p.report(key, place(n), message)
}

// Err is an [*Error] with all problems, or nil when there is none.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	list := slices.Clone(p.list)
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Path: p.path, Problems: list, Omitted: p.omitted}
}

// report adds a problem with a key.
func (p *Problems) report(key string, at span, message string) {
	p.hush(key)
	p.add(Problem{Key: key, Message: message}, at)
}

// hush has Invalid be silent about a key.
func (p *Problems) hush(key string) {
	if len(p.seen) >= 2*maxProblems {
		return
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[key] = true
}

// full reports whether no further problem will be kept.
func (p *Problems) full() bool { return len(p.list) >= maxProblems }

// add adds a problem and gives it its place.
func (p *Problems) add(problem Problem, at span) {
	if p.full() {
		p.omitted++
		return
	}
	problem.Key, problem.Message = clip(problem.Key, maxKey), clip(problem.Message, maxMessage)
	if at.to > at.from {
		problem.Line, problem.Column = p.doc.position(at.from)
		if !p.secret[problem.Key] {
			problem.Excerpt = p.doc.excerpt(at)
		}
	}
	p.list = append(p.list, problem)
}

// clip shortens a text that may quote the file, and takes out what could move
// the cursor of a terminal.
func clip(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return strings.Map(printable, text)
}

// printable is a character that can be shown.
func printable(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case r == utf8.RuneError, !unicode.IsPrint(r):
		return '·'
	}
	return r
}

const (
	// before and width are how much of a long line is shown: so many characters
	// before the place, so many in all.
	before, width = 60, 100
)

// maskReach is how far around a place passwords are looked for, in bytes.
const maskReach = 4096

// passwords are the user of a URL, and what is said to be a password.
var passwords = regexp.MustCompile(`(?i)://([^\s"']+)@|pass(?:word|wd|file)\s*=\s*["']?([^&\s"']+)`)

// masked is a part of the text, byte for byte, without the passwords in it that can
// be told, and where it begins.
func (d *document) masked(from, to int32) ([]byte, int32) {
	text := slices.Clone(d.text[from:to])
	for _, at := range passwords.FindAllSubmatchIndex(text, -1) {
		for group := 2; group < len(at); group += 2 {
			for i := at[group]; i >= 0 && i < at[group+1]; i++ {
				text[i] = 'x'
			}
		}
	}
	return text, from
}

// excerpt is the line of a place, with its number, and a caret for each character
// of the place below.
func (d *document) excerpt(at span) string {
	line := d.line(at.from)
	from, to := d.bounds(line)
	at.from = min(at.from, to)
	at.to = max(min(at.to, to), at.from)
	text, base := d.masked(max(from, at.from-maskReach), min(to, at.to+maskReach))
	head := []rune(string(text[max(from, at.from-4*before)-base : at.from-base]))
	mark := []rune(string(text[at.from-base : min(at.to, at.from+4*width)-base]))
	tail := []rune(string(text[at.to-base : min(to, at.to+4*width)-base]))
	left, right := "", ""
	if at.from-from > 4*before || len(head) > before {
		head, left = head[max(len(head)-before, 0):], "…"
	}
	if room := width - len(head); len(mark) > room {
		mark, tail, right = mark[:room], nil, "…"
	} else if room -= len(mark); len(tail) > room {
		tail, right = tail[:room], "…"
	}
	shown := left + strings.Map(printable, string(head)+string(mark)+string(tail)) + right
	gutter := fmt.Sprintf("%5d | ", line+1)
	return gutter + shown + "\n" +
		strings.Repeat(" ", len(gutter)-2) + "| " +
		strings.Repeat(" ", utf8.RuneCountInString(left)+len(head)) +
		strings.Repeat("^", max(len(mark), 1))
}
