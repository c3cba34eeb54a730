package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder sets Go values to the nodes of a document, and reports each that does
// not fit.
type decoder struct {
	*Problems
	// top is the struct of the whole file, for keys that belong there.
	top   reflect.Type
	known map[reflect.Type]fieldSet
}

// selfDecoder is implemented by the types of this package that take more than
// one form.
type selfDecoder interface {
	decode(d *decoder, key string, n *node)
}

// scalar is implemented by a pointer to what [OneOrTable] holds.
type scalar interface {
	Scalar(value string) error
}

// decode decodes the whole document.
func decode(p *Problems, into any) {
	v := reflect.ValueOf(into).Elem()
	d := &decoder{Problems: p, top: v.Type(), known: map[reflect.Type]fieldSet{}}
	d.table("", p.doc.root, v)
}

// value decodes one value.
func (d *decoder) value(key string, n *node, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if self, ok := v.Addr().Interface().(selfDecoder); ok {
		self.decode(d, key, n)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if d.takes(key, n, aTable) {
			d.table(key, n, v)
		}
	case reflect.Map:
		if d.takes(key, n, aTable) {
			d.mapping(key, n, v)
		}
	case reflect.Slice:
		if d.takes(key, n, anArray) {
			d.slice(key, n, v)
		}
	case reflect.String:
		if d.takes(key, n, aString) {
			v.SetString(n.text)
		}
	case reflect.Bool:
		if d.takes(key, n, aBoolean) {
			v.SetBool(n.text == "true")
		}
	case reflect.Int:
		if d.takes(key, n, anInteger) {
			d.integer(key, n, v)
		}
	default:
		panic(fmt.Sprintf("config: %s is of a kind that no file can set: %s", key, v.Type()))
	}
}

// takes reports whether a value has the one form that its key takes.
func (d *decoder) takes(key string, n *node, want form) bool {
	if n.form == want {
		return true
	}
	d.mismatch(key, n, string(want))
	return false
}

// mismatch reports a value of the wrong form.
func (d *decoder) mismatch(key string, n *node, want string) {
	message := fmt.Sprintf("%s is %s; it takes %s", quoted(last(key)), n.form, want)
	if want == string(aString) && n.text != "" && (n.form == anInteger || n.form == aBoolean || n.form == aFloat) {
		message += fmt.Sprintf(": \"%s\"", n.text)
	}
	d.report(key, n.place(), message)
}

// integer decodes an integer, in whichever base it is written.
func (d *decoder) integer(key string, n *node, v reflect.Value) {
	i, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, strconv.IntSize)
	if err != nil {
		d.report(key, n.place(), fmt.Sprintf("%s is too large", last(key)))
		return
	}
	v.SetInt(i)
}

// mapping decodes a table of free keys.
func (d *decoder) mapping(key string, n *node, v reflect.Value) {
	made := reflect.MakeMapWithSize(v.Type(), len(n.names))
	for _, name := range n.names {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(join(key, name), n.table[name], item)
		made.SetMapIndex(reflect.ValueOf(name), item)
	}
	v.Set(made)
}

// slice decodes an array, which replaces what the slice held.
func (d *decoder) slice(key string, n *node, v reflect.Value) {
	made := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.value(join(key, strconv.Itoa(i)), item, made.Index(i))
	}
	v.Set(made)
}

// table decodes a table of known keys.
func (d *decoder) table(key string, n *node, v reflect.Value) {
	known := d.fields(v.Type())
	for _, name := range n.names {
		child := n.table[name]
		if i, ok := known.index[name]; ok {
			d.value(join(key, name), child, v.Field(i))
			continue
		}
		d.unknown(key, name, child, known)
	}
}

// unknown reports a key that a table does not have.
func (d *decoder) unknown(key, name string, n *node, known fieldSet) {
	if d.full() {
		d.omitted++
		return
	}
	where := ""
	if key != "" {
		where = " in " + spelt(key)
	}
	message := fmt.Sprintf("unknown key %s%s", quoted(name), where)
	nearest := Suggest(name, known.names)
	switch _, above := d.fields(d.top).index[name]; {
	case above:
		message += "; it belongs at the top of the file, before the first [table]"
		d.hush(name)
	case nearest != "":
		message += "; did you mean " + nearest + "?"
		d.hush(join(key, nearest))
	default:
		message += "; the keys here are " + strings.Join(known.names, ", ")
	}
	d.report(join(key, name), n.key, message)
}

// fieldSet is what keys a struct has.
type fieldSet struct {
	// names are the keys in the struct's order, without the deprecated ones.
	names []string
	// index finds the field of any key.
	index map[string]int
}

// fields are the keys of a struct: its toml tags. A field that is also tagged
// config:"deprecated" is understood and not suggested.
func (d *decoder) fields(t reflect.Type) fieldSet {
	if set, ok := d.known[t]; ok {
		return set
	}
	set := fieldSet{index: map[string]int{}}
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("toml")
		if name == "" || name == "-" {
			continue
		}
		set.index[name] = i
		if field.Tag.Get("config") != "deprecated" {
			set.names = append(set.names, name)
		}
	}
	d.known[t] = set
	return set
}

// join adds a step to a path.
func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// last is the last step of a path that is not an index.
func last(key string) string {
	parts := strings.Split(key, ".")
	for _, part := range slices.Backward(parts) {
		if _, err := strconv.Atoi(part); err != nil {
			return part
		}
	}
	return key
}

// spelt is the path of a table as a file spells it: services.0 is [[services]].
func spelt(key string) string {
	var words []string
	table := "[%s]"
	for part := range strings.SplitSeq(key, ".") {
		if _, err := strconv.Atoi(part); err == nil {
			table = "[[%s]]"
			continue
		}
		table = "[%s]"
		words = append(words, part)
	}
	return fmt.Sprintf(table, strings.Join(words, "."))
}

// quoted is a key as a message shows it: as it is when it is a bare key.
func quoted(name string) string {
	for _, c := range []byte(name) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return strconv.Quote(clip(name, maxKey))
		}
	}
	if name == "" {
		return `""`
	}
	return clip(name, maxKey)
}
