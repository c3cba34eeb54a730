package steps

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// composeGroup is one compose project of a session: the files that it is read from,
// and what the configuration says of the services in them. Two folders of a
// repository may both have a service db; for Compose they are two projects, too.
type composeGroup struct {
	// Step is the name of its step.
	Step string
	// Files are relative to the worktree, and merged in order. Without any it is
	// what Compose finds.
	Files []string
	// Services are those that the configuration names, in its order.
	Services []settings.Service
	// Label tells it apart from the other groups in the names of its ports. The
	// group of the root has none.
	Label string
}

// groups are the compose projects of a session. The first is that of the root,
// unless every service that runs in Docker names a file of its own.
func groups(c settings.Config) []composeGroup {
	if c.Mode == settings.ModeHost {
		return nil
	}
	var root composeGroup
	for _, file := range c.Compose.File {
		root.Files = append(root.Files, filepath.Clean(file))
	}
	var contained []settings.Service
	for _, s := range c.Services {
		if !s.Native() {
			contained = append(contained, s)
		}
	}
	var groups []composeGroup
	if len(root.Files) > 0 || len(contained) == 0 || slices.ContainsFunc(contained, func(s settings.Service) bool { return s.Compose == "" }) {
		root.Step = composeStep
		if len(root.Files) > 0 {
			root.Step += ":" + root.Files[0]
		}
		groups = append(groups, root)
	}
	for _, s := range contained {
		i := slices.IndexFunc(groups, func(g composeGroup) bool { return g.holds(s) })
		if i < 0 {
			file := filepath.Clean(s.Compose)
			i, groups = len(groups), append(groups, composeGroup{Step: composeStep + ":" + file, Files: []string{file}, Label: composeLabel(file)})
		}
		groups[i].Services = append(groups[i].Services, s)
	}
	tellApart(groups)
	return groups
}

// holds reports whether a service is in the group, by the file that it names.
func (g composeGroup) holds(s settings.Service) bool {
	file := filepath.Clean(s.Compose)
	switch {
	case s.Compose == "":
		return g.Label == ""
	case len(g.Files) == 0: // which file it is shows in the worktree, see found
		return docker.Finds(file)
	default:
		return slices.Contains(g.Files, file)
	}
}

// maxLabel bounds a label: it is a part of the names of containers and networks.
const maxLabel = 40

// labelRuns are what a label has none of. A dash is what slugs have, too; the
// underline is what stands between the two.
var labelRuns = regexp.MustCompile(`[^a-z0-9]+`)

// composeLabel is a name for a file's group: the folder's, else the file's.
func composeLabel(file string) string {
	name := filepath.Base(filepath.Dir(file))
	if name == "." {
		name = strings.TrimSuffix(file, filepath.Ext(file))
	}
	name = labelRuns.ReplaceAllString(strings.ToLower(name), "-")
	if len(name) > maxLabel {
		name = name[:maxLabel]
	}
	if name = strings.Trim(name, "-"); name == "" {
		return composeStep
	}
	return name
}

// tellApart makes the labels of groups differ that have the same.
func tellApart(groups []composeGroup) {
	count := map[string]int{}
	for _, g := range groups {
		count[g.Label]++
	}
	for i, g := range groups {
		if count[g.Label] > 1 && g.Label != "" {
			sum := sha256.Sum256([]byte(g.Files[0]))
			groups[i].Label += fmt.Sprintf("-%x", sum[:3])
		}
	}
}

// hashed is the end of a label that has a hash.
var hashed = regexp.MustCompile(`-[0-9a-f]{6}$`)

// identity is the group's part of names that data hangs on. Unlike the label it is
// the same whatever other groups there are: the folder's name if that says it all,
// else one with a hash of the path.
func (g composeGroup) identity() string {
	file := g.Files[0]
	label := composeLabel(file)
	if filepath.Join(label, "compose.yaml") == file && !hashed.MatchString(label) {
		return label
	}
	sum := sha256.Sum256([]byte(file))
	return fmt.Sprintf("%s-%x", label, sum[:3])
}

