package detect

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"ecluse/steps/docker"
	"ecluse/steps/port"
	"ecluse/steps/settings"
)

// Found lists the services that were found, as they are written for a mode: with names
// and ports that differ.
func (l Look) Found(mode string) []Found {
	list := l.containers(mode)
	if mode != settings.ModeContainer {
		list = append(list, l.natives(mode)...)
	}
	slices.SortStableFunc(list, byDoubt) // what is only suggested is in nobody's way
	var bases []port.Base
	for i := range list {
		base, ok := l.free(bases, list[i].HostBase())
		switch {
		case base == 0: // a worker
			continue
		case !ok:
			return list // there are too many; validation says so
		}
		bases = append(bases, port.Base{Port: base})
		if list[i].Native() {
			list[i].BasePort = base
		} else if base != list[i].BasePort {
			list[i].HostPort = base
		}
	}
	return list
}

// free is the port that a service can have beside others: the one that it asks for, or
// the next that is far enough from all of them.
func (l Look) free(bases []port.Base, asked int) (base int, ok bool) {
	base = asked
	for base != 0 && !l.fits(append(slices.Clone(bases), port.Base{Port: base})) {
		base = (base/100 + 1) * 100
		if low, _ := settings.Ephemeral(); base >= low && low > 0 || base > port.Max {
			base = 10000 // where the search began was too high
		}
		if len(bases) > 0 && base == asked {
			return base, false
		}
	}
	return base, true
}

// fits reports whether the last of these can be with all others, without a warning.
func (l Look) fits(bases []port.Base) bool {
	const privileged = 1024
	def := settings.Defaults()
	last := bases[len(bases)-1].Port
	low, high := settings.Ephemeral()
	slots := l.MaxSlots
	if slots == 0 {
		slots = def.MaxSlots
	}
	return last >= privileged && (last < low || last > high) &&
		len(port.CheckLayout(bases, slots, def.SlotStride, def.PortSearchRange)) == 0
}

// byDoubt puts what is in force before what is not.
func byDoubt(a, b Found) int { return min(len(a.Doubt), 1) - min(len(b.Doubt), 1) }

// natives are the native services that were found. Only the first is known to its
// command by PORT; the others get theirs under the same name.
func (l Look) natives(mode string) []Found {
	list := slices.Clone(l.Natives)
	slices.SortStableFunc(list, byDoubt)
	for i := range list {
		command := list[i].Command
		if list[i].Dir != "" {
			command = "cd " + list[i].Dir + " && " + command
		}
		for _, v := range list[i].Env {
			if v.in(mode) && v.Doubt == "" {
				command = v.export() + command
			}
		}
		if i > 0 && list[i].BasePort != 0 {
			command = fmt.Sprintf("export PORT=$ECLUSE_%s_PORT; %s", settings.EnvKey(list[i].Name), command)
		}
		list[i].Command = command
	}
	return list
}

// containers are the services that run in Docker and must be named for that: in hybrid
// mode those beside the application, and in container mode, as soon as there is a
// compose file below the root, at least one of each file.
func (l Look) containers(mode string) []Found {
	if mode == settings.ModeHost || mode == settings.ModeContainer && !slices.ContainsFunc(l.Composed, func(c Composed) bool { return c.Doubt == "" }) {
		return nil
	}
	var list []Found
	for _, c := range l.files() {
		named := l.usable(mode, c)
		if mode == settings.ModeContainer && c.Doubt == "" && slices.ContainsFunc(c.Services, func(one docker.Surveyed) bool { return l.ambiguous(one.Name) }) {
			named = l.representative(named, list)
		}
		for _, f := range named {
			if !slices.ContainsFunc(list, f.clashes) && (c.Doubt == "" || !l.taken(f.Name)) {
				list = append(list, f)
			}
		}
	}
	return list
}

