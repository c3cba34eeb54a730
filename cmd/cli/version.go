package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is set by the linker; without it the module's version is shown.
var Version string

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", GroupID: groupRepo, Short: "print the version",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionOf()
			if a.json {
				return writeJSON(a.Stdout, v)
			}
			return a.print("ecluse %s (%s, %s)\n", v.Version, v.Go, v.Platform)
		},
	}
}

// versionResult is what version prints with --json.
type versionResult struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// versionOf reads what the build has recorded.
func versionOf() versionResult {
	v := versionResult{Version: Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			v.Revision = setting.Value
		}
	}
	return v
}
