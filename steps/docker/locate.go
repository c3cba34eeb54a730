package docker

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

var (
	// fileInText finds the file that the library names in the text of an error.
	fileInText = regexp.MustCompile(`(?:failed to parse|validating|open|stat) (/[^:]+?): `)
	// envInText finds an env file, and the line of it that cannot be read.
	envInText = regexp.MustCompile(`(?:failed to read|read) ([^:\s]+): (?:line (\d+): )?(.*)`)
	// lineInText finds where the reader of YAML stopped, and why; of several
	// mistakes the first.
	lineInText = regexp.MustCompile(`yaml: (?:construct errors:\s+(?:line \d+: )*|.*\b)line (\d+)(?:, column \d+)?: (.*)`)
	// offsetInText is where it stopped at a character that may not be there.
	offsetInText = regexp.MustCompile(`yaml: offset (\d+): (.*)`)
	// keyInText finds the key that a validation is about.
	keyInText = regexp.MustCompile(`\b(?:services|networks|volumes|secrets|configs|include)(?:\.[^\s:'"\[]+|\[[^\]\s]+\])+`)
	// topInText finds one without anything below it, or one that nobody knows.
	topInText = regexp.MustCompile("^`?(\\w+)`? must be a|additional properties '([^']+)' not allowed")
	// serviceInText finds a service that an error is about.
	serviceInText = regexp.MustCompile(`service "?([^"\s]+)"?`)
	// absentInText finds what a service refers to, and is not there.
	absentInText = regexp.MustCompile(`undefined (?:build secret|secret|config|network|volume|service) "?([^"\s:]+)"?`)
	// cycleInText finds each of the services that extend each other. The library
	// begins with any of them, and names the files in another order.
	// extendsInText finds a service that extends what is not there.
	cycleInText   = regexp.MustCompile(`(\S+) in \S+`)
	extendsInText = regexp.MustCompile(`cannot extend service "([^"]+)" in (\S+): `)
	// includeInText finds the last of files that include each other.
	includeInText = regexp.MustCompile(`(?s)include cycle detected:.* include (\S+)`)
	// loopInText finds the first of services that depend on each other.
	loopInText = regexp.MustCompile(`dependency cycle detected: (\S+) -> `)
	// quotedInText finds what an error quotes.
	quotedInText = regexp.MustCompile(`"([^"]+)"`)
)

// located finds out in which file, and where in it, an error of the library
// lies. The library mostly says so in words, or names the key.
func located(err error, files []string) error {
	var known *FileError
	if errors.As(err, &known) {
		return known
	}
	text := err.Error()
	e := &FileError{Err: plain(err)}
	if found := fileInText.FindStringSubmatch(text); found != nil {
		e.File = found[1]
	}
	if e.read(text, err) {
		return e
	}
	parts := partsOf(files)
	if missing := e.File; missing != "" && !isFile(missing) {
		e.mentioned(parts, func(dir, value string) bool {
			return filepath.Join(dir, value) == missing || filepath.Join(filepath.Dir(files[0]), value) == missing || value == missing
		})
		return e
	}
	if i := slices.IndexFunc(parts, func(p part) bool { return p.file == e.File }); i > 0 {
		parts = slices.Insert(slices.Delete(slices.Clone(parts), i, i+1), 0, parts[i])
	}
	if !e.referred(text, parts) && !e.keyed(text, parts) && !e.port(text, parts) {
		e.quoted(text, parts)
	}
	if e.File == "" && len(parts) == 1 {
		e.File = parts[0].file
	}
	if e.File == "" {
		e.File = files[0]
	}
	return e
}

// read places what stopped the reader of YAML, or of an env file.
func (e *FileError) read(text string, err error) bool {
	if found := envInText.FindStringSubmatch(text); found != nil && (filepath.IsAbs(found[1]) || e.File != "") {
		if filepath.IsAbs(found[1]) {
			e.File = found[1]
		}
		e.Line, _ = strconv.Atoi(found[2])
		e.Err = worded{text: found[3], err: err}
		return true
	}
	if e.File == "" {
		return false
	}
	if found := lineInText.FindStringSubmatch(text); found != nil {
		e.Line, _ = strconv.Atoi(found[1])
		if strings.Contains(text, "while parsing ") {
			e.Line++ // the parser counts from 0, the scanner from 1
		}
		e.Err = worded{text: found[2], err: err}
		return true
	}
	if found := offsetInText.FindStringSubmatch(text); found != nil {
		offset, _ := strconv.Atoi(found[1])
		e.Line = lineAt(e.File, offset)
		e.Err = worded{text: found[2], err: err}
		return true
	}
	return false
}

// referred places what refers to something that is not there, or to itself.
func (e *FileError) referred(text string, parts []part) bool {
	if strings.Contains(text, "Circular reference:") {
		return e.ring(text, parts)
	}
	if found := extendsInText.FindStringSubmatch(text); found != nil {
		return e.at(parts, "services."+found[1]+".extends", func(p part) bool { return p.named(found[2]) })
	}
	if found := includeInText.FindStringSubmatch(text); found != nil {
		return e.mentioned(parts, func(dir, value string) bool { return filepath.Join(dir, value) == found[1] })
	}
	if found := loopInText.FindStringSubmatch(text); found != nil {
		return e.at(parts, "services."+found[1]+".depends_on", nil)
	}
	absent, service := absentInText.FindStringSubmatch(text), serviceInText.FindStringSubmatch(text)
	if absent == nil || service == nil {
		return false
	}
	for _, p := range parts {
		if _, value, depth := p.find([]string{"services", service[1]}); depth == 2 {
			for node := range scalars(value) {
				if slices.Contains(strings.Split(node.Value, ":"), absent[1]) {
					e.File, e.Line = p.file, node.Line
					return true
				}
			}
		}
	}
	return false
}