// project is the name of the group's compose project. No slug has an underline: a
// session feat with a folder worker is not the session feat-worker.
func (g composeGroup) project(cfg settings.Config, s session.Session) string {
	if g.Label == "" {
		return fmt.Sprintf("%s_%s_%s", cfg.Prefix, s.Slug, mark(s.Repo))
	}
	return fmt.Sprintf("%s_%s_%s_%s", cfg.Prefix, s.Slug, g.identity(), mark(s.Repo))
}

// private is the path of the group's private compose file.
func (g composeGroup) private(dir string) string {
	if g.Label == "" {
		return filepath.Join(dir, "compose.yaml")
	}
	return filepath.Join(dir, "compose-"+g.identity()+".yaml")
}

// String names the group's files.
func (g composeGroup) String() string {
	if len(g.Files) == 0 {
		return "the compose file"
	}
	return strings.Join(g.Files, " with ")
}

// groupOf is the group of a stored step.
func groupOf(c settings.Config, step string) composeGroup {
	groups := groups(c)
	i := slices.IndexFunc(groups, func(g composeGroup) bool { return g.Step == step })
	if i < 0 {
		return composeGroup{Step: step}
	}
	return groups[i]
}

// publish is what the configuration says of the ports of the group's services.
func (g composeGroup) publish() []docker.Publish {
	var list []docker.Publish
	for _, s := range g.Services {
		if s.Ported() {
			list = append(list, docker.Publish{Service: s.Name, Container: s.BasePort, Name: s.Name, Base: s.HostBase(), Hidden: !s.Publishes()})
		}
		for i, extra := range s.ExtraPorts {
			inside := extra.ContainerPort
			if inside == 0 {
				inside = extra.BasePort
			}
			list = append(list, docker.Publish{Service: s.Name, Container: inside, Name: s.ExtraName(i), Base: extra.BasePort})
		}
	}
	return list
}

// found checks what could not be known before the files were found: that they are
// those which a service names, and that the services are there.
func (g composeGroup) found(model *docker.Model) error {
	files := strings.Join(model.Names(), " with ")
	for _, s := range g.Services {
		switch {
		case s.Compose != "" && !slices.Contains(model.Names(), filepath.Clean(s.Compose)):
			return fmt.Errorf("service %s is in %s (compose in .ecluse.toml), and Compose finds %s; name the files as compose.file, or give all services that run in docker a compose",
				s.Name, s.Compose, files)
		case !model.Knows(s.Name):
			return fmt.Errorf("service %s (run = \"docker\" in .ecluse.toml) is not in %s, which has: %s; rename it, or say with compose which file it is in",
				s.Name, files, strings.Join(model.Services(), ", "))
		}
	}
	return nil
}

// doubts warns of a port that is published as the configuration says and where, as
// far as the file tells, nothing listens.
func (g composeGroup) doubts(model *docker.Model) {
	for _, s := range g.Services {
		published, exposed := model.Ports(s.Name)
		known, has := published, "publishes"
		if len(published) == 0 {
			known, has = exposed, "exposes"
		}
		if !s.Ported() || !s.Publishes() || len(known) == 0 || slices.Contains(published, s.BasePort) || slices.Contains(exposed, s.BasePort) {
			continue
		}
		first := s.HostBase()
		model.Warn("base_port %d of service %s is not a port of it in %s, which %s %s; did you mean host_port = %d with base_port = %d?",
			s.BasePort, s.Name, strings.Join(model.Names(), " with "), has, numbers(known), first, known[0])
	}
}

// numbers lists numbers, the first few of many.
func numbers(list []int) string {
	const few = 5
	text := fmt.Sprint(list[:min(few, len(list))])
	text = strings.ReplaceAll(strings.Trim(text, "[]"), " ", ", ")
	if len(list) > few {
		text += ", ..."
	}
	return text
}
