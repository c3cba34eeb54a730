package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Dialect is the JSON Schema that a [Schema] is written in.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Schema is a JSON Schema, as much of it as a configuration or a result needs.
type Schema struct {
	Dialect              string     `json:"$schema,omitempty"`
	Title                string     `json:"title,omitempty"`
	Description          string     `json:"description,omitempty"`
	Type                 any        `json:"type,omitempty"` // a name, or several
	Format               string     `json:"format,omitempty"`
	Const                any        `json:"const,omitempty"`
	Enum                 []string   `json:"enum,omitempty"`
	Pattern              string     `json:"pattern,omitempty"`
	Minimum              *int       `json:"minimum,omitempty"`
	Maximum              *int       `json:"maximum,omitempty"`
	Default              any        `json:"default,omitempty"`
	Deprecated           bool       `json:"deprecated,omitempty"`
	Properties           Properties `json:"properties,omitempty"`
	Required             []string   `json:"required,omitempty"`
	PropertyNames        *Schema    `json:"propertyNames,omitempty"`
	AdditionalProperties any        `json:"additionalProperties,omitempty"` // false, or a *Schema
	Items                *Schema    `json:"items,omitempty"`
	AnyOf                []*Schema  `json:"anyOf,omitempty"`
}

// Property is one key of an object.
type Property struct {
	Name   string
	Schema *Schema
}

// Properties are the keys of an object, in the order of the struct.
type Properties []Property

// MarshalJSON implements [json.Marshaler].
func (p Properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, property := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := marshal(property.Schema)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%s", strconv.Quote(property.Name), value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal that leaves < and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// Maker makes schemas of Go types.
type Maker struct {
	// Tag is whose names the keys are: toml, of what is read, or json, of what is
	// written.
	Tag string
	// Comments say what keys mean.
	Comments Comments
}

// selfSchemer is implemented by the types of this package that take more than one
// form.
type selfSchemer interface {
	schema(m Maker) *Schema
}

// Of makes the schema of a type. What def holds, if it is valid, are the defaults.
//
// What Go's types do not say is in a struct tag "schema", a list that ; separates:
// required, enum=a,b, min=1, max=9, pattern=^x$ (of a string, or of each of a list),
// names=^x$ (of the keys of a map).
func (m Maker) Of(t reflect.Type, def reflect.Value) *Schema {
	if t.Kind() == reflect.Pointer {
		return m.Of(t.Elem(), reflect.Value{})
	}
	if self, ok := reflect.New(t).Interface().(selfSchemer); ok {
		return self.schema(m)
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
		return &Schema{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &Schema{Type: "string"}
	}
	switch t.Kind() {
	case reflect.Struct:
		return m.object(t, def)
	case reflect.Map:
		return &Schema{Type: "object", AdditionalProperties: m.Of(t.Elem(), reflect.Value{})}
	case reflect.Slice:
		return &Schema{Type: "array", Items: m.Of(t.Elem(), reflect.Value{})}
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Float64:
		return &Schema{Type: "number"}
	default:
		return &Schema{Type: "integer"}
	}
}

// object makes the schema of a struct. A table of a file has no other keys than these;
// a result may come to have more.
func (m Maker) object(t reflect.Type, def reflect.Value) *Schema {
	s := &Schema{Type: "object", Description: m.Comments.of(t, "", "")}
	m.fields(s, t, def)
	if m.Tag == "toml" {
		s.AdditionalProperties = false
	}
	return s
}

// fields adds the keys of a struct, and of those that it embeds.
func (m Maker) fields(s *Schema, t reflect.Type, def reflect.Value) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get(m.Tag), ",")
		switch {
		case field.Anonymous && name == "":
			m.fields(s, field.Type, reflect.Value{})
			continue
		case name == "-", name == "":
			continue
		}
		value := reflect.Value{}
		if def.IsValid() {
			value = def.Field(i)
		}
		key := m.Of(field.Type, value)
		key.Description = m.Comments.of(t, field.Name, name)
		key.Deprecated = field.Tag.Get("config") == "deprecated"
		if m.Tag == "toml" {
			key.Default = defaultOf(value)
		}
		required := key.constrain(field.Tag.Get("schema"))
		if m.Tag == "json" {
			required = options != "omitempty" && options != "omitzero"
			if required && field.Type.Kind() == reflect.Pointer {
				key.nullable()
			}
		}
		if required {
			s.Required = append(s.Required, name)
		}
		s.Properties = append(s.Properties, Property{name, key})
	}
}

