package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// OneOrTable is a value that may be spelt as a string or as a table: "npm ci" or
// { run = "npm ci", timeout = "90s" }. A pointer to T has a method
// Scalar(string) error, which sets the table that a string stands for. As JSON it
// is T.
type OneOrTable[T any] struct {
	Value T
}

// decode implements [selfDecoder].
func (o *OneOrTable[T]) decode(d *decoder, key string, n *node) {
	switch n.form {
	case aTable:
		d.table(key, n, reflect.ValueOf(&o.Value).Elem())
	case aString:
		if err := any(&o.Value).(scalar).Scalar(n.text); err != nil {
			d.report(key, n.place(), err.Error())
		}
	default:
		d.mismatch(key, n, "a string or a table")
	}
}

// MarshalJSON implements [json.Marshaler].
func (o OneOrTable[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.Value) }

// UnmarshalJSON implements [json.Unmarshaler].
func (o *OneOrTable[T]) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &o.Value) }

// Strings is a list that may be spelt as one string. As JSON it is an array.
type Strings []string

// decode implements [selfDecoder].
func (s *Strings) decode(d *decoder, key string, n *node) {
	switch n.form {
	case aString:
		*s = Strings{n.text}
	case anArray:
		d.slice(key, n, reflect.ValueOf((*[]string)(s)).Elem())
	default:
		d.mismatch(key, n, "a string or an array of strings")
	}
}

// Duration is a span of time, spelt as "90s", "10m" or "1h30m". It is never
// negative. 0 needs no unit and no quotes. As JSON it is the same string.
type Duration time.Duration

// Or is the duration that was configured, or the default where none was.
func (t *Duration) Or(def time.Duration) time.Duration {
	if t == nil {
		return def
	}
	return time.Duration(*t)
}

// decode implements [selfDecoder].
func (t *Duration) decode(d *decoder, key string, n *node) {
	switch {
	case n.form == aString:
		if err := t.UnmarshalText([]byte(n.text)); err != nil {
			d.report(key, n.place(), fmt.Sprintf("%s: %v", last(key), err))
		}
	case n.form == anInteger && n.text == "0":
		*t = 0
	case n.form == anInteger:
		d.report(key, n.place(), fmt.Sprintf("%s is a number without a unit; write \"%ss\" for seconds", last(key), n.text))
	default:
		d.mismatch(key, n, `a string such as "90s"`)
	}
}

// MarshalText implements [encoding.TextMarshaler].
func (t Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(t).String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("%s is no duration; write it as \"90s\" or \"10m\"", strconv.Quote(clip(string(text), maxKey)))
	case v < 0:
		return errors.New("a duration cannot be negative")
	}
	*t = Duration(v)
	return nil
}
