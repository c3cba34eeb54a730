package dotenv

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Errors of a table whose values cannot be expanded.
var (
	// ErrUnknown is wrapped by the error for a reference to no variable.
	ErrUnknown = errors.New("no variable of this name")
	// ErrCycle is wrapped by the error for values that refer to each other.
	ErrCycle = errors.New("refers to itself")
	// ErrReference is wrapped by the error for a $ that begins no reference.
	ErrReference = errors.New("a $ is neither ${NAME} nor $$; write $$ for a dollar")
)

// ExpandAll returns the table with every ${NAME} in its values replaced: by the
// value of that name in the table, else in vars. $$ is a dollar. A value that
// refers to its own name means the one in vars. The error names the variable and
// wraps [ErrUnknown], [ErrCycle], [ErrReference] or [ErrName].
func ExpandAll(table, vars map[string]string) (map[string]string, error) {
	e := expander{table: table, vars: vars, done: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if _, err := e.value(name); err != nil {
			return nil, err
		}
	}
	return e.done, nil
}

// expander holds the values that are known and the names that are being worked
// out, from the outermost.
type expander struct {
	table, vars map[string]string
	done        map[string]string
	path        []string
}

// value is the expanded value of a name of the table.
func (e *expander) value(name string) (string, error) {
	if value, ok := e.done[name]; ok {
		return value, nil
	}
	if !namePattern.MatchString(name) {
		return "", fmt.Errorf("%q: %w", name, ErrName)
	}
	if slices.Contains(e.path, name) {
		return "", fmt.Errorf("%s: %w (%s)", name, ErrCycle, strings.Join(append(e.path, name), " -> "))
	}
	e.path = append(e.path, name)
	defer func() { e.path = e.path[:len(e.path)-1] }()

	var b strings.Builder
	rest := e.table[name]
	for {
		before, after, found := strings.Cut(rest, "$")
		b.WriteString(before)
		if !found {
			break
		}
		if dollar, ok := strings.CutPrefix(after, "$"); ok {
			b.WriteByte('$')
			rest = dollar
			continue
		}
		reference, tail, ok := cutReference(after)
		if !ok {
			return "", fmt.Errorf("%s: %w", name, ErrReference)
		}
		value, err := e.lookup(name, reference)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		rest = tail
	}
	e.done[name] = b.String()
	return e.done[name], nil
}

// cutReference cuts "{NAME}" off the front.
func cutReference(text string) (name, rest string, ok bool) {
	text, open := strings.CutPrefix(text, "{")
	name, rest, closed := strings.Cut(text, "}")
	return name, rest, open && closed && namePattern.MatchString(name)
}

// lookup is what a reference in the value of name stands for.
func (e *expander) lookup(name, reference string) (string, error) {
	outer, known := e.vars[reference]
	if _, ours := e.table[reference]; ours && (reference != name || !known) {
		return e.value(reference)
	}
	if !known {
		return "", fmt.Errorf("%s refers to ${%s}: %w", name, reference, ErrUnknown)
	}
	return outer, nil
}