// nullable lets null stand for what is not there.
func (s *Schema) nullable() {
	if name, ok := s.Type.(string); ok {
		s.Type = []string{name, "null"}
	}
}

// constrain adds what a tag says, and reports whether the key must be there.
func (s *Schema) constrain(tag string) (required bool) {
	for part := range strings.SplitSeq(tag, ";") {
		name, value, _ := strings.Cut(part, "=")
		number := func() *int {
			n, err := strconv.Atoi(value)
			if err != nil {
				panic(fmt.Sprintf("config: schema tag %q: %v", tag, err))
			}
			return &n
		}
		switch name {
		case "":
		case "required":
			required = true
		case "enum":
			s.Enum = strings.Split(value, ",")
		case "min":
			s.Minimum = number()
		case "max":
			s.Maximum = number()
		case "names":
			s.PropertyNames = &Schema{Pattern: value}
		case "pattern":
			s.match(value)
		default:
			panic(fmt.Sprintf("config: schema tag %q: there is no %s", tag, name))
		}
	}
	return required
}

// match sets the pattern of a string, or of each of a list.
func (s *Schema) match(pattern string) {
	switch {
	case s.Type == "string":
		s.Pattern = pattern
	case s.Items != nil:
		s.Items.match(pattern)
	}
	for _, one := range s.AnyOf {
		one.match(pattern)
	}
}

// defaultOf is a default as a file would spell it; nil if there is none.
func defaultOf(v reflect.Value) any {
	if !v.IsValid() || v.IsZero() && v.Kind() != reflect.Bool {
		return nil
	}
	if v.Kind() == reflect.Slice {
		var list []any
		for i := range v.Len() {
			list = append(list, defaultOf(v.Index(i)))
		}
		return list
	}
	if one, ok := v.Addr().Interface().(interface{ short() any }); ok {
		return one.short()
	}
	if slices.Contains([]reflect.Kind{reflect.Struct, reflect.Map}, v.Kind()) {
		return nil // its keys have theirs
	}
	return v.Interface()
}

// schema implements [selfSchemer].
func (o *OneOrTable[T]) schema(m Maker) *Schema {
	table := m.Of(reflect.TypeFor[T](), reflect.Value{})
	if m.Tag == "json" {
		return table
	}
	text := &Schema{Type: "string"}
	for _, p := range table.Properties {
		if slices.Contains(table.Required, p.Name) {
			text.Pattern = p.Schema.Pattern // it stands for this one
		}
	}
	return &Schema{AnyOf: []*Schema{text, table}}
}

// short is the string that stands for the table, where one does.
func (o *OneOrTable[T]) short() any {
	var keys map[string]any
	if data, err := json.Marshal(o.Value); err != nil || json.Unmarshal(data, &keys) != nil {
		return nil
	}
	if len(keys) == 1 {
		for _, v := range keys {
			return v
		}
	}
	return keys
}

// schema implements [selfSchemer].
func (s *Strings) schema(m Maker) *Schema {
	list := &Schema{Type: "array", Items: &Schema{Type: "string"}}
	if m.Tag == "json" {
		return list
	}
	return &Schema{AnyOf: []*Schema{{Type: "string"}, list}}
}

// durationPattern is what [time.ParseDuration] takes, but for its sign.
const durationPattern = `^(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`

// schema implements [selfSchemer].
func (t *Duration) schema(m Maker) *Schema {
	text := &Schema{Type: "string", Pattern: durationPattern}
	if m.Tag == "json" {
		return text
	}
	return &Schema{AnyOf: []*Schema{text, {Const: 0}}}
}
