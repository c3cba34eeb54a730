package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// valueAt finds the value at a path of keys and numbers, as text: strings as they
// are, everything else as JSON. "#" is the length of a list.
func valueAt(document []byte, path string) (string, error) {
	var v any
	if err := json.Unmarshal(document, &v); err != nil {
		return "", fmt.Errorf("not a JSON document: %w: %s", err, document)
	}
	for _, key := range strings.Split(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			v = node[key]
		case []any:
			if key == "#" {
				v = len(node)
				continue
			}
			n, err := strconv.Atoi(key)
			if err != nil || n >= len(node) {
				return "", fmt.Errorf("there is no %s in a list of %d", key, len(node))
			}
			v = node[n]
		default:
			return "", fmt.Errorf("there is no %s in %v", key, v)
		}
	}
	if text, ok := v.(string); ok {
		return text, nil
	}
	data, err := json.Marshal(v)
	return string(data), err
}
