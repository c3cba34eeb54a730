package steps

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/dotenv"
)

// fallbackApp is the service that a repository without native services gets, so
// that a session always has a port to offer.
var fallbackApp = Service{Name: "app", BasePort: 3000}

// natives are the services that are not of the compose file, the fallback among
// them where there are none.
func (c Config) natives() []Service {
	var list []Service
	for _, s := range c.Services {
		if s.native() {
			list = append(list, s)
		}
	}
	if len(list) == 0 && c.Mode != ModeContainer {
		list = append(list, fallbackApp)
	}
	return list
}

// Project is the name of the session's compose project. It holds the
// repository's mark: two repositories may have sessions of one slug.
func Project(cfg Config, s session.Session) string {
	return fmt.Sprintf("%s_%s_%s", cfg.Prefix, s.Slug, mark(s.Repo))
}

// Environment is what a session's programs find in their environment, and what
// is in `.env.ecluse`.
func Environment(cfg Config, s session.Session) (map[string]string, error) {
	vars := map[string]string{
		"ECLUSE_SLOT": strconv.Itoa(s.Slot), "ECLUSE_SLUG": s.Slug, "ECLUSE_MODE": s.Mode,
		"ECLUSE_BRANCH": s.Branch, "ECLUSE_WORKTREE": s.Worktree, "ECLUSE_ROOT": s.Root,
	}
	if cfg.Mode != ModeHost {
		vars["COMPOSE_PROJECT_NAME"] = Project(cfg, s)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ports)) {
		if !strings.Contains(name, ".") {
			vars["ECLUSE_"+envKey(name)+"_PORT"] = strconv.Itoa(s.Ports[name])
		}
	}
	natives := cfg.natives()
	if len(natives) > 0 {
		if port, ok := s.Ports[natives[0].Name]; ok {
			vars["PORT"] = strconv.Itoa(port)
		}
	}
	for _, service := range cfg.Services {
		setPorts(vars, s.Ports, service)
	}
	table, err := dotenv.ExpandAll(cfg.Env, vars)
	if err != nil {
		return nil, fmt.Errorf("[env] in .ecluse.toml: %w", err)
	}
	maps.Copy(vars, table)
	return vars, nil
}

// setPorts sets the variables that a service asked for.
func setPorts(vars map[string]string, ports map[string]int, service Service) {
	if port, ok := ports[service.Name]; ok {
		for _, name := range service.PortEnv {
			vars[name] = strconv.Itoa(port)
		}
	}
	for i, extra := range service.ExtraPorts {
		if port, ok := ports[service.extraName(i)]; ok {
			for _, name := range extra.PortEnv {
				vars[name] = strconv.Itoa(port)
			}
		}
	}
}

// envKey is a service's name as a part of a variable's.
func envKey(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}
