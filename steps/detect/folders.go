package detect

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// How far a look at a repository goes: folders below folders, and how many of them.
const (
	maxDepth   = 3
	maxFolders = 200
)

// subfolder is one below the root that is looked into.
type subfolder struct {
	// path is relative to the root, with slashes.
	path string
	// known says what tells that it is a part of the project; empty if it only lies there.
	known string
	// member tells that it is a workspace of the root's package.json, and installed with it.
	member bool
}

// Folders of the first level whose children are parts of a project, and those that are
// parts themselves.
var (
	holders = []string{"apps", "packages", "services", "projects", "microservices"}
	parts   = []string{"backend", "frontend", "server", "client", "api", "web", "app", "worker", "admin", "ui", "site", "website", "gateway"}
)

// Folders that hold no part of what runs. Of the second kind it may be their compose file
// that is wanted.
var (
	neverLooked = []string{"node_modules", "vendor", "third_party", "dist", "build", "target", "out", "tmp", "log", "logs", "coverage", "venv", "__pycache__", "bower_components", "testdata", "fixtures"}
	noParts     = []string{"docs", "doc", "example", "examples", "sample", "samples", "test", "tests", "e2e", "spec", "scripts", "tools", "assets", "public", "static", "templates", "config", "lib", "libs", "bin", "cmd", "db"}
	deploys     = []string{"deploy", "deployment", "deployments", "prod", "production", "staging", "ops", "k8s", "ci"}
)

// folders finds the folders of a repository that may hold a part of the project. Links
// are not followed, and repositories in the repository are left alone: a worktree lacks
// what is in them.
func (s *Survey) folders(root string) []subfolder {
	member := workspaces(root)
	var list []subfolder
	count := 0
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		entries, _ := os.ReadDir(filepath.Join(root, dir)) // one that cannot be read is none
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			switch {
			case !e.IsDir() || strings.HasPrefix(e.Name(), ".") || slices.Contains(neverLooked, e.Name()) || exists(filepath.Join(root, name, ".git")):
				continue
			case !plainPath.MatchString(name) || strings.HasPrefix(name, "-"):
				s.Warnings = append(s.Warnings, fmt.Sprintf("the folder %q was not looked into, because of its name", name))
				continue
			}
			if count++; count == maxFolders+1 {
				s.Warnings = append(s.Warnings, fmt.Sprintf("only the first %d folders were looked into", maxFolders))
			}
			if count > maxFolders {
				return
			}
			if f := classify(name, member); f.known != "" || depth == 1 {
				list = append(list, f)
			}
			if depth < maxDepth {
				walk(name, depth+1)
			}
		}
	}
	walk("", 1)
	return list
}

// classify says what a folder is to the project.
func classify(name string, member func(string) string) subfolder {
	f := subfolder{path: name}
	parent, base := path.Dir(name), path.Base(name)
	if from := member(name); from != "" {
		f.known, f.member = "a workspace of "+from, true
		return f
	}
	switch {
	case slices.Contains(holders, parent) && !slices.Contains(noParts, base):
		f.known = "a folder of " + parent
	case parent == "." && slices.Contains(parts, base):
		f.known = "the folder " + base
	}
	return f
}

// workspaces reads which folders are workspaces. The function that it returns says by
// which file one is, empty if by none.
func workspaces(root string) func(string) string {
	var manifest struct {
		Workspaces json.RawMessage `json:"workspaces"`
	}
	var object struct {
		Packages []string `json:"packages"`
	}
	var patterns []string
	file := "package.json"
	if json.Unmarshal([]byte(readText(root, file)), &manifest) == nil && json.Unmarshal(manifest.Workspaces, &patterns) != nil {
		if json.Unmarshal(manifest.Workspaces, &object) == nil {
			patterns = object.Packages
		}
	}
	var pnpm struct {
		Packages []string `yaml:"packages"`
	}
	if text := readText(root, "pnpm-workspace.yaml"); text != "" && yaml.Unmarshal([]byte(text), &pnpm) == nil && len(pnpm.Packages) > 0 {
		file, patterns = "pnpm-workspace.yaml", pnpm.Packages
	}
	var within, without []*regexp.Regexp
	for _, p := range patterns {
		if rest, not := strings.CutPrefix(p, "!"); not {
			without = append(without, glob(rest))
		} else {
			within = append(within, glob(p))
		}
	}
	matches := func(list []*regexp.Regexp, name string) bool {
		return slices.ContainsFunc(list, func(r *regexp.Regexp) bool { return r.MatchString(name) })
	}
	return func(name string) string {
		if matches(within, name) && !matches(without, name) && isFile(filepath.Join(root, name, "package.json")) {
			return file
		}
		return ""
	}
}

// glob is the pattern of a workspace, as a regular expression.
func glob(pattern string) *regexp.Regexp {
	text := regexp.QuoteMeta(path.Clean(pattern))
	for _, change := range [][2]string{{`/\*\*`, `(/.*)?`}, {`\*\*/`, `(.*/)?`}, {`\*\*`, `.*`}, {`\*`, `[^/]*`}} {
		// What a change has put in must not be changed by the next.
		text = strings.ReplaceAll(text, change[0], strings.NewReplacer("*", "\x00").Replace(change[1]))
	}
	return regexp.MustCompile("^" + strings.ReplaceAll(text, "\x00", "*") + "$")
}

// exists reports whether anything is at a path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// invalidName is what a service's name has none of.
var invalidName = regexp.MustCompile(`[^a-z0-9_-]+`)

// nameOf is a service's name for a folder.
func nameOf(folder string) string {
	return strings.Trim(invalidName.ReplaceAllString(strings.ToLower(strings.ReplaceAll(folder, "/", "-")), "-"), "-_")
}