// usable are the services of a compose file that can be named.
func (l Look) usable(mode string, c Composed) []Found {
	var list []Found
	for _, one := range c.Services {
		if f, ok := inDocker(one, mode); ok {
			f.Compose, f.Doubt = c.File, c.Doubt
			if c.File != "" {
				f.From = c.File + ", " + f.From
			}
			list = append(list, f)
		}
	}
	return list
}

// representative is the service that is named of a file whose others start with it:
// one whose name no other file has, else one that is not named yet.
func (l Look) representative(of, named []Found) []Found {
	for _, f := range of {
		if !l.ambiguous(f.Name) {
			return []Found{f}
		}
	}
	for _, f := range of {
		if !slices.ContainsFunc(named, f.clashes) {
			return []Found{f}
		}
	}
	return nil
}

// clashes reports whether two services cannot have the names that they have.
func (f Found) clashes(o Found) bool { return settings.EnvKey(f.Name) == settings.EnvKey(o.Name) }

// inDocker is a service that runs in Docker; while the application does not, what the
// repository builds is taken for that.
func inDocker(c docker.Surveyed, mode string) (Found, bool) {
	s := settings.Service{Name: c.Name, Run: settings.RunDocker}
	for _, p := range c.Published {
		if p.Protocol == "tcp" && s.BasePort == 0 {
			s.BasePort = p.Container
			if p.Base != 0 && p.Base != p.Container {
				s.HostPort = p.Base
			}
		}
	}
	switch {
	case s.BasePort != 0 || mode == settings.ModeContainer:
	case len(c.Exposed) > 0:
		s.BasePort = c.Exposed[0]
	default:
		s.BasePort = imagePort(c.Image)
	}
	from := "image " + c.Image
	if c.Image == "" {
		from = "built"
	}
	usable := settings.NamePattern.MatchString(c.Name) && (mode == settings.ModeContainer || !c.Built && !appLabelled(c))
	return Found{Service: s, From: from}, usable
}

// services writes the services that were found.
func (l Look) services(mode string) string {
	var b strings.Builder
	list := l.Found(mode)
	for _, f := range list {
		mark := ""
		from := f.From
		if f.Doubt != "" {
			mark, from = "#", fmt.Sprintf("%s (not in force: %s)", from, f.Doubt)
		}
		fmt.Fprintf(&b, "\n# %s\n%s[[services]]\n", comment(from), mark)
		line := func(there bool, key string, v any) {
			if there {
				fmt.Fprintf(&b, "%s%s = %s\n", mark, key, quote(v))
			}
		}
		line(true, "name", f.Name)
		line(!f.Native(), "run", f.Run)
		line(f.Compose != "", "compose", f.Compose)
		line(f.BasePort != 0, "base_port", f.BasePort)
		line(f.HostPort != 0, "host_port", f.HostPort)
		line(f.Command != "", "command", f.Command)
		if f.Ready.Timeout != nil {
			fmt.Fprintf(&b, "%sready = { tcp = true, timeout = %s } # it is compiled first\n", mark, quote(f.Ready.Timeout))
		}
	}
	for _, c := range l.files() {
		if mode == settings.ModeHost || mode == settings.ModeContainer && len(list) == 0 {
			break
		}
		why := l.left(mode, c, list)
		for _, reason := range slices.Sorted(maps.Keys(why)) {
			fmt.Fprintf(&b, "\n# %s: %s of %s.\n", reason, comment(strings.Join(why[reason], ", ")), comment(cmp.Or(c.File, l.ComposeFile)))
		}
	}
	return b.String()
}

// Why a service of a compose file is not in the configuration.
const (
	leftNative = "Not in Docker, because the application is native"
	leftTaken  = "Not in a session, because another service has the name"
	leftNamed  = "Not in a session, because it cannot be named here"
	leftBeside = "Not named here, and started with the others"
)