// ring places services that extend each other at the first of them: the library
// begins anywhere.
func (e *FileError) ring(text string, parts []part) bool {
	first := len(parts)
	for _, found := range cycleInText.FindAllStringSubmatch(text, -1) {
		names := []string{"services", found[1], "extends"}
		for i, p := range parts {
			at, _, depth := p.find(names)
			if depth < len(names) || i > first || i == first && at.Line > e.Line {
				continue
			}
			first, e.File, e.Line = i, p.file, at.Line
		}
	}
	return first < len(parts)
}

// at places the error at a key, in the first of the files that has it.
func (e *FileError) at(parts []part, key string, in func(part) bool) bool {
	names := split(key)
	for _, p := range parts {
		if at, _, depth := p.find(names); depth == len(names) && (in == nil || in(p)) {
			e.File, e.Line = p.file, at.Line
			return true
		}
	}
	return false
}

// keyed places an error that names the key it is about.
func (e *FileError) keyed(text string, parts []part) bool {
	key := keyInText.FindString(text)
	if key == "" {
		for _, text := range []string{e.Err.Error(), text} {
			if found := topInText.FindStringSubmatch(text); found != nil {
				return e.at(parts, found[1]+found[2], nil)
			}
		}
		found := serviceInText.FindStringSubmatch(text)
		if found == nil {
			return false
		}
		key = "services." + found[1]
	}
	return e.deepest(text, parts, split(key))
}

// deepest places an error at as much of a key as there is.
func (e *FileError) deepest(text string, parts []part, names []string) bool {
	variable := strings.Contains(text, "interpolat") || strings.Contains(text, "required variable")
	right := func(value *yaml.Node) bool {
		// A value without a variable is not what a variable is missing in.
		return !variable || value.Kind != yaml.ScalarNode || strings.Contains(value.Value, "$")
	}
	var best *yaml.Node
	deepest, file := 1, "" // the section alone is no place
	for _, p := range parts {
		if at, value, depth := p.find(names); depth > deepest && right(value) {
			best, deepest, file = at, depth, p.file
		}
	}
	if deepest < len(names) && len(names) > 2 && names[0] == "services" {
		// It may be of a service that this one extends, by another name.
		if at, where := ofAnyService(parts, names[2:], right); at != nil {
			best, file = at, where
		}
	}
	if best == nil {
		return false
	}
	e.File, e.Line = file, best.Line
	return true
}

// ofAnyService is the last key of that name in any service, and its file.
func ofAnyService(parts []part, names []string, right func(*yaml.Node) bool) (last *yaml.Node, file string) {
	for _, p := range parts {
		for service := range p.services() {
			if at, value, depth := p.find(append([]string{"services", service}, names...)); depth == len(names)+2 && right(value) {
				last, file = at, p.file
			}
		}
	}
	return last, file
}

// port places a port that cannot be understood: the library says of it only what is
// wrong with it.
func (e *FileError) port(text string, parts []part) bool {
	for _, p := range parts {
		for service := range p.services() {
			_, ports, depth := p.find([]string{"services", service, "ports"})
			if depth < 3 {
				continue
			}
			for node := range scalars(ports) {
				if _, err := types.ParsePortConfig(node.Value); err != nil && strings.Contains(text, err.Error()) {
					e.File, e.Line = p.file, node.Line
					return true
				}
			}
		}
	}
	return false
}

// quoted places an error at what it quotes, or ends with.
func (e *FileError) quoted(text string, parts []part) {
	for _, found := range quotedInText.FindAllStringSubmatch(text, -1) {
		if e.mentioned(parts, func(_, have string) bool { return have == found[1] }) {
			return
		}
	}
	if at := strings.LastIndex(text, ": "); at >= 0 && len(text)-at > 4 {
		e.mentioned(parts, func(_, have string) bool { return strings.Contains(have, text[at+2:]) })
	}
}

// mentioned places the error at the first value of the files that it is about, if
// there is one.
func (e *FileError) mentioned(parts []part, about func(dir, value string) bool) bool {
	for _, p := range parts {
		for node := range scalars(p.root) {
			if about(filepath.Dir(p.file), node.Value) {
				e.File, e.Line = p.file, node.Line
				return true
			}
		}
	}
	return false
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

// plain says what the library says in one line, without the file, which stands
// before it.
func plain(err error) error {
	text := err.Error()
	if at := fileInText.FindStringIndex(text); at != nil && at[0] == 0 && !strings.HasPrefix(text, "open ") && !strings.HasPrefix(text, "stat ") {
		text = text[at[1]:]
	}
	text = strings.Join(strings.Fields(text), " ")
	text = strings.Replace(text, " false schema", " is not a key that Compose knows", 1)
	if found := topInText.FindStringSubmatch(text); found != nil && found[2] != "" {
		text = found[2] + " is not a key that Compose knows"
	}
	text = strings.TrimPrefix(text, "decoding failed due to the following error(s): ")
	text = strings.TrimPrefix(text, "failed to ")
	return worded{text: text, err: err}
}
