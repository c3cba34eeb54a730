package config

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// form is what a value is, in the words of a message.
type form string

const (
	aTable    form = "a table"
	anArray   form = "an array"
	aString   form = "a string"
	anInteger form = "an integer"
	aFloat    form = "a number with a fraction"
	aBoolean  form = "true or false"
	aTime     form = "a date or time"
)

// origin is how a table came to be, or, of an array, whether it may grow: it
// decides what may be added later.
type origin uint8

const (
	inline   origin = iota // a value; nothing may be added
	implicit               // [a.b] made a
	explicit               // [a] or [[a]]
	dotted                 // a.b = 1 made a
)

// span is a part of the text, from an offset to another, in bytes.
type span struct{ from, to int32 }

// node is one value of a document and its place. It is a tree of its own and not
// one of maps, because messages need places and the order.
type node struct {
	form   form
	origin origin
	// key is where the key stands; of an element of an array the array's.
	key span
	// value is where the value stands, empty where the parser cannot tell.
	value span
	// text is the content of a string, and the spelling of another scalar.
	text  string
	names []string
	table map[string]*node
	items []*node
}

// place is where to point for what is wrong with the value.
func (n *node) place() span {
	if n.value.to > n.value.from {
		return n.value
	}
	return n.key
}

// set adds a child to a table.
func (n *node) set(name string, child *node) *node {
	if n.table == nil {
		n.table = map[string]*node{}
	}
	n.table[name] = child
	n.names = append(n.names, name)
	return child
}

// document is a parsed file.
type document struct {
	text []byte
	root *node
	// lines are the offsets at which lines begin.
	lines []int32
	// broken: what stands in the text is not all in the tree.
	broken bool
}

// bom is the mark that some editors of Windows begin a file with.
var bom = []byte("\xef\xbb\xbf")

// newDocument is a document that is still empty.
func newDocument(text []byte) *document {
	d := &document{text: text, root: &node{form: aTable, origin: explicit}}
	start := int32(0)
	if bytes.HasPrefix(text, bom) {
		start = int32(len(bom))
	}
	d.lines = append(d.lines, start)
	for i, c := range text {
		if c == '\n' {
			d.lines = append(d.lines, int32(i+1))
		}
	}
	return d
}

// line is the index of the line of an offset.
func (d *document) line(at int32) int {
	i, found := slices.BinarySearch(d.lines, at)
	if !found && i > 0 {
		i--
	}
	return i
}

// bounds are where a line begins and ends, without its line break.
func (d *document) bounds(line int) (from, to int32) {
	from, to = d.lines[line], int32(len(d.text))
	if line+1 < len(d.lines) {
		to = d.lines[line+1] - 1
	}
	if to > from && d.text[to-1] == '\r' {
		to--
	}
	return from, to
}

// position is the line and column of an offset, both from 1, the column in
// characters.
func (d *document) position(at int32) (line, column int) {
	i := d.line(at)
	from := min(d.lines[i], at)
	return i + 1, utf8.RuneCount(d.text[from:at]) + 1
}

// maxJoined bounds how many parts of a path are tried as one key.
const maxJoined = 16

// find follows a path such as "services.0.name". It returns the last node on
// the way that is there, and whether that is the one. A key may itself have
// dots in it.
func (d *document) find(path string) (*node, bool) {
	at := d.root
	for path != "" {
		child, rest := at.child(path)
		if child == nil {
			return at, false
		}
		at, path = child, rest
	}
	return at, true
}

// child takes the first step of a path.
func (n *node) child(path string) (*node, string) {
	if child := n.table[path]; child != nil {
		return child, ""
	}
	end := 0
	for range maxJoined {
		dot := strings.IndexByte(path[end:], '.')
		if dot < 0 {
			end = len(path)
		} else {
			end += dot
		}
		name, rest := path[:end], strings.TrimPrefix(path[end:], ".")
		if n.form == anArray {
			return n.item(name), rest
		}
		if child := n.table[name]; child != nil {
			return child, rest
		}
		if dot < 0 {
			break
		}
		end++
	}
	return nil, ""
}

// item is the element of an array of an index, spelt in decimal.
func (n *node) item(index string) *node {
	i := 0
	for _, c := range []byte(index) {
		if c < '0' || c > '9' || i > len(n.items) {
			return nil
		}
		i = i*10 + int(c-'0')
	}
	if index == "" || i >= len(n.items) {
		return nil
	}
	return n.items[i]
}
