package detect

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"ecluse/steps/docker"
	"ecluse/steps/port"
	"ecluse/steps/settings"
)

// placed gives the services that were found, in this mode, the ports that they can
// have: those that they ask for, or the next that are far enough from all others.
func (l Look) placed(mode string) []Found {
	var list []Found
	if mode == settings.ModeHybrid {
		for _, c := range l.Compose {
			if f, ok := inDocker(c); ok {
				list = append(list, f)
			}
		}
	}
	if mode != settings.ModeContainer {
		list = append(list, l.natives()...)
	}
	var bases []port.Base
	for i := range list {
		base := list[i].HostBase()
		if base == 0 {
			continue // a worker
		}
		for !l.fits(append(bases, port.Base{Port: base})) {
			base = (base/100 + 1) * 100
			if low, _ := settings.Ephemeral(); base >= low && low > 0 || base > port.Max {
				base = 10000 // where the search began was too high
			}
			if len(bases) > 0 && base == list[i].HostBase() {
				return list // there are too many; validation says so
			}
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

// fits reports whether the last of these can be with all others, without a warning.
func (l Look) fits(bases []port.Base) bool {
	const privileged = 1024
	def := settings.Defaults()
	last := bases[len(bases)-1].Port
	low, high := settings.Ephemeral()
	return last >= privileged && (last < low || last > high) &&
		len(port.CheckLayout(bases, l.MaxSlots, def.SlotStride, def.PortSearchRange)) == 0
}

// natives are the native services that were found. Only the first is known to its
// command by PORT; the others get theirs under the same name.
func (l Look) natives() []Found {
	list := slices.Clone(l.Natives)
	slices.SortStableFunc(list, func(a, b Found) int { return min(len(a.Doubt), 1) - min(len(b.Doubt), 1) })
	for i := range list {
		if i > 0 && list[i].BasePort != 0 {
			list[i].Command = fmt.Sprintf("export PORT=$ECLUSE_%s_PORT; %s", settings.EnvKey(list[i].Name), list[i].Command)
		}
	}
	return list
}

// inDocker is a service that runs in Docker while the application does not; what the
// repository builds is taken for the application.
func inDocker(c docker.Surveyed) (Found, bool) {
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
	case s.BasePort != 0:
	case len(c.Exposed) > 0:
		s.BasePort = c.Exposed[0]
	default:
		s.BasePort = imagePort(c.Image)
	}
	usable := !c.Built && !appLabelled(c) && settings.NamePattern.MatchString(c.Name)
	return Found{Service: s, From: "image " + c.Image}, usable
}

// services writes the services that were found.
func (l Look) services(mode string) string {
	var b strings.Builder
	list := l.placed(mode)
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
		line(f.BasePort != 0, "base_port", f.BasePort)
		line(f.HostPort != 0, "host_port", f.HostPort)
		line(f.Command != "", "command", f.Command)
		if f.Ready.Timeout != nil {
			fmt.Fprintf(&b, "%sready = { tcp = true, timeout = %s } # it is compiled first\n", mark, quote(f.Ready.Timeout))
		}
	}
	if mode == settings.ModeHybrid {
		b.WriteString(l.left(list))
	}
	return b.String()
}

// left names the services of the compose file that are not in the configuration.
func (l Look) left(list []Found) string {
	var built, others []string
	for _, c := range l.Compose {
		switch {
		case slices.ContainsFunc(list, func(f Found) bool { return f.Name == c.Name && !f.Native() }):
		case c.Built || appLabelled(c):
			built = append(built, c.Name)
		default:
			others = append(others, c.Name)
		}
	}
	text := ""
	if len(built) > 0 {
		text += fmt.Sprintf("\n# Not in Docker, because the application is native: %s of %s.\n", comment(strings.Join(built, ", ")), comment(l.ComposeFile))
	}
	if len(others) > 0 {
		text += fmt.Sprintf("\n# Not in a session, because it cannot be named here: %s of %s.\n", comment(strings.Join(others, ", ")), comment(l.ComposeFile))
	}
	return text
}

// hooks puts what was found into the section of the hooks.
func (l Look) hooks(section, mode string) string {
	if len(l.After) > 0 {
		section = strings.Replace(section, `#post_up = "make seed"`, "#post_up = "+quote(strings.Join(l.After, " && ")), 1)
	}
	natives := slices.ContainsFunc(l.Natives, func(f Found) bool { return f.Doubt == "" })
	if len(l.Prepare) == 0 || mode == settings.ModeContainer || !natives {
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
	if len(l.Env) == 0 || mode == settings.ModeHost {
		return section
	}
	section = strings.Replace(section, "#[env]\n", "[env]\n", 1)
	for _, v := range l.Env {
		section += v.Name + " = " + quote(v.Value) + "\n"
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