// left tells why services of a compose file are not in the configuration, if it is one
// of which some are.
func (l Look) left(mode string, c Composed, list []Found) map[string][]string {
	why := map[string][]string{}
	in := func(f Found) bool { return !f.Native() && f.Compose == c.File }
	for _, one := range c.Services {
		reason := leftNamed
		switch {
		case slices.ContainsFunc(list, func(f Found) bool { return f.Name == one.Name && in(f) }):
			continue
		case mode == settings.ModeContainer && slices.ContainsFunc(list, in):
			reason = leftBeside
		case mode == settings.ModeHybrid && (one.Built || appLabelled(one)):
			reason = leftNative
		case settings.NamePattern.MatchString(one.Name):
			reason = leftTaken
		}
		why[reason] = append(why[reason], one.Name)
	}
	return why
}

// Uncomposed warns where there are compose files, and no Compose to start them.
func (l Look) Uncomposed(mode string, on Machine) []string {
	file := l.ComposeFile
	if file == "" && len(l.Composed) > 0 {
		file = l.Composed[0].File
	}
	switch {
	case !on.NoCompose || file == "":
		return nil
	case mode == settings.ModeHost:
		return []string{fmt.Sprintf("a Docker engine answers, but Docker Compose is missing, so nothing of %s will be in a session; to change that install Compose 2 or later, and run `ecluse init --force`", file)}
	default:
		return []string{fmt.Sprintf("a Docker engine answers, but Docker Compose is missing, and mode %s needs it; install Compose 2 or later", mode)}
	}
}

// Missing warns of services that a session lacks.
func (l Look) Missing(mode string) []string {
	var warnings []string
	list := l.Found(mode)
	for _, c := range l.Composed {
		if names := l.left(mode, c, list)[leftTaken]; mode != settings.ModeHost && c.Doubt == "" && len(names) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s of %s will not be in a session, because another service has the name; give it one of its own there", strings.Join(names, ", "), c.File))
		}
	}
	return warnings
}

// hooks puts what was found into the section of the hooks.
func (l Look) hooks(section, mode string) string {
	if len(l.After) > 0 {
		section = strings.Replace(section, `#post_up = "make seed"`, "#post_up = "+quote(strings.Join(l.After, " && ")), 1)
	}
	if !l.prepares(mode) {
		return section
	}
	var runs, inputs []string
	for _, p := range l.Prepare {
		runs, inputs = append(runs, p.Run), append(inputs, p.Inputs...)
	}
	var lines []string
	for line := range strings.Lines(section) {
		switch {
		case line == "#[hooks]\n":
			line = "[hooks]\n"
		case strings.HasPrefix(line, "#pre_spawn"):
			line = fmt.Sprintf("pre_spawn = { run = %s, inputs = %s }\n", quote(strings.Join(runs, " && ")), quote(inputs))
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// env puts what was found into the section of the variables.
func (l Look) env(section, mode string) string {
	for _, v := range l.Env {
		if v.in(mode) && v.Doubt != "" {
			section += v.suggested()
		} else if v.in(mode) {
			section = strings.Replace(section, "#[env]\n", "[env]\n", 1)
			section += v.Name + " = " + quote(v.Value) + "\n"
		}
	}
	return section
}

// published says what a session publishes of the compose file, in container mode.
func (l Look) published() string {
	var lines []string
	for _, c := range l.Compose {
		for _, p := range c.Published {
			if p.Base != 0 {
				lines = append(lines, fmt.Sprintf("#   %s: %d and so on, for port %d/%s\n", comment(p.Name), p.Base+1, p.Container, p.Protocol))
			}
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return "\n# What " + comment(filepath.Base(l.ComposeFile)) + " publishes is published by each session, from slot 1 on, at:\n" + strings.Join(lines, "")
}

// comment is a text that stays in its line.
func comment(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// quote is a value as TOML spells it.
func quote(v any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // into memory
	text := strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
	return strings.ReplaceAll(text, `","`, `", "`)
}
