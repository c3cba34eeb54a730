package steps

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/dotenv"
	"ecluse/steps/settings"
)

var (
	// leasedPattern are the variables of ports, of which those of a compose
	// file are not known beforehand.
	leasedPattern    = regexp.MustCompile(`^ECLUSE_[A-Z0-9_]+_PORT$`)
	referencePattern = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
)

// checker finds what is wrong with a configuration only when a session is made of it:
// what its variables refer to, and what its steps wait for.
type checker struct{ settings.Validator }

// LoadConfig reads and validates the configuration of the repository whose main
// worktree is root. The error is a *config.Error that names every problem, or
// wraps config.ErrMissing, or says that the file cannot be read.
func LoadConfig(root string) (settings.Config, error) {
	return settings.Load(root, func(v settings.Validator) {
		c := checker{v}
		c.env()
		for i, d := range v.Databases {
			c.databaseURL(fmt.Sprintf("databases.%d.url", i), d)
		}
		c.userSteps()
	})
}

// knownVariables are those that [env] may refer to, without its own.
func (c checker) knownVariables() (map[string]string, error) {
	vars, err := Environment(c.Config.Early(), c.pretended())
	if err != nil {
		return nil, err
	}
	for _, d := range c.Databases {
		for _, name := range d.URLVars() {
			vars[name] = ""
		}
	}
	for _, value := range c.Env {
		c.lease(vars, value, "")
	}
	return vars, nil
}

// lease gives a value to the ports that a text refers to, and that the compose file of a
// branch may publish.
func (c checker) lease(vars map[string]string, text, value string) {
	for _, match := range referencePattern.FindAllStringSubmatch(text, -1) {
		if c.Mode != settings.ModeHost && leasedPattern.MatchString(match[1]) {
			vars[match[1]] = value
		}
	}
}

// env checks what the table of variables refers to, as far as it can be known.
func (c checker) env() {
	if len(c.Env) == 0 {
		return
	}
	vars, err := c.knownVariables()
	if err != nil {
		return // without [env] there is nothing to go wrong
	}
	others := maps.Clone(vars)
	for name := range c.Env {
		others[name] = ""
	}
	sound := true
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if c.Wrong("env." + name) { // and it was reported
			sound = false
		} else if _, err := dotenv.ExpandAll(map[string]string{name: c.Env[name]}, others); err != nil {
			c.Invalid("env."+name, err.Error())
			sound = false
		}
	}
	if _, err := dotenv.ExpandAll(c.Env, vars); err != nil && sound {
		c.Invalid("env", err.Error())
	}
}

// databaseURL checks the URL of a database, as far as it can be known.
func (c checker) databaseURL(key string, d settings.Database) {
	if d.URL == "" {
		return // and it was reported
	}
	vars, err := Environment(c.Config.Early(), c.pretended())
	if err != nil {
		return // and it was reported
	}
	c.lease(vars, d.URL, "5432")
	if _, err := server(d, vars); err != nil {
		_, text, _ := strings.Cut(err.Error(), ".ecluse.toml: ")
		c.Invalid(key, text)
	}
}

// pretended is a session that has all the ports which the configuration names.
func (c checker) pretended() session.Session {
	s := session.Session{Mode: c.Mode, Ports: map[string]int{}}
	for _, service := range slices.Concat(c.Natives(), c.Services) {
		if service.Ported() {
			s.Ports[service.Name] = service.HostBase()
		}
		for i := range service.ExtraPorts {
			s.Ports[service.ExtraName(i)] = service.ExtraPorts[i].BasePort
		}
	}
	return s
}
