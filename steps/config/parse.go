package config

import (
	"errors"
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	// maxBroken bounds after how many lines that are no TOML reading goes on.
	maxBroken = 20
	// maxParts bounds how many parts a dotted key has. No key of ours has more
	// than three.
	maxParts = 100
)

// builder makes a document of the parser's expressions.
type builder struct {
	*document
	problems *Problems
	parser   unstable.Parser
	// base is the offset at which the parser was set on.
	base int32
	// current is the table that keys are added to.
	current *node
}

// part is one part of a dotted key.
type part struct {
	name string
	at   span
}

// parse reads a document. What is wrong with it as TOML goes to problems.
func parse(text []byte, problems *Problems) *document {
	b := &builder{document: newDocument(text), problems: problems}
	problems.doc = b.document
	b.current = b.root
	b.base = b.lines[0]
	for range maxBroken {
		at, message := b.read()
		if message == "" {
			return b.document
		}
		b.broken = true
		problems.add(Problem{Message: message}, at)
		if !b.skip(b.line(at.from)) {
			return b.document
		}
	}
	return b.document
}

// read reads expressions up to the end or to what is none.
func (b *builder) read() (at span, message string) {
	b.parser.Reset(b.text[b.base:])
	for b.parser.NextExpression() {
		switch n := b.parser.Expression(); n.Kind {
		case unstable.KeyValue:
			b.keyValue(b.current, n)
		default: // [table] or [[table]]
			b.current = b.header(n)
		}
	}
	var broken *unstable.ParserError
	switch err := b.parser.Error(); {
	case err == nil:
		return span{}, ""
	case errors.As(err, &broken):
		return b.span(b.parser.Range(broken.Highlight)), broken.Message
	default:
		return span{b.base, b.base}, err.Error()
	}
}

// skip sets the parser on after a line that is no TOML. It refuses when the line
// belongs to what began above it, as an array that was never closed does: what
// follows would be misread, and reported.
func (b *builder) skip(line int) bool {
	from := b.lines[line]
	if from < b.base || line+1 >= len(b.lines) {
		return false
	}
	b.parser.Reset(b.text[b.base:from])
	for b.parser.NextExpression() {
		// only the error counts
	}
	if b.parser.Error() != nil {
		return false
	}
	for _, c := range b.text[from:] {
		if c == '[' {
			b.current = lost()
		}
		if c != ' ' && c != '\t' {
			break
		}
	}
	b.base = b.lines[line+1]
	return true
}

// span places a range of the parser in the text.
func (b *builder) span(r unstable.Range) span {
	from := b.base + int32(r.Offset)
	return span{from, from + int32(r.Length)}
}

// key reads a dotted key, of which one has only so many parts.
func (b *builder) key(it unstable.Iterator) (parts []part, ok bool) {
	for it.Next() {
		n := it.Node()
		p := part{string(n.Data), b.span(n.Raw)}
		if len(parts) == maxParts {
			b.problems.add(Problem{Message: fmt.Sprintf("a key of more than %d parts", maxParts)}, p.at)
			b.broken = true
			return nil, false
		}
		parts = append(parts, p)
	}
	return parts, true
}

// header finds or makes the table of a [header] or [[header]].
func (b *builder) header(n *unstable.Node) *node {
	parts, ok := b.key(n.Key())
	if !ok {
		return lost()
	}
	at := b.root
	last := parts[len(parts)-1]
	for _, p := range parts[:len(parts)-1] {
		child := at.table[p.name]
		switch {
		case child == nil:
			child = at.set(p.name, &node{form: aTable, origin: implicit, key: p.at})
		case child.form == anArray && child.origin == explicit:
			child = child.items[len(child.items)-1]
		case child.form != aTable || child.origin == inline:
			return b.conflict(p, child)
		}
		at = child
	}
	child := at.table[last.name]
	table := &node{form: aTable, origin: explicit, key: last.at}
	if n.Kind == unstable.ArrayTable {
		switch {
		case child == nil:
			at.set(last.name, &node{form: anArray, origin: explicit, key: last.at, items: []*node{table}})
		case child.form == anArray && child.origin == explicit:
			child.items = append(child.items, table)
		default:
			return b.conflict(last, child)
		}
		return table
	}
	switch {
	case child == nil:
		return at.set(last.name, table)
	case child.form == aTable && child.origin == implicit:
		child.origin, child.key = explicit, last.at
		return child
	}
	return b.conflict(last, child)
}

// keyValue adds what a line sets to a table.
func (b *builder) keyValue(at *node, n *unstable.Node) {
	parts, ok := b.key(n.Key())
	if !ok {
		return
	}
	last := parts[len(parts)-1]
	for _, p := range parts[:len(parts)-1] {
		child := at.table[p.name]
		switch {
		case child == nil:
			child = at.set(p.name, &node{form: aTable, origin: dotted, key: p.at})
		case child.form != aTable || child.origin != dotted:
			b.conflict(p, child)
			return
		}
		at = child
	}
	if child := at.table[last.name]; child != nil {
		b.conflict(last, child)
		return
	}
	at.set(last.name, b.value(n.Value(), last.at))
}

// value reads a value, with all that is in it.
func (b *builder) value(n *unstable.Node, key span) *node {
	v := &node{origin: inline, key: key, value: b.span(n.Raw), text: string(n.Data)}
	switch n.Kind {
	case unstable.Array:
		v.form, v.value = anArray, span{}
		for it := n.Children(); it.Next(); {
			v.items = append(v.items, b.value(it.Node(), key))
		}
	case unstable.InlineTable:
		v.form = aTable
		for it := n.Children(); it.Next(); {
			b.keyValue(v, it.Node())
		}
	case unstable.String:
		v.form = aString
	case unstable.Bool:
		v.form = aBoolean
	case unstable.Integer:
		v.form = anInteger
	case unstable.Float:
		v.form = aFloat
	default:
		v.form = aTime
	}
	return v
}

// conflict reports a key that is set twice, and returns a table for what follows
// to go to.
func (b *builder) conflict(p part, first *node) *node {
	line, _ := b.position(first.key.from)
	b.problems.add(Problem{
		Key:     p.name,
		Message: fmt.Sprintf("%s is set twice; the first is on line %d", quoted(p.name), line),
	}, p.at)
	return lost()
}

// lost is a table for the keys of which nobody can tell whose they are.
func lost() *node { return &node{form: aTable, origin: explicit} }
