package docker

import (
	"bytes"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// part is one of the files that a model is made of, as it is written.
type part struct {
	file string
	root *yaml.Node
}

// partsOf reads the files and what they include and extend, as far as that can be
// read: it is looked at to place an error.
func partsOf(files []string) []part {
	var parts []part
	queue := slices.Clone(files)
	for len(queue) > 0 {
		file := queue[0]
		queue = queue[1:]
		if slices.ContainsFunc(parts, func(p part) bool { return p.file == file }) {
			continue
		}
		if endless(file) {
			continue
		}
		data, err := os.ReadFile(file)
		var doc yaml.Node
		if err != nil || yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
			continue
		}
		p := part{file: file, root: doc.Content[0]}
		parts = append(parts, p)
		for name := range p.others() {
			if filepath.IsAbs(name) {
				queue = append(queue, name)
				continue
			}
			// A path is relative to the folder of its file, mostly.
			queue = append(queue, filepath.Join(filepath.Dir(file), name), filepath.Join(filepath.Dir(files[0]), name))
		}
	}
	return parts
}

// others are the files that the part includes, or extends services of.
func (p part) others() iter.Seq[string] {
	return func(yield func(string) bool) {
		if _, include := child(p.root, "include"); include != nil {
			for node := range scalars(include) {
				if !yield(node.Value) {
					return
				}
			}
		}
		for service := range p.services() {
			if _, file, depth := p.find([]string{"services", service, "extends", "file"}); depth == 4 && !yield(file.Value) {
				return
			}
		}
	}
}

// services are the names of the services in the part, in its order.
func (p part) services() iter.Seq[string] {
	return func(yield func(string) bool) {
		_, services := child(p.root, "services")
		if services == nil || services.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(services.Content); i += 2 {
			if !yield(services.Content[i].Value) {
				return
			}
		}
	}
}

// named reports whether an error that names the file so may mean the part.
func (p part) named(file string) bool {
	return p.file == file || !filepath.IsAbs(file) && strings.HasSuffix(p.file, "/"+filepath.Clean(file))
}

// find follows a path of keys as far as it is there: to a key, its value, and how
// many there were.
func (p part) find(names []string) (at, value *yaml.Node, depth int) {
	value = p.root
	for _, name := range names {
		next, below := child(value, name)
		if next == nil {
			break
		}
		at, value = next, below
		depth++
	}
	return at, value, depth
}

// split takes the path of a key apart: "services.web.ports[0]", "services[web].ports".
func split(key string) []string {
	return strings.Split(strings.NewReplacer("[", ".", "]", "").Replace(key), ".")
}

// lineAt is the line of a character in a file.
func lineAt(file string, offset int) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	return 1 + bytes.Count(data[:min(offset, len(data))], []byte("\n"))
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
