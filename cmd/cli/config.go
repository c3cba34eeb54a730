package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"ecluse/steps/config"
	"ecluse/steps/settings"
	"ecluse/store"
)

func newConfig(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", GroupID: groupRepo, Short: "show the configuration that is in force, or its schema",
		Args: unknownCommand,
		RunE: func(*cobra.Command, []string) error {
			return hinted{usagef("config needs to be told what: show, or schema"), "ecluse config show"}
		},
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "schema", Short: "print the JSON Schema of .ecluse.toml",
			Long: `Print the JSON Schema (2020-12) of .ecluse.toml. Editors that check TOML against a
schema (as those with the language server taplo) complete and check keys with it.`,
			Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				s, err := settings.Schema()
				if err != nil {
					return err
				}
				return writeJSON(a.Stdout, s)
			},
		},
		&cobra.Command{
			Use: "show", Short: "print the configuration that is in force, defaults included",
			Long: `Print .ecluse.toml as it is understood: with every default filled in. Comments
above it say which files it is from.`,
			Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.showConfig(cmd) },
		},
	)
	return cmd
}

// configResult is what config show prints with --json.
type configResult struct {
	Path           string          `json:"path"`
	UserPath       string          `json:"user_path"`
	UserExists     bool            `json:"user_exists"`
	StateDir       string          `json:"state_dir"`
	ProcessManager string          `json:"process_manager"`
	Config         settings.Config `json:"config"`
}

func (a *app) showConfig(cmd *cobra.Command) error {
	repo, err := a.repository(cmd.Context())
	if err != nil {
		return err
	}
	cfg, err := a.config(repo)
	if err != nil {
		return err
	}
	state, err := store.DefaultDir(a.Getenv)
	if err != nil {
		return misplaced(err)
	}
	user := settings.UserPath(a.Getenv)
	r := configResult{
		Path: filepath.Join(repo.Root, config.Name), UserPath: user, UserExists: user != "" && exists(user),
		StateDir: state, ProcessManager: cfg.ProcessManager, Config: cfg,
	}
	if a.json {
		return writeJSON(a.Stdout, r)
	}
	text, err := cfg.TOML()
	if err != nil {
		return err
	}
	there := ""
	if !r.UserExists {
		there = " (not there)"
	}
	return a.print("# repository       %s\n# user             %s%s\n# process manager  %s\n# state            %s\n%s",
		r.Path, r.UserPath, there, r.ProcessManager, r.StateDir, text)
}
