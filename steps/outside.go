package steps

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ecluse/steps/dotenv"
	"ecluse/steps/settings"
)

// localPort is a port of this machine in a value.
var localPort = regexp.MustCompile(`\b(localhost|127\.0\.0\.1):(\d+)\b`)

// maxOutside bounds how much of a file of variables is looked at, in bytes.
const maxOutside = 1 << 20

// outsider is a variable of an inherited file that leads to a port of this machine.
type outsider struct {
	name, file, place string
	port              int
}

// Outside warns of variables in inherited files that lead to what a service is outside of
// sessions, because nothing gives them the session's port. Only files are read, and no
// value is in a warning: it may be a secret.
func Outside(ctx context.Context, cfg settings.Config, root string) []string {
	found := outsiders(cfg, root)
	if len(found) == 0 {
		return nil // as mostly, and the compose files need not be read
	}
	nominals, _ := Nominals(ctx, cfg, root) // of those that cannot be read somebody else tells
	var warnings []string
	warned := map[string]bool{}
	for _, v := range found {
		i := slices.IndexFunc(nominals, func(n Nominal) bool { return n.Port(0) == v.port })
		if i < 0 || warned[v.name] {
			continue
		}
		warned[v.name] = true
		warnings = append(warnings, fmt.Sprintf("%s in %s leads to %s, the port of %s outside of sessions; set it in [env]", v.name, v.file, v.place, nominals[i].Name))
	}
	return warnings
}

// outsiders finds variables of inherited files that nothing sets for a session.
func outsiders(cfg settings.Config, root string) []outsider {
	var list []outsider
	for _, entry := range cfg.InheritEnv {
		file := entry.Value.File
		if !strings.HasPrefix(filepath.Base(file), ".env") || !filepath.IsLocal(file) {
			continue
		}
		for _, raw := range dotenv.Raws(beginning(filepath.Join(root, file))) {
			if sets(cfg, raw.Name) {
				continue
			}
			for _, match := range localPort.FindAllStringSubmatch(raw.Value, -1) {
				port, _ := strconv.Atoi(match[2])
				list = append(list, outsider{raw.Name, file, match[0], port})
			}
		}
	}
	return list
}

// sets reports whether a session has a variable of its own under a name.
func sets(cfg settings.Config, name string) bool {
	if _, is := cfg.Env[name]; is || name == "PORT" || strings.HasPrefix(name, "ECLUSE_") {
		return true
	}
	command := regexp.MustCompile(`(?:^|[\s;&])` + name + `=`)
	return slices.ContainsFunc(cfg.Databases, func(d settings.Database) bool { return slices.Contains(d.URLVars(), name) }) ||
		slices.ContainsFunc(cfg.Services, func(s settings.Service) bool {
			names := slices.Clone(s.PortEnv)
			for _, extra := range s.ExtraPorts {
				names = append(names, extra.PortEnv...)
			}
			return slices.Contains(names, name) || command.MatchString(s.Command)
		})
}

// beginning is the beginning of a plain file, empty if there is none.
func beginning(path string) string {
	file, err := openFile(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxOutside))
	if err != nil {
		return ""
	}
	return string(text)
}
