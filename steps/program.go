package steps

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/dotenv"
	"ecluse/steps/run"
	"ecluse/steps/settings"
)

// envFiles are what a native program of a session gets on top, the later the
// stronger.
var envFiles = []string{".env", ".env.local", settings.EnvFile}

// ProgramEnvironment is what a native program of the session sees: its variables,
// then those of the files `.env`, `.env.local` and `.env.ecluse` of the worktree.
func ProgramEnvironment(cfg settings.Config, s session.Session) (map[string]string, error) {
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

// ProgramEnviron is the whole environment of a program that is run for the session
// beside its steps, each variable once: that of ecluse, what [ProgramEnvironment]
// says, and the session's mark. A program of one of the session's own steps that runs
// another one keeps the step's mark, so that both end with it.
func ProgramEnviron(ctx context.Context, s session.Session, outer Outer) ([]string, error) {
	cfg, err := ConfigOf(s)
	if err != nil {
		return nil, err
	}
	vars, err := ProgramEnvironment(cfg, s)
	if err != nil {
		return nil, err
	}
	merged := map[string]string{}
	for _, entry := range run.Environ(ctx, s.Worktree, list(vars)...) {
		name, value, _ := strings.Cut(entry, "=")
		merged[name] = value
	}
	for _, name := range stepMarks {
		delete(merged, name) // a file of variables must not set them
	}
	outer.marked(merged, s)
	merged[settings.EnvSession] = s.ID
	return slices.Sorted(slices.Values(list(merged))), nil
}
