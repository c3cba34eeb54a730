package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Encode writes a configuration as TOML, in the order of its schema: what [Decode]
// reads back. Values are as json.Marshal gives them, under the same keys; empty tables
// are left out.
func Encode(s *Schema, from any) (string, error) {
	data, err := marshal(from)
	if err != nil {
		return "", fmt.Errorf("encode the configuration: %w", err)
	}
	var keys map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&keys); err != nil {
		return "", fmt.Errorf("encode the configuration: %w", err)
	}
	var scalars, tables strings.Builder
	for _, p := range s.Properties {
		switch v := keys[p.Name].(type) {
		case nil:
		case map[string]any:
			if len(v) > 0 {
				fmt.Fprintf(&tables, "\n[%s]\n%s", p.Name, pairs(p.Schema, v, "\n"))
			}
		case []any:
			if table, list := p.Schema.table(); list && table != nil && allTables(v) && len(p.Schema.Items.AnyOf) == 0 {
				for _, item := range v {
					fmt.Fprintf(&tables, "\n[[%s]]\n%s", p.Name, pairs(table, item.(map[string]any), "\n"))
				}
				continue
			}
			fmt.Fprintf(&scalars, "%s = %s\n", p.Name, onLine(p.Schema, v))
		default:
			fmt.Fprintf(&scalars, "%s = %s\n", p.Name, onLine(p.Schema, v))
		}
	}
	return scalars.String() + tables.String(), nil
}

// allTables reports whether a list is one of tables.
func allTables(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, is := v.(map[string]any); return !is })
}

// pairs writes the keys of a table, in the order of its schema, then those that it does
// not name. end follows each.
func pairs(s *Schema, table map[string]any, end string) string {
	var names []string
	schemas := map[string]*Schema{}
	if known, _ := s.table(); known != nil {
		for _, p := range known.Properties {
			schemas[p.Name] = p.Schema
			if _, there := table[p.Name]; there {
				names = append(names, p.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if schemas[name] == nil {
			names = append(names, name)
		}
	}
	var b strings.Builder
	for _, name := range names {
		if v, is := table[name].(map[string]any); is && len(v) == 0 {
			continue
		}
		of := schemas[name]
		if of == nil {
			of = &Schema{}
		}
		fmt.Fprintf(&b, "%s = %s%s", name, onLine(of, table[name]), end)
	}
	return b.String()
}

// onLine is a value on one line.
func onLine(s *Schema, v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "{ " + strings.TrimSuffix(pairs(s, v, ", "), ", ") + " }"
	case []any:
		items := s.Items
		if items == nil {
			items = &Schema{}
		}
		list := make([]string, len(v))
		for i, item := range v {
			list[i] = onLine(items, item)
		}
		return "[" + strings.Join(list, ", ") + "]"
	default:
		text, _ := marshal(v) // it was JSON
		// JSON escapes as TOML does, and leaves this one character as it is.
		return strings.ReplaceAll(string(text), "\x7f", `\u007f`)
	}
}
