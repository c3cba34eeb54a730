package settings

import "strings"

// The environment by which a child of a step is known.
const (
	// EnvSession is the id of the session, EnvStep the step's name: together
	// they find what a step left running.
	EnvSession = "ECLUSE_SESSION_ID"
	EnvStep    = "ECLUSE_STEP"
	EnvRun     = "ECLUSE_RUN_ID"
	EnvAttempt = "ECLUSE_ATTEMPT"
)

// EnvFile is the session's environment file, in its worktree.
const EnvFile = ".env.ecluse"

// EnvKey is a service's name as a part of a variable's.
func EnvKey(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}
