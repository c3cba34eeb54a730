package git

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// MountError is the refusal to remove what something is mounted in: that would
// remove the files on the other side.
type MountError struct {
	// Path is where it is mounted.
	Path string
}

// Error names the mount and the command that takes it away.
func (e *MountError) Error() string {
	return fmt.Sprintf("%s is a mount, and what is in it lies elsewhere; unmount it with: umount %s", e.Path, shellQuote(e.Path))
}

// CheckMounts returns a [*MountError] if something is mounted at a path or below
// it, as this process sees it (/proc/self/mountinfo): the one that can be
// unmounted first.
func CheckMounts(path string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("look for mounts in %s: %w", path, err)
	}
	path = place(path)
	found := ""
	for row := range strings.Lines(string(table)) {
		fields := strings.Fields(row)
		if len(fields) < 5 {
			continue
		}
		at := unescape(fields[4])
		if rel, err := filepath.Rel(path, at); err == nil && filepath.IsLocal(rel) {
			found = at // what was mounted last goes first
		}
	}
	if found != "" {
		return &MountError{Path: found}
	}
	return nil
}

// unescape reads a path of the table, in which blanks and backslashes are \ooo.
func unescape(text string) string {
	var path strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if code, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				path.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		path.WriteByte(text[i])
	}
	return path.String()
}
