package docker

import (
	"errors"
	"iter"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"
)

// errEndless is why a file is not read.
var errEndless = errors.New("it is a pipe, a socket or a device, and reading it might never end; make it a regular file")

// endless reports whether what is at path may keep its reader waiting for ever.
func endless(path string) bool {
	const kinds = os.ModeNamedPipe | os.ModeSocket | os.ModeDevice | os.ModeCharDevice | os.ModeIrregular
	info, err := os.Stat(path)
	return err == nil && info.Mode()&kinds != 0 && path != os.DevNull
}

// readable refuses compose files, and what the library reads beside them, that may
// keep it waiting. Names with variables in them are not understood here.
func readable(files []string) error {
	for _, file := range files {
		if endless(file) {
			return &FileError{File: file, Err: errEndless}
		}
	}
	for _, p := range partsOf(files) {
		for node := range p.read() {
			for _, dir := range []string{filepath.Dir(p.file), filepath.Dir(files[0])} {
				path := node.Value
				if !filepath.IsAbs(path) {
					path = filepath.Join(dir, path)
				}
				if endless(path) {
					return &FileError{File: p.file, Line: node.Line, Err: worded{text: node.Value + ": " + errEndless.Error(), err: errEndless}}
				}
			}
		}
	}
	return nil
}

// read are the names of files that are read because of the part.
func (p part) read() iter.Seq[*yaml.Node] {
	return func(yield func(*yaml.Node) bool) {
		places := [][]string{{"include"}}
		for service := range p.services() {
			for _, names := range [][]string{{"env_file"}, {"label_file"}, {"extends", "file"}} {
				places = append(places, append([]string{"services", service}, names...))
			}
		}
		for _, names := range places {
			_, value, depth := p.find(names)
			if depth < len(names) {
				continue
			}
			for node := range scalars(value) {
				if !yield(node) {
					return
				}
			}
		}
	}
}
