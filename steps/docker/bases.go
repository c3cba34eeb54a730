package docker

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// A service may be built FROM the image that another service of the file builds.
// That image has a name of the session's own, so what the Dockerfile says would be
// nothing, or what somebody else has built. Such a Dockerfile goes into the private
// file with the session's names in it: every BuildKit understands that, and not every one
// understands named contexts. What it stands on is built before, see [Engine.Up].

// base finds the other services that a service is built from.
func (w *rewriter) base(s *types.ServiceConfig) {
	text, path := dockerfile(s.Build)
	if text == "" {
		return
	}
	w.absent(s, text)
	own, names := renamed(text, s.Build, w.others(s.Name))
	if len(names) == 0 {
		return
	}
	s.Build.Dockerfile, s.Build.DockerfileInline, s.Build.Pull = "", own, false
	if isFile(path + ".dockerignore") {
		w.m.Warn("service %s is built from what another service builds: %s is not followed, a .dockerignore in %s is",
			s.Name, filepath.Base(path)+".dockerignore", s.Build.Context)
	}
	for _, name := range names {
		w.standsOn(s, name)
	}
}

// others are the images of the session that a service may be built from. Its own is not
// one of them: a Dockerfile that names it means what had that name before.
func (w *rewriter) others(service string) map[string]string {
	others := maps.Clone(w.images)
	if image := w.m.project.Services[service].Image; image != "" {
		delete(others, canonical(image))
	}
	return others
}

// standsOn notes that a service is built from an image of the file, by its canonical
// name. Of several services that build it the first gives it its name.
func (w *rewriter) standsOn(s *types.ServiceConfig, image string) {
	for _, other := range w.m.Services() {
		if o := w.m.project.Services[other]; o.Build != nil && o.Image != "" && canonical(o.Image) == image {
			if other != s.Name && !slices.Contains(w.from[s.Name], other) {
				w.from[s.Name] = append(w.from[s.Name], other)
			}
			return
		}
	}
}

// absent warns of an image that only a service builds that does not run here.
func (w *rewriter) absent(s *types.ServiceConfig, text string) {
	others := map[string]string{}
	for _, other := range slices.Sorted(maps.Keys(w.m.project.DisabledServices)) {
		o := w.m.project.DisabledServices[other]
		if name := canonical(o.Image); o.Build != nil && o.Image != "" && w.images[name] == "" {
			others[name] = other
		}
	}
	_, names := renamed(text, s.Build, others)
	for _, name := range names {
		w.m.Warn("service %s is built from image %s, which service %s builds, and that does not run in Docker here: what every session has by that name is used",
			s.Name, name, others[name])
	}
}

// dockerfile is the text that a build reads, and its path if it is a file of this
// machine. What cannot be read is Compose's to complain of.
func dockerfile(b *types.BuildConfig) (text, path string) {
	if b.DockerfileInline != "" {
		return b.DockerfileInline, ""
	}
	path = either(b.Dockerfile, "Dockerfile")
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.Context, path)
	}
	if !filepath.IsAbs(path) || endless(path) {
		return "", ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", ""
	}
	return string(data), path
}

var (
	// fromLine, argLine and copyFrom are what names an image, or a variable for
	// one: the flags, the name, and the stage that is begun.
	fromLine = regexp.MustCompile(`(?i)^(\s*FROM\s+(?:--\S+\s+)*)(\S+)((?:\s+AS\s+(\S+))?.*)$`)
	argLine  = regexp.MustCompile(`(?i)^\s*ARG\s+(\w+)(?:=(\S*))?\s*$`)
	copyFrom = regexp.MustCompile(`(?i)^(\s*(?:COPY|ADD|RUN)\s.*?(?:--from=|--mount=\S*\bfrom=))([^\s,]+)(.*)$`)
	// heredoc begins text that is no instruction.
	heredoc = regexp.MustCompile(`<<-?["']?(\w+)["']?`)
)

// renamed puts names of a session's own in the place of images, and says which
// images those were.
func renamed(text string, b *types.BuildConfig, own map[string]string) (out string, names []string) {
	d := fromLines{build: b, own: own, args: map[string]string{}, stages: map[string]bool{}}
	lines := strings.Split(text, "\n")
	end, continued := "", false
	for i, line := range lines {
		if end != "" { // inside of a text that is no instruction
			if strings.TrimSpace(line) == end {
				end = ""
			}
			continue
		}
		lines[i] = d.renamed(line, continued)
		if m := heredoc.FindStringSubmatch(line); m != nil {
			end = m[1]
		}
		continued = strings.HasSuffix(strings.TrimRight(line, " \t\r"), `\`)
	}
	slices.Sort(d.names)
	return strings.Join(lines, "\n"), slices.Compact(d.names)
}

// fromLines is what the lines of a Dockerfile so far say of those to come.
type fromLines struct {
	build *types.BuildConfig
	// own are the session's names of images.
	own map[string]string
	// args are the variables that FROM may refer to, stages the names of those that
	// have begun.
	args   map[string]string
	stages map[string]bool
	begun  bool
	// names are the images that a name was put in the place of.
	names []string
}

// renamed is the line with the session's names; continued is one that goes on with the
// instruction before it.
func (d *fromLines) renamed(line string, continued bool) string {
	out := line
	if m := argLine.FindStringSubmatch(line); m != nil && !continued && !d.begun {
		d.args[m[1]] = strings.Trim(m[2], `"'`)
		if value := d.build.Args[m[1]]; value != nil {
			d.args[m[1]] = *value
		}
	}
	if m := fromLine.FindStringSubmatch(line); m != nil && !continued {
		d.begun = true
		out = m[1] + d.put(m[2]) + m[3]
		d.stages[strings.ToLower(m[4])] = m[4] != ""
	}
	if m := copyFrom.FindStringSubmatch(line); m != nil {
		out = m[1] + d.put(m[2]) + m[3]
	}
	return out
}

// put is the session's name of an image, or the name itself if it has none.
func (d *fromLines) put(name string) string {
	full := os.Expand(name, func(key string) string {
		key, fallback, _ := strings.Cut(key, ":-")
		return either(d.args[key], fallback)
	})
	_, context := d.build.AdditionalContexts[full]
	image := canonical(full)
	if context || d.stages[strings.ToLower(full)] || d.own[image] == "" {
		return name
	}
	d.names = append(d.names, image)
	return d.own[image]
}

// canonical is an image's name in the one form in which two are compared.
func canonical(image string) string {
	image = strings.TrimPrefix(strings.TrimPrefix(image, "docker.io/"), "library/")
	if at := strings.LastIndex(image, ":"); at < strings.LastIndex(image, "/") || at < 0 {
		image += ":latest"
	}
	return image
}

// stages says of every service that others are built from in which stage it is
// built: those of stage 1 stand on none of the file's.
func (w *rewriter) stages() {
	depth := map[string]int{}
	var of func(name string, above int) int
	of = func(name string, above int) int {
		if above > len(w.services) {
			return above // built from itself: Docker will say so
		}
		d := 1
		for _, base := range w.from[name] {
			d = max(d, of(base, above+1)+1)
		}
		return d
	}
	for _, bases := range w.from {
		for _, base := range bases {
			depth[base] = of(base, 0)
		}
	}
	for i, s := range w.services {
		if d := depth[s.Name]; d > 0 {
			w.services[i].Stage, w.services[i].Image = d, w.project.Services[s.Name].Image
		}
	}
}
