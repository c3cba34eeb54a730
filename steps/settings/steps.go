package settings

import (
	"path/filepath"
	"strings"

	"ecluse/steps/config"
)

// CommandPrefix begins the names of the steps.
const CommandPrefix = "step:"

// RootPrefix begins the folder of a step that runs in the main worktree.
const RootPrefix = "${ECLUSE_ROOT}"

// UserStep is a step of the user's own: two commands of which the second takes back
// what the first has done, in the graph with the built-in steps.
type UserStep struct {
	// Name is its key: its step is step:<name>.
	Name string `toml:"name" json:"name" schema:"required;pattern=^[a-z0-9][a-z0-9_-]*$"`
	// Do is handed to `sh -c`. It may be run again after any part of it was done.
	Do string `toml:"do" json:"do" schema:"required;pattern=[^ ]"`
	// Undo takes back what do has done, all, a part or nothing of it. Without one
	// there is nothing to take back.
	Undo string `toml:"undo" json:"undo,omitempty"`
	// Check ends with status 0 if what do has done is there and whole, and changes
	// nothing. It is asked after do, after undo (when it must fail), after a crash,
	// and whenever somebody looks whether the session is whole.
	Check string `toml:"check" json:"check,omitempty"`
	// Needs names the steps that must be done before: of [[steps]] by their names,
	// built-in ones as an up shows them, or all of a kind, as compose. Without it
	// and before it is every built-in step but the hook post_up. A step in the
	// worktree comes after env in any case.
	Needs *config.Strings `toml:"needs" json:"needs,omitempty"`
	// Before names steps that wait for this one.
	Before config.Strings `toml:"before" json:"before,omitempty"`
	// Dir is where it runs, relative to the worktree, or to the main worktree if it
	// begins with ${ECLUSE_ROOT}.
	Dir string `toml:"dir" json:"dir,omitempty"`
	// Timeout ends do, UndoTimeout undo; 0 is no bound, the default is 10 minutes.
	Timeout     *config.Duration `toml:"timeout" json:"timeout,omitempty"`
	UndoTimeout *config.Duration `toml:"undo_timeout" json:"undo_timeout,omitempty"`
	// Retries is how often do is run again after it failed, by default never;
	// UndoRetries is the same for undo, by default twice.
	Retries     int  `toml:"retries" json:"retries,omitempty" schema:"min=0;max=100"`
	UndoRetries *int `toml:"undo_retries" json:"undo_retries,omitempty" schema:"min=0;max=100"`
	// Backoff is the pause before the first retry, by default a second; it doubles
	// each time, up to a minute.
	Backoff *config.Duration `toml:"backoff" json:"backoff,omitempty"`
	// Inputs are files, relative to dir. A repair does the step again if one of
	// them has changed.
	Inputs []string `toml:"inputs" json:"inputs,omitempty"`
	// BestEffort lets an up go on although the step failed.
	BestEffort bool `toml:"best_effort" json:"best_effort,omitempty"`
}

// StepName is the name of its step.
func (u UserStep) StepName() string { return CommandPrefix + u.Name }

// NeedNames are the names in Needs.
func (u UserStep) NeedNames() config.Strings {
	if u.Needs == nil {
		return nil
	}
	return *u.Needs
}

// InRoot reports whether it runs in the main worktree, and where in there.
func (u UserStep) InRoot() (dir string, is bool) {
	dir, is = strings.CutPrefix(u.Dir, RootPrefix)
	return strings.TrimPrefix(dir, "/"), is && (dir == "" || dir[0] == '/')
}

// Folder is where it runs.
func (u UserStep) Folder(root, worktree string) string {
	if dir, is := u.InRoot(); is {
		return filepath.Join(root, dir)
	}
	return filepath.Join(worktree, u.Dir)
}
