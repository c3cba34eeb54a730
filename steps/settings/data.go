package settings

import "ecluse/steps/config"

// Compose says how the compose files are used.
type Compose struct {
	// File is the compose file, relative to the worktree; by default the one
	// that Compose itself would find. It is a string, or an array of files that
	// are merged in order, whose paths count from the folder of the first.
	File config.Strings `toml:"file" json:"file,omitempty"`
	// Profiles are the profiles of the compose files that are active.
	Profiles []string `toml:"profiles" json:"profiles,omitempty"`
	// Timeout bounds the wait for the services to be healthy; the default is
	// five minutes.
	Timeout *config.Duration `toml:"timeout" json:"timeout,omitempty"`
}

// Database is a database of the session's own.
type Database struct {
	// Name is its key: its step is database:<name>.
	Name string `toml:"name" json:"name" schema:"required;pattern=^[a-z0-9][a-z0-9_-]*$"`
	// Engine is the kind of server: postgres.
	Engine string `toml:"engine" json:"engine" schema:"required;enum=postgres"`
	// URL is where the database of the project is outside of any session. The
	// session's is on the same server, as the same user, under a name of its own.
	// It may refer to variables as ${NAME}.
	URL string `toml:"url" json:"url" schema:"required;pattern=."`
	// Template is the database that the session's begins as a copy of. With
	// migrate, ecluse makes it, one for each state of the inputs; without, it is
	// one that is there. Without a template the session's begins empty.
	Template string `toml:"template" json:"template,omitempty"`
	// Migrate is handed to `sh -c` in the worktree, with the URL of what it is
	// to migrate in the environment: the template, else the session's database.
	Migrate *config.OneOrTable[Hook] `toml:"migrate" json:"migrate,omitempty"`
	// Inputs are files and folders, relative to the worktree, that decide what
	// migrate makes: another content, another template.
	Inputs config.Strings `toml:"inputs" json:"inputs,omitempty"`
	// URLEnv names the variables that hold the URL of the session's database:
	// a string or an array, by default DATABASE_URL.
	URLEnv config.Strings `toml:"url_env" json:"url_env,omitempty" schema:"pattern=^[A-Za-z_][A-Za-z0-9_]*$"`
	// Timeout bounds the wait for the server and for a busy template; the
	// default is one minute.
	Timeout *config.Duration `toml:"timeout" json:"timeout,omitempty"`
}

// defaultURLEnv holds the URL of a database that names no variable.
const defaultURLEnv = "DATABASE_URL"

// URLVars are the variables with the URL of the session's database.
func (d Database) URLVars() config.Strings {
	if len(d.URLEnv) == 0 {
		return config.Strings{defaultURLEnv}
	}
	return d.URLEnv
}

// Early is the configuration without what may refer to ports that are leased only
// once there is a worktree.
func (c Config) Early() Config {
	c.Env, c.Databases = nil, nil
	return c
}

// Managed reports whether the template is made by ecluse.
func (d Database) Managed() bool { return d.Template != "" && d.Migrate != nil }
