package dotenv

import (
	"regexp"
	"slices"
	"strings"
)

// Raw is a variable of a file as it is written there.
type Raw struct {
	Name, Value string
}

var (
	rawLine = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$`)
	rawNote = regexp.MustCompile(`(?:^|\s)#.*$`)
)

// Raws are the variables of a file whose values take one line, without their quotes and
// with nothing expanded, for those who only look. Of two of one name the last counts.
func Raws(text string) []Raw {
	var list []Raw
	for line := range strings.Lines(text) {
		match := rawLine.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		v := Raw{match[1], match[2]}
		if q := v.Value; q != "" && (q[0] == '"' || q[0] == '\'') {
			v.Value, _, _ = strings.Cut(q[1:], q[:1])
		} else {
			v.Value = strings.TrimSpace(rawNote.ReplaceAllString(q, ""))
		}
		list = slices.DeleteFunc(list, func(o Raw) bool { return o.Name == v.Name })
		list = append(list, v)
	}
	return list
}
