package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ecluse/steps/config"
)

// The process managers: where native services run.
const (
	ManagerDetached = "detached" // of no terminal, their output in a log
	ManagerTmux     = "tmux"     // in windows of tmux, their output in a log as well
	ManagerNone     = "none"     // nowhere: they get ports, and the user starts them
)

// User is the configuration of a user of this machine, for all repositories.
type User struct {
	// ProcessManager says where native services run: detached (the default, also
	// called nohup), tmux, or none. A session keeps to the one that it was made with.
	ProcessManager string `toml:"process_manager"`
}

// UserPath is where that configuration is; empty if there is no home to have it
// in.
func UserPath(getenv func(string) string) string {
	dir := getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // which the specification says to ignore
		home := getenv("HOME")
		if !filepath.IsAbs(home) {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "ecluse", "config.toml")
}

// LoadUser reads and validates it. One that is missing is empty. The error is a
// *config.Error, or says that the file cannot be read.
func LoadUser(getenv func(string) string) (User, error) {
	user := User{ProcessManager: ManagerDetached}
	path := UserPath(getenv)
	if path == "" {
		return user, nil
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return user, nil
	}
	problems, err := config.Decode(path, &user)
	if err != nil {
		return user, err
	}
	switch user.ProcessManager {
	case ManagerDetached, ManagerTmux, ManagerNone:
	case "nohup": // of the original tool
		user.ProcessManager = ManagerDetached
	default:
		problems.Invalid("process_manager", fmt.Sprintf("process_manager %q is unknown; it is detached (or nohup), tmux or none", user.ProcessManager))
	}
	return user, problems.Err()
}

// Manager is the process manager that a session was made with, by default detached.
func (c Config) Manager() string {
	if c.ProcessManager == "" {
		return ManagerDetached
	}
	return c.ProcessManager
}
