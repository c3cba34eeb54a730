package fsm

import (
	"fmt"
	"sort"
	"strings"
)

// Mermaid draws the lifecycle as a Mermaid state diagram, in a fixed order. The
// README carries it, and a test compares the two.
func Mermaid() string {
	var lines []string
	for _, edge := range table {
		for _, src := range edge.Src {
			lines = append(lines, fmt.Sprintf("    %s --> %s: %s", node(src), node(edge.Dst), edge.Name))
		}
	}
	sort.Strings(lines)
	return "stateDiagram-v2\n" + strings.Join(lines, "\n") + "\n"
}

// node is Mermaid's name of a state: absent is its start and end mark, and a
// hyphen would end an identifier.
func node(state string) string {
	if state == string(Absent) {
		return "[*]"
	}
	return strings.ReplaceAll(state, "-", "_")
}
