package steps

import "strings"

// The words around what the warning of saved work names: notices are text alone, and who
// shows them puts the command elsewhere.
const (
	savedAs   = "uncommitted work was saved as "
	bringBack = "; bring it back with: "
)

// SavedWork splits the warning that uncommitted work was saved into where it was saved,
// and the command that brings it back.
func SavedWork(warning string) (saved, command string, ok bool) {
	saved, command, ok = strings.Cut(warning, bringBack)
	return saved, command, ok && strings.HasPrefix(saved, savedAs)
}
