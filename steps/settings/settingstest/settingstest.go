// Package settingstest helps tests of a configuration.
package settingstest

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/renameio/v2"
)

// Root is a folder of its own with a configuration.
func Root(t *testing.T, text string) string {
	t.Helper()
	root := t.TempDir()
	if err := renameio.WriteFile(filepath.Join(root, ".ecluse.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

// Keys lists the keys of a struct of the configuration and of what is in it, but for
// those that are only read for the sake of old files.
func Keys(of reflect.Type) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range of.NumField() {
		field := of.Field(i)
		tag, deprecated := field.Tag.Get("toml"), field.Tag.Get("config") == "deprecated"
		if tag == "-" || deprecated {
			continue
		}
		if tag != "" {
			keys = append(keys, tag)
		}
		keys = append(keys, Keys(field.Type)...)
	}
	return keys
}
