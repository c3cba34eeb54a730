package steps

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/dotenv"
	"ecluse/steps/settings"
)

// Project is the name of the session's compose project, the first if it has
// several. It holds the repository's mark: two repositories may have sessions of one
// slug.
func Project(cfg settings.Config, s session.Session) string {
	if projects := projects(cfg, s); len(projects) > 0 {
		return projects[0]
	}
	return composeGroup{}.project(cfg, s)
}

// projects are the names of the session's compose projects.
func projects(c settings.Config, s session.Session) []string {
	var names []string
	for _, g := range groups(c) {
		names = append(names, g.project(c, s))
	}
	return names
}

// Environment is what a session's programs find in their environment, and what
// is in `.env.ecluse`.
func Environment(cfg settings.Config, s session.Session) (map[string]string, error) {
	return environment(cfg, s, nil)
}

// environment is the same with other databases in the place of the session's, by
// their keys.
func environment(cfg settings.Config, s session.Session, instead map[string]string) (map[string]string, error) {
	vars := map[string]string{
		"ECLUSE_SLOT": strconv.Itoa(s.Slot), "ECLUSE_SLUG": s.Slug, "ECLUSE_MODE": s.Mode,
		"ECLUSE_BRANCH": s.Branch, "ECLUSE_WORKTREE": s.Worktree, "ECLUSE_ROOT": s.Root,
	}
	if projects := projects(cfg, s); len(projects) > 0 {
		vars["COMPOSE_PROJECT_NAME"] = projects[0]
		vars["ECLUSE_DOCKER_HOST"] = "localhost"
		if at, known := placed(s); known && at.Host != "" {
			vars["ECLUSE_DOCKER_HOST"] = at.Host
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ports)) {
		if !strings.Contains(name, ".") {
			vars["ECLUSE_"+settings.EnvKey(name)+"_PORT"] = strconv.Itoa(s.Ports[name])
		}
	}
	natives := cfg.Natives()
	if i := slices.IndexFunc(natives, settings.Service.Ported); i >= 0 {
		if port, ok := s.Ports[natives[i].Name]; ok {
			vars["PORT"] = strconv.Itoa(port)
		}
	}
	for _, service := range cfg.Services {
		setPorts(vars, s.Ports, service)
	}
	urls, err := databaseURLs(cfg, s, vars, instead)
	if err != nil {
		return nil, err
	}
	maps.Copy(vars, urls)
	table, err := dotenv.ExpandAll(cfg.Env, vars)
	if err != nil {
		return nil, fmt.Errorf("[env] in .ecluse.toml: %w", err)
	}
	maps.Copy(vars, table)
	return vars, nil
}

// setPorts sets the variables of a service's ports, also those that it asked for. A
// service whose own port is not published is known by the first other one.
func setPorts(vars map[string]string, ports map[string]int, service settings.Service) {
	lease := service.Name
	if !service.Publishes() && len(service.ExtraPorts) > 0 {
		lease = service.ExtraName(0)
	}
	if port, ok := ports[lease]; ok {
		for _, name := range append([]string{"ECLUSE_" + settings.EnvKey(service.Name) + "_PORT"}, service.PortEnv...) {
			vars[name] = strconv.Itoa(port)
		}
	}
	for i, extra := range service.ExtraPorts {
		if port, ok := ports[service.ExtraName(i)]; ok {
			for _, name := range extra.PortEnv {
				vars[name] = strconv.Itoa(port)
			}
		}
	}
}
