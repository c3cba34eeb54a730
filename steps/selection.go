package steps

import (
	"fmt"
	"slices"
	"strings"

	"ecluse/steps/docker"
)

// selection is the part of the services that runs in Docker. In hybrid mode it is
// those that the configuration names, else all but the one that is labelled as the
// application.
func (c Config) selection(g composeGroup, model *docker.Model) (docker.Selection, error) {
	var named []string
	for _, s := range g.Services {
		named = append(named, s.Name)
		if !slices.Contains(model.Services(), s.Name) && c.Mode != ModeHybrid {
			return docker.Selection{}, fmt.Errorf("service %s (run = \"docker\" in .ecluse.toml) is not in %s, which has: %s",
				s.Name, g, strings.Join(model.Services(), ", "))
		}
	}
	switch {
	case c.Mode != ModeHybrid:
		return docker.Selection{}, nil
	case len(named) > 0:
		return docker.Selection{Only: named}, nil
	default:
		return docker.Selection{Without: model.Labelled(c.AppLabel, c.AppLabelValue)}, nil
	}
}
