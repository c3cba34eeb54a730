package detect

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// Variable is a variable and its value, as `[env]` takes it.
type Variable struct {
	Name, Value string
	// From is the file that has it, relative to the root.
	From string
	// Docker and Native tell whose ports are in it, and Ambiguous that two compose files
	// have such a service.
	Docker, Native, Ambiguous bool
	// Leads is where it leads outside of any session, and Doubt why it is only suggested:
	// what is secret in a private file is not copied.
	Leads, Doubt string
}

// publicEnv are files of example variables: what is in them is no secret.
var publicEnv = []string{".env.example", ".env.sample", ".env.dist", ".env.template"}

var (
	envLine   = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=["']?([^"'#\s]*)["']?\s*$`)
	localPort = regexp.MustCompile(`\b(localhost|127\.0\.0\.1):(\d+)\b`)
)

// lease is a port of a session, and whose it is.
type lease struct {
	service           string
	native, ambiguous bool
}

// variables finds those that lead to what compose files publish, or to other services: in
// a session these are at other ports. Where folders mean different things by a name, that
// of the first is everybody's, and the services of the others get theirs with their
// command.
func (s *Survey) variables(root string) {
	dirs := []string{""}
	for _, f := range s.Natives {
		if f.Dir != "" && f.sure() && !slices.Contains(dirs, f.Dir) {
			dirs = append(dirs, f.Dir)
		}
	}
	said := map[string][]Variable{}
	for _, dir := range dirs {
		said[dir] = examples(root, dir, s.leases(dir))
		for _, v := range said[dir] {
			if (v.Docker || v.Native) && find(s.Env, v.Name) < 0 {
				s.Env = append(s.Env, v)
			}
		}
	}
	for _, dir := range dirs {
		for _, v := range said[dir] {
			if i := find(s.Env, v.Name); i >= 0 && s.Env[i].Value != v.Value {
				s.own(dir, v.where(s.Env[i]))
			}
		}
	}
	s.privates(root, dirs, said)
}

// find is the place of a variable in a list, -1 if it is not there.
func find(list []Variable, name string) int {
	return slices.IndexFunc(list, func(v Variable) bool { return v.Name == name })
}

// own gives a variable to the services of one folder only.
func (s *Survey) own(dir string, v Variable) {
	for i := range s.Natives {
		if s.Natives[i].Dir == dir {
			s.Natives[i].Env = append(s.Natives[i].Env, v)
		}
	}
}

// where is the variable, for wherever another one is in force, too.
func (v Variable) where(o Variable) Variable {
	v.Docker, v.Native, v.Ambiguous = v.Docker || o.Docker, v.Native || o.Native, v.Ambiguous || o.Ambiguous
	return v
}

// leases are the ports that variables in a folder may name, by their numbers outside of
// any session. What its own compose file publishes comes first, then the root's; a
// number that two of the others have says nothing.
func (s *Survey) leases(dir string) map[string]lease {
	known := map[string]lease{}
	for _, c := range slices.Concat(s.near(dir), s.files()) {
		for _, one := range c.Services {
			number, ok := publishes(one)
			_, had := known[number]
			switch {
			case !ok || had || c.Doubt != "":
			case s.owner(one.Name) == c.File:
				known[number] = lease{service: one.Name, ambiguous: s.ambiguous(one.Name)}
			case filepath.Dir(c.File) == dir:
				known[number] = lease{} // what it means cannot be named
			}
		}
	}
	count := map[int]int{}
	for _, f := range s.Natives {
		count[f.BasePort]++
	}
	for _, f := range s.Natives {
		number := fmt.Sprint(f.BasePort)
		if _, had := known[number]; !had && f.sure() && f.BasePort != 0 && count[f.BasePort] == 1 {
			known[number] = lease{service: f.Name, native: true}
		}
	}
	return known
}

// near is the compose file of a folder, if it has one that is in force.
func (s *Survey) near(dir string) []Composed {
	for _, c := range s.Composed {
		if filepath.Dir(c.File) == dir {
			return []Composed{c}
		}
	}
	return nil
}

// publishes is the port that a service of a compose file has outside of any session, if
// in one there is a lease of its name.
func publishes(c docker.Surveyed) (string, bool) {
	for _, p := range c.Published {
		if p.Base > 0 && p.Protocol == "tcp" && p.Name == c.Name && !appLabelled(c) && !c.Built {
			return fmt.Sprint(p.Base), true
		}
	}
	return "", false
}

// owner is the compose file whose service has a name: the first one that is in force.
func (s *Survey) owner(name string) string {
	for _, c := range s.files() {
		if c.Doubt == "" && slices.ContainsFunc(c.Services, func(o docker.Surveyed) bool { return settings.EnvKey(o.Name) == settings.EnvKey(name) }) {
			return c.File
		}
	}
	return ""
}

// ambiguous reports whether several compose files have a service of a name.
func (s *Survey) ambiguous(name string) bool {
	count := 0
	for _, c := range s.files() {
		if c.Doubt == "" && slices.ContainsFunc(c.Services, func(o docker.Surveyed) bool { return settings.EnvKey(o.Name) == settings.EnvKey(name) }) {
			count++
		}
	}
	return count > 1
}

// examples are the example variables of a folder, with the ports of a session.
func examples(root, dir string, leases map[string]lease) []Variable {
	var list []Variable
	for _, name := range publicEnv {
		for line := range strings.Lines(readText(filepath.Join(root, dir), name)) {
			match := envLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
			if match == nil || settings.WrongVariable(match[1]) != "" || strings.Contains(match[2], "${") || find(list, match[1]) >= 0 {
				continue
			}
			v := moved(match[1], match[2], leases)
			v.From = filepath.Join(dir, name)
			list = append(list, v)
		}
	}
	return list
}

// moved is a variable with the ports of a session.
func moved(name, value string, leases map[string]lease) Variable {
	v := Variable{Name: name}
	v.Value = localPort.ReplaceAllStringFunc(strings.ReplaceAll(value, "$", "$$"), func(place string) string {
		host, number, _ := strings.Cut(place, ":")
		to, ok := leases[number]
		if !ok || to.service == "" {
			return place
		}
		v.Docker, v.Native, v.Ambiguous = v.Docker || !to.native, v.Native || to.native, v.Ambiguous || to.ambiguous
		return host + ":${ECLUSE_" + settings.EnvKey(to.service) + "_PORT}"
	})
	return v
}

// in reports whether all whose ports are in a variable run, and have their names, in a
// mode.
func (v Variable) in(mode string) bool {
	return (mode != settings.ModeHost || !v.Docker) && (mode != settings.ModeContainer || !v.Native && !v.Ambiguous)
}

// export has a shell set the variable.
func (v Variable) export() string {
	value := strings.ReplaceAll(v.Value, "$$", "\x00")
	value = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "\x00", `\$`).Replace(value)
	return "export " + v.Name + `="` + value + `"; `
}
