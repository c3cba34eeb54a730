package docker

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// encode writes the project so that Compose reads it back as it is: it would
// take a single dollar for the beginning of a variable.
func encode(project *types.Project) ([]byte, error) {
	text, err := project.MarshalYAML()
	if err != nil {
		return nil, fmt.Errorf("encode the session's compose file: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("encode the session's compose file: %w", err)
	}
	escape(&doc)
	explicit(&doc)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(&doc); err != nil {
		return nil, fmt.Errorf("encode the session's compose file: %w", err)
	}
	return b.Bytes(), encoder.Close()
}

// escape doubles the dollars in values. Keys are not interpolated.
func escape(node *yaml.Node) {
	switch node.Kind {
	case yaml.ScalarNode:
		node.Value = strings.ReplaceAll(node.Value, "$", "$$")
	case yaml.MappingNode:
		for i := 1; i < len(node.Content); i += 2 {
			escape(node.Content[i])
		}
	default:
		for _, child := range node.Content {
			escape(child)
		}
	}
}

// explicit says of every bind mount that its folder is made where it is missing.
// The library leaves out what is its default; with Compose before 2.41 it is not.
func explicit(doc *yaml.Node) {
	_, services := child(doc.Content[0], "services")
	if services == nil {
		return
	}
	for i := 1; i < len(services.Content); i += 2 {
		_, mounts := child(services.Content[i], "volumes")
		if mounts == nil {
			continue
		}
		for _, mount := range mounts.Content {
			_, bind := child(mount, "bind")
			if bind == nil || bind.Kind != yaml.MappingNode {
				continue
			}
			if at, _ := child(bind, "create_host_path"); at == nil {
				bind.Style = 0
				bind.Content = append(bind.Content,
					&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "create_host_path"},
					&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
			}
		}
	}
}
