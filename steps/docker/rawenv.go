package docker

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// rawEnv reads an env file of the format "raw", as docker run reads its own: a
// variable a line, with everything after the first equals sign for its value. A
// name alone is a variable that is passed through.
func rawEnv(r io.Reader, filename string, vars map[string]string, lookup func(string) (string, bool)) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := lines.Bytes()
		if n == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		line := strings.TrimLeftFunc(string(text), unicode.IsSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, given := strings.Cut(line, "=")
		switch {
		case name == "" || strings.ContainsFunc(name, unicode.IsSpace):
			return &FileError{File: filename, Line: n, Err: fmt.Errorf("%q is no name of a variable", name)}
		case given:
			vars[name] = value
		case lookup != nil:
			if value, known := lookup(name); known {
				vars[name] = value
			}
		}
	}
	return lines.Err()
}
