package cli

import (
	"io/fs"
	"reflect"

	"ecluse/saga/session"
	"ecluse/steps/config"
)

// results are what each verb prints with --json; a verb that prints nothing of its
// own has none. Beside these there is the error document, see [errorResult].
func results() map[string][]reflect.Type {
	return map[string][]reflect.Type{
		"up":         {reflect.TypeFor[upResult](), reflect.TypeFor[planResult]()},
		"down":       {reflect.TypeFor[downResult](), reflect.TypeFor[[]*downed]()},
		"recover":    {reflect.TypeFor[[]*recovered]()},
		"ls":         {reflect.TypeFor[[]listView]()},
		"shutdown":   {reflect.TypeFor[[]*downed]()},
		"flush":      {reflect.TypeFor[flushResult]()},
		"gc":         {reflect.TypeFor[[]*leftover]()},
		"doctor":     {reflect.TypeFor[[]*finding](), reflect.TypeFor[rebuildResult]()},
		"sync":       {reflect.TypeFor[syncResult]()},
		"status":     {reflect.TypeFor[statusResult]()},
		"logs":       {reflect.TypeFor[[]logView](), reflect.TypeFor[followedLine]()},
		"env":        {reflect.TypeFor[envResult]()},
		"history":    {reflect.TypeFor[[]session.Entry]()},
		"exec":       {},
		"shell":      {},
		"whose-pid":  {reflect.TypeFor[whoseResult]()},
		"init":       {reflect.TypeFor[initResult]()},
		"validate":   {reflect.TypeFor[validateResult]()},
		"config":     {reflect.TypeFor[configResult]()},
		"completion": {},
		"version":    {reflect.TypeFor[versionResult]()},
	}
}

// Schemas are the JSON Schemas of what the verbs print with --json, by the verb. What
// keys mean is read from the sources of this package and of those whose types are
// printed.
func Schemas(sources ...fs.FS) (map[string]*config.Schema, error) {
	comments := config.Comments{}
	for _, files := range sources {
		more, err := config.ReadComments(files)
		if err != nil {
			return nil, err
		}
		for name, text := range more {
			comments[name] = text
		}
	}
	maker := config.Maker{Tag: "json", Comments: comments}
	schemas := map[string]*config.Schema{}
	for verb, types := range results() {
		s := &config.Schema{Dialect: config.Dialect, Title: "ecluse " + verb + " --json"}
		for _, t := range append(types, reflect.TypeFor[errorResult]()) {
			s.AnyOf = append(s.AnyOf, maker.Of(t, reflect.Value{}))
		}
		schemas[verb] = s
	}
	return schemas, nil
}
