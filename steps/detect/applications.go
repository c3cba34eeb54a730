package detect

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ecluse/steps/settings"
)

// applications finds the native services: those of the root, and those of the folders
// below it, each with a name of its own.
func (s *Survey) applications(root string, list []subfolder) {
	own := Survey{}
	var below []Survey
	if !own.procfile(root) { // it lists all that runs
		own.natives(root)
		below = own.below(root, list)
	}
	own.fallbacks(root, below)
	belongs := own.runs() || slices.ContainsFunc(below, func(part Survey) bool { return part.at.known != "" && part.runs() })
	for _, part := range below {
		if part.at.known == "" && belongs {
			part.doubt("nothing tells that " + part.at.path + " is run with the rest")
		}
	}
	s.adopt(append([]Survey{own}, below...))
	s.After = append(s.After, own.After...)
	for _, part := range below {
		if part.runs() {
			s.After = append(s.After, part.After...)
			s.Prepare = append(s.Prepare, part.Prepare...)
		}
	}
}

// below looks at the folders that are no part of what the root has.
func (s *Survey) below(root string, list []subfolder) []Survey {
	var below []Survey
	for _, at := range list {
		if slices.ContainsFunc(s.Natives, func(f Found) bool { return strings.HasPrefix(f.From, at.path+"/") }) {
			continue
		}
		if part := s.part(root, at); len(part.Natives) > 0 {
			below = append(below, part)
		}
	}
	return below
}

// runs reports whether there is a native service in force.
func (s Survey) runs() bool { return slices.ContainsFunc(s.Natives, Found.sure) }

// doubt makes all native services only suggested.
func (s Survey) doubt(why string) {
	for i := range s.Natives {
		s.Natives[i].doubt(why)
	}
}

// part looks at one folder as if it were a repository of its own.
func (s *Survey) part(root string, at subfolder) Survey {
	dir := filepath.Join(root, at.path)
	p := Survey{at: at, above: root}
	if slices.Contains(noParts, at.path) || slices.Contains(deploys, at.path) {
		return p
	}
	if !p.procfile(dir) {
		p.natives(dir)
	}
	// A folder of pages beside an application is mostly a part of that.
	if at.known != "" && !exists(filepath.Join(root, "go.mod")) && !exists(filepath.Join(root, "package.json")) {
		p.static(dir)
	}
	p.prepare(dir)
	for i, run := range p.After {
		p.After[i] = "(cd " + at.path + " && " + run + ")"
	}
	for i, prepare := range p.Prepare {
		p.Prepare[i].Run = "(cd " + at.path + " && " + prepare.Run + ")"
		for j, input := range prepare.Inputs {
			p.Prepare[i].Inputs[j] = path.Join(at.path, input)
		}
	}
	single := len(p.Natives) == 1
	for i := range p.Natives {
		f := &p.Natives[i]
		f.names = []string{path.Base(at.path), at.path}
		if !single && f.Name != "web" && f.Name != "app" {
			f.names = []string{path.Base(at.path) + "-" + f.Name, at.path + "-" + f.Name}
		}
		f.Dir, f.From = at.path, at.path+"/"+f.From
		if at.known != "" {
			f.From += ", " + at.known
		}
	}
	return p
}

// adopt adds the services of all parts, each under the first of its names that is free.
// What is in force has the first choice.
func (s *Survey) adopt(parts []Survey) {
	for _, wanted := range []bool{true, false} {
		for _, part := range parts {
			for _, f := range part.Natives {
				if f.sure() == wanted {
					f.Name = s.named(f)
					s.add(f)
				}
			}
		}
	}
}

// named is the best name of a service that is free, else the last one that can be had.
func (s *Survey) named(f Found) string {
	name := f.Name
	for _, candidate := range f.names {
		if candidate = nameOf(candidate); settings.NamePattern.MatchString(candidate) {
			if name = candidate; !s.taken(name) {
				return name
			}
		}
	}
	return name
}

// taken reports whether a name stands for another service.
func (s *Survey) taken(name string) bool {
	return s.container(name) || slices.ContainsFunc(s.Natives, func(o Found) bool { return settings.EnvKey(o.Name) == settings.EnvKey(name) })
}

// fallbacks are what a root is taken for where nothing says more of it.
func (s *Survey) fallbacks(root string, below []Survey) {
	if !s.runs() && !slices.ContainsFunc(below, Survey.runs) {
		s.script(root)
	}
	if len(below) == 0 {
		s.static(root)
	}
}

// sure reports whether a service is in force.
func (f Found) sure() bool { return f.Doubt == "" }

// doubt makes a service only suggested.
func (f *Found) doubt(why string) {
	if f.Doubt == "" {
		f.Doubt = why
	}
}
