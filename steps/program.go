package steps

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/dotenv"
)

// envFiles are what a native program of a session gets on top, the later the
// stronger.
var envFiles = []string{".env", ".env.local", EnvFile}

// ProgramEnvironment is what a native program of the session sees: its variables,
// then those of the files `.env`, `.env.local` and `.env.ecluse` of the worktree.
func ProgramEnvironment(cfg Config, s session.Session) (map[string]string, error) {
	vars, err := Environment(cfg, s)
	if err != nil {
		return nil, saga.Permanent(err)
	}
	for _, name := range envFiles {
		path := filepath.Join(s.Worktree, name)
		data, err := readEnvFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the environment: %w", err)
		}
		parsed, err := dotenv.Parse(data)
		if err != nil {
			return nil, saga.Permanent(fmt.Errorf("read %s: %w", path, err))
		}
		maps.Copy(vars, parsed)
	}
	return vars, nil
}
