package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Reference is a schema as a page for people, in Markdown: a table of the keys, and
// one for each table in it. Deprecated keys come last.
func Reference(s *Schema) string {
	var b strings.Builder
	section(&b, "", s)
	return b.String()
}

// section writes the keys of one table, then those of the tables in it.
func section(b *strings.Builder, path string, s *Schema) {
	b.WriteString("| key | takes | default | meaning |\n|---|---|---|---|\n")
	properties := slices.Clone(s.Properties)
	slices.SortStableFunc(properties, func(x, y Property) int { return rank(x) - rank(y) })
	for _, p := range properties {
		def := ""
		switch {
		case slices.Contains(s.Required, p.Name):
			def = "required"
		case p.Schema.Default != nil:
			def = "`" + asTOML(p.Schema.Default) + "`"
		}
		meaning := p.Schema.Description
		if p.Schema.Deprecated {
			meaning = "Deprecated. " + meaning
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", p.Name, cell(p.Schema.takes()), cell(def), cell(meaning))
	}
	for _, p := range properties {
		table, list := p.Schema.table()
		if table == nil || p.Schema.Deprecated {
			continue
		}
		at := p.Name
		if path != "" {
			at = path + "." + p.Name
		}
		heading := "[" + at + "]"
		if list {
			heading = "[[" + at + "]]"
		}
		if said(b, table) {
			continue // the five hooks are alike
		}
		fmt.Fprintf(b, "\n## `%s`\n\n%s\n\n", heading, table.Description)
		section(b, at, table)
	}
}

// said reports whether a table of this kind was written already.
func said(b *strings.Builder, table *Schema) bool {
	return strings.Contains(b.String(), "\n\n"+table.Description+"\n\n|")
}

// rank puts what is deprecated last.
func rank(p Property) int {
	if p.Schema.Deprecated {
		return 1
	}
	return 0
}

// table is the table of known keys that a key takes, or a list of; nil if it takes none.
func (s *Schema) table() (table *Schema, list bool) {
	if s.Items != nil {
		table, _ = s.Items.table()
		return table, true
	}
	for _, one := range append([]*Schema{s}, s.AnyOf...) {
		if len(one.Properties) > 0 {
			return one, false
		}
	}
	return nil, false
}

// takes says what a value may be.
func (s *Schema) takes() string {
	switch {
	case len(s.AnyOf) == 2 && s.AnyOf[1].Const != nil:
		return "a duration, as `\"90s\"`, or `0`"
	case len(s.AnyOf) == 2 && len(s.AnyOf[1].Properties) > 0:
		return "a string or a table"
	case len(s.AnyOf) == 2:
		return "a string or an array of strings"
	case len(s.Enum) > 0:
		return "`\"" + strings.Join(s.Enum, "\"`, `\"") + "\"`"
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("%d to %d", *s.Minimum, *s.Maximum)
	case s.Items != nil:
		if one := s.Items.takes(); one != "a string" {
			return "an array; an entry is " + one
		}
		return "an array of strings"
	case s.Type == "object" && len(s.Properties) == 0:
		return "a table of strings"
	case s.Type == "object":
		return "a table"
	case s.Type == "boolean":
		return "`true` or `false`"
	case s.Type == "integer":
		return "a number"
	default:
		return "a string"
	}
}

// asTOML is a default as a file spells it.
func asTOML(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.ReplaceAll(string(text), `","`, `", "`)
}

// cell is a text that may stand in a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
