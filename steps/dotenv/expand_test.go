package dotenv

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestExpandAll(t *testing.T) {
	vars := map[string]string{"PORT": "3001", "PATH": "/bin", "RAW": "${PORT} $$"}
	table := map[string]string{
		"URL": "http://${HOST}:${PORT}/", "HOST": "localhost", "PATH": "${PATH}:x", "PRICE": "$$5", "ESC": "$${PORT}",
		"RAW2": "${RAW}", "PLAIN": "a {b} c", "BOTH": "${URL}|${PATH}",
	}
	want := map[string]string{
		"URL": "http://localhost:3001/", "HOST": "localhost", "PATH": "/bin:x", "PRICE": "$5", "ESC": "${PORT}",
		"RAW2": "${PORT} $$", "PLAIN": "a {b} c", "BOTH": "http://localhost:3001/|/bin:x",
	}
	have, err := ExpandAll(table, vars)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestExpandRefuses(t *testing.T) {
	for _, tt := range []struct {
		table map[string]string
		want  error
	}{
		{map[string]string{"A": "${B}"}, ErrUnknown},
		{map[string]string{"A": "${A}"}, ErrCycle},
		{map[string]string{"A": "${B}", "B": "${C}", "C": "x${A}"}, ErrCycle},
		{map[string]string{"A": "$B"}, ErrReference},
		{map[string]string{"A": "x$"}, ErrReference},
		{map[string]string{"A": "${"}, ErrReference},
		{map[string]string{"A": "${}"}, ErrReference},
		{map[string]string{"A": "${B:-x}"}, ErrReference},
		{map[string]string{"A-B": "x"}, ErrName},
	} {
		if have, err := ExpandAll(tt.table, nil); !errors.Is(err, tt.want) {
			t.Errorf("%v: %v, %v; want %v", tt.table, have, err, tt.want)
		}
	}
}

// TestExpandEnds: any table of any size is expanded or refused, and a table
// without a dollar is itself.
func TestExpandEnds(t *testing.T) {
	name := rapid.SampledFrom([]string{"A", "B", "C", "D"})
	value := rapid.StringMatching(`(\$\{[A-E]\}|\$\$|x|\$){0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		table := rapid.MapOf(name, value).Draw(t, "table")
		vars := rapid.MapOf(name, value).Draw(t, "vars")
		have, err := ExpandAll(table, vars)
		if err == nil && len(have) != len(table) {
			t.Fatalf("%v became %v", table, have)
		}
		if err != nil && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrCycle) && !errors.Is(err, ErrReference) {
			t.Fatal(err)
		}
	})
}
