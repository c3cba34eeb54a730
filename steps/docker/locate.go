package docker

import (
	"errors"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

var (
	// fileInText finds the file that the library names in the text of an error.
	fileInText = regexp.MustCompile(`(?:failed to parse|validating|open|stat) (/[^:]+?): `)
	// lineInText finds where the reader of YAML stopped, and why; of several
	// mistakes the first.
	lineInText = regexp.MustCompile(`yaml: (?:construct errors:\s+(?:line \d+: )*|.*\b)line (\d+)(?:, column \d+)?: (.*)`)
	// keyInText finds the key that a validation is about.
	keyInText = regexp.MustCompile(`\b(?:services|networks|volumes|secrets|configs|include)(?:\.[^\s:'"\[]+|\[\d+\])+`)
	// quotedService finds a service that an error is about.
	quotedService = regexp.MustCompile(`service "([^"]+)"`)
)

// located finds out in which file, and where in it, an error of the library
// lies. The library mostly says so in words, or names the key.
func located(err error, files []string) error {
	var known *FileError
	if errors.As(err, &known) {
		return err
	}
	text := err.Error()
	e := &FileError{Err: plain(err)}
	if found := fileInText.FindStringSubmatch(text); found != nil {
		e.File = found[1]
	}
	if found := lineInText.FindStringSubmatch(text); found != nil && e.File != "" {
		e.Line, _ = strconv.Atoi(found[1])
		if strings.Contains(text, "while parsing ") {
			e.Line++ // the parser counts from 0, the scanner from 1
		}
		e.Err = worded{text: found[2], err: err}
		return e
	}
	if missing := e.File; missing != "" && !isFile(missing) {
		e.mentioned(files, func(dir, value string) bool { return filepath.Join(dir, value) == missing || value == missing })
		return e
	}
	if e.File != "" {
		files = []string{e.File}
	}
	key := keyInText.FindString(text)
	if key == "" {
		if found := quotedService.FindStringSubmatch(text); found != nil {
			key = "services." + found[1]
		}
	}
	for _, file := range files {
		if line := lineOf(file, key); line > 0 {
			e.File, e.Line = file, line
			return e
		}
	}
	if _, value, ok := cutLast(text, ": "); ok && key == "" && len(value) > 2 {
		e.mentioned(files, func(_, have string) bool { return strings.Contains(have, value) })
	}
	if e.File == "" && len(files) == 1 {
		e.File = files[0]
	}
	return e
}

// mentioned places the error at the first value of the files that it is about, if
// there is one.
func (e *FileError) mentioned(files []string, about func(dir, value string) bool) {
	for _, file := range files {
		data, err := os.ReadFile(file)
		var doc yaml.Node
		if err != nil || yaml.Unmarshal(data, &doc) != nil {
			continue
		}
		for node := range scalars(&doc) {
			if about(filepath.Dir(file), node.Value) {
				e.File, e.Line = file, node.Line
				return
			}
		}
	}
}

// scalars are all keys and values in a document.
func scalars(node *yaml.Node) iter.Seq[*yaml.Node] {
	return func(yield func(*yaml.Node) bool) { walk(node, yield) }
}

// walk visits the keys and values below a node until it is told to stop.
func walk(node *yaml.Node, visit func(*yaml.Node) bool) bool {
	if node.Kind == yaml.ScalarNode {
		return visit(node)
	}
	for _, next := range node.Content {
		if !walk(next, visit) {
			return false
		}
	}
	return true
}

// cutLast splits a text at the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	if at := strings.LastIndex(text, separator); at >= 0 {
		return text[:at], text[at+len(separator):], true
	}
	return text, "", false
}

// worded is an error in other words.
type worded struct {
	text string
	err  error
}

// Error returns the words.
func (w worded) Error() string { return w.text }

// Unwrap returns the error.
func (w worded) Unwrap() error { return w.err }

// plain says what the library says without the file, which stands before it.
func plain(err error) error {
	text := err.Error()
	if at := fileInText.FindStringIndex(text); at != nil && at[0] == 0 && !strings.HasPrefix(text, "open ") && !strings.HasPrefix(text, "stat ") {
		text = text[at[1]:]
	}
	text = strings.Replace(text, " false schema", " is not a key that Compose knows", 1)
	text = strings.TrimPrefix(text, "failed to ")
	return worded{text: text, err: err}
}

// lineOf is the line on which a key stands in a file: of the longest part of its
// path that is there, 0 if there is none.
func lineOf(file, key string) int {
	data, err := os.ReadFile(file)
	if err != nil || key == "" {
		return 0
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) == 0 {
		return 0
	}
	node, line := doc.Content[0], 0
	for i, part := range strings.Split(strings.NewReplacer("[", ".", "]", "").Replace(key), ".") {
		at, next := child(node, part)
		if at == nil {
			break
		}
		// The section alone ("services") is no place.
		if i > 0 {
			line = at.Line
		}
		node = next
	}
	return line
}

// child finds an entry of a mapping or a list: where it begins, and its value.
func child(node *yaml.Node, name string) (at, value *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i], node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	default:
	}
	return nil, nil
}
