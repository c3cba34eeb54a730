package detect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// Survey is what a look at a repository has found to run.
type Survey struct {
	// ComposeFile is the one that Compose would take, relative to the root; empty if
	// there is none. Compose are its services; none if it cannot be read.
	ComposeFile string
	Compose     []docker.Surveyed
	// Natives are services that run without Docker, the first before all others.
	Natives []Found
	// Prepare are commands that a fresh worktree needs before they start.
	Prepare []Preparation
	// After are commands that may be wanted once everything is up.
	After []string
	// Env are variables that name ports of the compose file, in the terms of a
	// session.
	Env []Variable
	// Warnings are what could not be looked at.
	Warnings []string
}

// Found is a service, and where it was found.
type Found struct {
	settings.Service
	From string
	// Doubt says why it may not work as it is; it is then only suggested.
	Doubt string
}

// Preparation is a command for the hook pre_spawn.
type Preparation struct {
	Run    string
	Inputs []string
}

// Variable is a variable and its value, as `[env]` takes it.
type Variable struct{ Name, Value string }

// Examine looks at the files of the repository whose main worktree is root. It runs
// nothing.
func Examine(ctx context.Context, root string) Survey {
	var s Survey
	s.compose(ctx, root)
	s.natives(root)
	s.prepare(root)
	s.variables(root)
	return s
}

// compose looks at the compose file.
func (s *Survey) compose(ctx context.Context, root string) {
	model, err := docker.Load(ctx, docker.LoadOptions{Dir: root, Project: "ecluse", Shallow: true})
	if err == nil {
		s.ComposeFile, s.Compose = model.Names()[0], model.Survey()
		return
	}
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"} {
		if isFile(filepath.Join(root, name)) {
			s.ComposeFile = name
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s cannot be read, so its services are not in the configuration: %v", name, err))
			return
		}
	}
	if !errors.Is(err, docker.ErrNoFile) {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the compose file cannot be read: %v", err))
	}
}

// lockFiles are files that say what a fresh worktree must be given, and how. Of those
// of one language the first counts.
var lockFiles = []struct{ language, file, run string }{
	{"node", "pnpm-lock.yaml", "pnpm install --frozen-lockfile"},
	{"node", "yarn.lock", "yarn install --frozen-lockfile"},
	{"node", "bun.lock", "bun install --frozen-lockfile"},
	{"node", "bun.lockb", "bun install --frozen-lockfile"},
	{"node", "package-lock.json", "npm ci"},
	{"ruby", "Gemfile.lock", "bundle install"},
	{"python", "uv.lock", "uv sync"},
	{"python", "poetry.lock", "poetry install"},
	{"elixir", "mix.lock", "mix deps.get"},
	{"php", "composer.lock", "composer install"},
}

// prepare finds what a fresh worktree needs: what package managers install is not in
// the repository.
func (s *Survey) prepare(root string) {
	done := map[string]bool{}
	for _, lock := range lockFiles {
		if done[lock.language] || !isFile(filepath.Join(root, lock.file)) {
			continue
		}
		done[lock.language] = true
		run := lock.run
		if lock.file == "yarn.lock" && isFile(filepath.Join(root, ".yarnrc.yml")) {
			run = "yarn install --immutable" // as later versions call it
		}
		s.Prepare = append(s.Prepare, Preparation{run, []string{lock.file}})
	}
}

// publicEnv are files of example variables: what is in them is no secret.
var publicEnv = []string{".env.example", ".env.sample", ".env.dist", ".env.template"}

var (
	envLine   = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=["']?([^"'#\s]*)["']?\s*$`)
	localPort = regexp.MustCompile(`\b(localhost|127\.0\.0\.1):(\d+)\b`)
)

// variables finds those that lead to what the compose file publishes: in a session it
// is at another port.
func (s *Survey) variables(root string) {
	leases := map[string]string{}
	for _, c := range s.Compose {
		for _, p := range c.Published {
			if p.Base > 0 && p.Protocol == "tcp" && p.Name == c.Name && !appLabelled(c) && !c.Built {
				leases[fmt.Sprint(p.Base)] = "${ECLUSE_" + settings.EnvKey(c.Name) + "_PORT}"
			}
		}
	}
	for _, name := range publicEnv {
		for line := range strings.Lines(readText(root, name)) {
			match := envLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
			if match == nil || settings.WrongVariable(match[1]) != "" {
				continue
			}
			value, changed := strings.ReplaceAll(match[2], "$", "$$"), false
			value = localPort.ReplaceAllStringFunc(value, func(place string) string {
				host, number, _ := strings.Cut(place, ":")
				if leases[number] == "" {
					return place
				}
				changed = true
				return host + ":" + leases[number]
			})
			known := slices.ContainsFunc(s.Env, func(v Variable) bool { return v.Name == match[1] })
			if changed && !known && !strings.Contains(match[2], "${") {
				s.Env = append(s.Env, Variable{match[1], value})
			}
		}
	}
}

// maxText bounds how much of a file is looked at, in bytes.
const maxText = 1 << 20

// readText is the beginning of a plain file, empty if there is none.
func readText(root, name string) string {
	path := filepath.Join(root, name)
	if !isFile(path) {
		return ""
	}
	// A pipe that takes its place would have it wait for ever.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxText))
	if err != nil {
		return ""
	}
	return string(text)
}

// nodePackage is what of a package.json is looked at.
type nodePackage struct {
	Scripts         map[string]string `json:"scripts"`
	Dependencies    map[string]any    `json:"dependencies"`
	DevDependencies map[string]any    `json:"devDependencies"`
}

// has reports whether a package depends on another.
func (p nodePackage) has(name string) bool {
	return p.Dependencies[name] != nil || p.DevDependencies[name] != nil
}

// readPackage reads package.json. One that cannot be read is empty.
func readPackage(root string) nodePackage {
	var p nodePackage
	if json.Unmarshal([]byte(readText(root, "package.json")), &p) != nil {
		return nodePackage{}
	}
	for name, script := range p.Scripts {
		p.Scripts[name] = strings.Join(strings.Fields(script), " ")
	}
	return p
}

// appLabelled reports whether a service of a compose file is marked as the application.
func appLabelled(c docker.Surveyed) bool {
	def := settings.Defaults()
	return c.Labels[def.AppLabel] == def.AppLabelValue
}
