package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"ecluse/steps"
	"ecluse/steps/config"
)

// initOptions are the flags of init.
type initOptions struct {
	mode  string
	force bool
	steps.Look
}

func newInit(a *app) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use: "init", GroupID: groupRepo, Short: "write a commented .ecluse.toml",
		Long: `Write a .ecluse.toml in which every key is explained, in the main worktree of the
repository. Without --mode a look at the repository decides where its services
run.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.init(o) },
	}
	cmd.Flags().StringVarP(&o.mode, "mode", "m", "", "where services run: container, host or hybrid")
	cmd.Flags().IntVar(&o.MaxSlots, "max-slots", steps.Defaults().MaxSlots, "how many sessions there may be at once")
	cmd.Flags().StringVar(&o.Prefix, "prefix", steps.Defaults().Prefix, "begins the name of every compose project")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace a configuration that exists")
	return cmd
}

// initResult is what init prints with --json.
type initResult struct {
	Path string `json:"path"`
	Mode string `json:"mode"`
	Why  string `json:"why"`
}

func (a *app) init(o initOptions) error {
	repo, err := a.repository(context.Background())
	if err != nil {
		return err
	}
	result := initResult{Path: filepath.Join(repo.Root, config.Name), Mode: o.mode, Why: "asked for with --mode"}
	if o.mode == "" {
		result.Mode, result.Why = steps.Detect(repo.Root)
	}
	text, err := steps.Template(result.Mode, o.Look)
	if err != nil {
		return usageError{err}
	}
	if exists(result.Path) && !o.force {
		return usagef("%s exists already; --force replaces it", result.Path)
	}
	err = renameio.WriteFile(result.Path, []byte(text), 0o644)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("write the configuration: %w; is the repository writable?", err)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if a.json {
		return writeJSON(a.Stdout, result)
	}
	return a.print("wrote %s: mode %s (%s)\nnext: describe what runs under [[services]], commit the file, then: ecluse up BRANCH\n", result.Path, result.Mode, result.Why)
}
