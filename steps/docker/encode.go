package docker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// encode writes the project so that Compose reads it back as it is: it would
// take a single dollar for the beginning of a variable.
func encode(project *types.Project) ([]byte, error) {
	// In the flow style a text of several lines is quoted. In the block style the
	// encoder loses the spaces that its first line begins with.
	text, err := yaml.Marshal(struct {
		Project *types.Project `yaml:"project,flow"`
	}{project})
	if err != nil {
		return nil, fmt.Errorf("encode the session's compose file: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("encode the session's compose file: %w", err)
	}
	_, root := child(doc.Content[0], "project")
	escape(root)
	explicit(root)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("encode the session's compose file: %w", err)
	}
	return b.Bytes(), encoder.Close()
}

// escape doubles the dollars in values, and writes all in lines. Keys are not
// interpolated.
func escape(node *yaml.Node) {
	switch node.Kind {
	case yaml.ScalarNode:
		node.Value = strings.ReplaceAll(node.Value, "$", "$$")
		switch {
		case node.Style == yaml.SingleQuotedStyle:
			node.Style = 0 // only the flow style needs quotes here
		case strings.Contains(node.Value, "\n") && !strings.ContainsAny(node.Value[:1], " \t\n"):
			node.Style = yaml.LiteralStyle
		}
	case yaml.MappingNode:
		node.Style &^= yaml.FlowStyle
		for i := 1; i < len(node.Content); i += 2 {
			escape(node.Content[i])
		}
	default:
		node.Style &^= yaml.FlowStyle
		for _, child := range node.Content {
			escape(child)
		}
	}
}

// explicit says in words that every Compose understands what the library says in
// words of its own.
func explicit(root *yaml.Node) {
	_, services := child(root, "services")
	if services == nil {
		return
	}
	for i := 1; i < len(services.Content); i += 2 {
		service := services.Content[i]
		if _, mounts := child(service, "volumes"); mounts != nil {
			for _, mount := range mounts.Content {
				made(mount)
			}
		}
		// No limit is a number, not a size.
		if _, limit := child(service, "memswap_limit"); limit != nil && limit.Value == "-1" {
			limit.Tag, limit.Style = "!!int", 0
		}
		if _, build := child(service, "build"); build != nil {
			keys(build)
		}
	}
}

// made says of a bind mount that its folder is made where it is missing. The library
// leaves out what is its default; with Compose before 2.41 it is not.
func made(mount *yaml.Node) {
	_, bind := child(mount, "bind")
	if bind == nil || bind.Kind != yaml.MappingNode {
		return
	}
	if at, _ := child(bind, "create_host_path"); at == nil {
		bind.Style = 0
		bind.Content = append(bind.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "create_host_path"},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
}

// keys writes the SSH keys of a build as "id=path", in the order of their names.
func keys(build *yaml.Node) {
	_, ssh := child(build, "ssh")
	if ssh == nil {
		return
	}
	for _, key := range ssh.Content {
		key.Value = strings.Replace(key.Value, ": ", "=", 1)
	}
	slices.SortFunc(ssh.Content, func(a, b *yaml.Node) int { return strings.Compare(a.Value, b.Value) })
}
