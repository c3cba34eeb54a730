package docker

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"go.yaml.in/yaml/v4"

	"ecluse/steps/run"
)

// Watch carries changes of the sources into the running containers of a project, as
// the develop.watch sections of its file say, until ctx ends. What Compose says goes
// to out.
func (e *Engine) Watch(ctx context.Context, p Project, out io.Writer) error {
	command, err := e.composed(ctx, p, "watch", "--no-up")
	if err != nil {
		return err
	}
	in := run.From(ctx)
	in.Log = out
	return meaning(command.Run(run.With(ctx, in)))
}

// Watched lists the services of a private compose file that can be watched.
func Watched(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the session's compose file: %w", err)
	}
	var project struct {
		Services map[string]struct {
			Develop struct {
				Watch []yaml.Node `yaml:"watch"`
			} `yaml:"develop"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(data, &project); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	var names []string
	for name, service := range project.Services {
		if len(service.Develop.Watch) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
