package detect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"

	"ecluse/steps/docker"
	"ecluse/steps/plain"
	"ecluse/steps/settings"
)

// Survey is what a look at a repository has found to run.
type Survey struct {
	// ComposeFile is the one that Compose would take, relative to the root; empty if
	// there is none. Compose are its services; none if it cannot be read.
	ComposeFile string
	Compose     []docker.Surveyed
	// Composed are the compose files of folders below the root, in the order of their
	// paths.
	Composed []Composed
	// Natives are services that run without Docker, the first before all others.
	Natives []Found
	// Prepare are commands that a fresh worktree needs before they start.
	Prepare []Preparation
	// After are commands that may be wanted once everything is up.
	After []string
	// Env are variables that name ports of the compose file, in the terms of a
	// session.
	Env []Variable
	// Inherit are files of variables in folders, which git may leave out.
	Inherit []string
	// Warnings are what could not be looked at.
	Warnings []string

	// at is the folder that is looked at, and above the repository that it is in; both
	// are empty for the root.
	at    subfolder
	above string
}

// Composed is a compose file of a folder, with its services.
type Composed struct {
	File     string
	Services []docker.Surveyed
	// Doubt says why they may not belong to a session; they are then only suggested.
	Doubt string
}

// Found is a service, and where it was found.
type Found struct {
	settings.Service
	// From is the file, and Dir the folder below the root in which the command runs.
	From, Dir string
	// Doubt says why it may not work as it is; it is then only suggested.
	Doubt string
	// Env are variables that are not the same for all services.
	Env []Variable

	// names are what it may be called, the best first.
	names []string
}

// Preparation is a command for the hook pre_spawn.
type Preparation struct {
	Run    string
	Inputs []string
}

// Examine looks at the files of the repository whose main worktree is root, and at those
// of the folders below it that are parts of a project. It runs nothing.
func Examine(ctx context.Context, root string) Survey {
	var s Survey
	s.compose(ctx, root)
	list := s.folders(root)
	s.composed(ctx, root, list)
	s.prepare(root)
	s.applications(root, list)
	s.variables(root)
	s.inherited(root, list)
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

// composed looks at the compose files of folders. One whose services are all in the
// root's file is a part of that.
func (s *Survey) composed(ctx context.Context, root string, list []subfolder) {
	for _, at := range list {
		name := ""
		for _, file := range []string{"docker-compose.yaml", "docker-compose.yml", "compose.yml", "compose.yaml"} {
			if isFile(filepath.Join(root, at.path, file)) {
				name = path.Join(at.path, file)
			}
		}
		if name == "" || slices.Contains(noParts, at.path) {
			continue
		}
		model, err := docker.Load(ctx, docker.LoadOptions{Dir: root, Project: "ecluse", Shallow: true, Files: []string{name}})
		if err != nil {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s cannot be read, so its services are not in the configuration: %v", name, err))
			continue
		}
		c := Composed{File: name, Services: model.Survey()}
		shared := 0
		for _, one := range c.Services {
			if slices.ContainsFunc(s.Compose, func(o docker.Surveyed) bool { return o.Name == one.Name }) {
				shared++
				c.Doubt = fmt.Sprintf("%s has a %s, too, so this file may be for %s alone", s.ComposeFile, one.Name, at.path)
			}
		}
		if slices.Contains(deploys, at.path) {
			c.Doubt = "the file may be for a deployment"
		}
		if shared < len(c.Services) {
			s.Composed = append(s.Composed, c)
		}
	}
}

// files are the compose files, the root's first, which has no name.
func (s Survey) files() []Composed {
	return append([]Composed{{Services: s.Compose}}, s.Composed...)
}

// contained are the services of all compose files that are in force.
func (s Survey) contained() []docker.Surveyed {
	var list []docker.Surveyed
	for _, c := range s.files() {
		if c.Doubt == "" {
			list = append(list, c.Services...)
		}
	}
	return list
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
		if done[lock.language] || !isFile(filepath.Join(root, lock.file)) || s.at.member && lock.language == "node" && nodeLock(s.above) != "" {
			continue // what is a workspace is installed with the others
		}
		done[lock.language] = true
		run := lock.run
		if lock.file == "yarn.lock" && isFile(filepath.Join(root, ".yarnrc.yml")) {
			run = "yarn install --immutable" // as later versions call it
		}
		s.Prepare = append(s.Prepare, Preparation{run, []string{lock.file}})
	}
}

// maxText bounds how much of a file is looked at, in bytes.
const maxText = 1 << 20

// readText is the beginning of a plain file, empty if there is none.
func readText(root, name string) string {
	file, err := plain.Open(filepath.Join(root, name))
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

// appLabelled reports whether a service of a compose file is marked as the application.
func appLabelled(c docker.Surveyed) bool {
	def := settings.Defaults()
	return c.Labels[def.AppLabel] == def.AppLabelValue
}
