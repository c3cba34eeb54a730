package steps

import "strings"

// SavedWork splits the warning that uncommitted work was saved into where it was saved,
// and the command that brings it back.
func SavedWork(warning string) (saved, command string, ok bool) {
	saved, command, ok = strings.Cut(warning, "; bring it back with: ")
	return saved, command, ok && strings.HasPrefix(saved, "uncommitted work was saved as ")
}
