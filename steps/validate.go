package steps

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/dotenv"
	"ecluse/steps/port"
)

var (
	// namePattern is what a prefix and a service may be called: both become
	// parts of names in Docker.
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	envPattern  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// leasedPattern are the variables of ports, of which those of a compose
	// file are not known beforehand.
	leasedPattern    = regexp.MustCompile(`^ECLUSE_[A-Z0-9_]+_PORT$`)
	referencePattern = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
)

// reserved are the variables by which ecluse, and Compose, know a session.
var reserved = []string{
	EnvSession, EnvStep, EnvRun, EnvAttempt, "ECLUSE_SLOT", "ECLUSE_SLUG", "ECLUSE_MODE",
	"ECLUSE_BRANCH", "ECLUSE_WORKTREE", "ECLUSE_ROOT", "COMPOSE_PROJECT_NAME",
}

// The limits of what a configuration may say.
const (
	maxSlots   = 255
	maxRetries = 100
	// maxEntries bounds the entries of [env], [[services]] and lists of files:
	// their checks, and what becomes of them, are not made for more.
	maxEntries = 1000
	// maxPattern bounds a regular expression, in bytes.
	maxPattern = 4096
)

// validator reports everything that is wrong with a configuration, each problem at
// its key.
type validator struct {
	Config
	*config.Problems
	// root is the main worktree.
	root string
}

// validate adds what is wrong with a configuration that was settled.
func (c Config) validate(p *config.Problems, root string) {
	v := validator{c, p, root}
	v.top()
	for key, n := range map[string]int{"env": len(c.Env), "services": len(c.Services), "inherit_env": len(c.InheritEnv), "databases": len(c.Databases), "compose.file": len(c.Compose.File), "steps": len(c.Steps)} {
		if n > maxEntries {
			v.sayf(key, "%s has %d entries; it takes %d", key, n, maxEntries)
			return
		}
	}
	v.zeros()
	v.inherit()
	v.env()
	v.hooks()
	v.composeFiles()
	v.services()
	v.databases()
	v.userSteps()
	v.layout()
}

// say adds a problem unless message is empty.
func (v validator) say(key, message string) {
	if message != "" {
		v.Invalid(key, message)
	}
}

// sayf adds a problem.
func (v validator) sayf(key, format string, args ...any) {
	v.Invalid(key, fmt.Sprintf(format, args...))
}

// zero refuses a text with a zero byte: no program can be given one, and no file has
// one in its name.
func (v validator) zero(key string, texts ...string) {
	for _, text := range texts {
		if strings.ContainsRune(text, 0) {
			v.Invalid(key, "there is a zero byte in it, which no program can be given; remove \\u0000")
			return
		}
	}
}

// zeros looks for them where no other check does.
func (v validator) zeros() {
	for i, s := range v.Services {
		at := fmt.Sprintf("services.%d.", i)
		v.zero(at+"command", s.Command)
		v.zero(at+"ready.command", s.Ready.Command)
		v.zero(at+"ready.http", s.Ready.HTTP)
	}
	v.zero("compose.file", v.Compose.File...)
	v.zero("compose.profiles", v.Compose.Profiles...)
	v.zero("app_label", v.AppLabel)
	v.zero("app_label_value", v.AppLabelValue)
}

// wrongMode, wrongPrefix and wrongMax say what is wrong with a value, or nothing.
func wrongMode(mode string) string {
	if slices.Contains([]string{ModeContainer, ModeHost, ModeHybrid}, mode) {
		return ""
	}
	return fmt.Sprintf("mode is %q; it takes container, host or hybrid", mode)
}

func wrongPrefix(prefix string) string {
	if namePattern.MatchString(prefix) {
		return ""
	}
	return fmt.Sprintf("prefix is %q; it takes a-z, 0-9, - and _, and begins with a letter or digit", prefix)
}

func wrongMax(slots int) string { return beyond("max_slots", slots, 1, maxSlots) }

// beyond says that a number is not from low to high, or nothing.
func beyond(name string, n, low, high int) string {
	if low <= n && n <= high {
		return ""
	}
	return fmt.Sprintf("%s is %d; it takes %d to %d", name, n, low, high)
}

// top checks the keys that belong to no table.
func (v validator) top() {
	if v.Mode == "" && !v.Has("mode") {
		v.Invalid("mode", "mode is missing; it takes container, host or hybrid")
	} else {
		v.say("mode", wrongMode(v.Mode))
	}
	v.say("prefix", wrongPrefix(v.Prefix))
	v.say("max_slots", wrongMax(v.MaxSlots))
	v.say("port_search_range", beyond("port_search_range", v.PortSearchRange, 0, 255))
	v.say("slot_stride", beyond("slot_stride", v.SlotStride, 0, 255))
	dir := filepath.Clean(v.WorktreeDir)
	first, _, _ := strings.Cut(dir, "/")
	switch {
	case v.WorktreeDir == "", dir == ".", filepath.IsAbs(dir), first == ".git", strings.HasPrefix(first, "~"):
		v.sayf("worktree_dir", "worktree_dir is %q; it takes a folder, relative to the repository, such as .ecluse/worktrees or ../worktrees", v.WorktreeDir)
	case strings.ContainsAny(dir, "\x00\n\r"):
		v.Invalid("worktree_dir", "worktree_dir has a line break in it")
	}
}

// inherit checks what a session gets of the main worktree.
func (v validator) inherit() {
	seen := map[string]bool{}
	for i, entry := range v.InheritEnv {
		key := fmt.Sprintf("inherit_env.%d", i)
		file := filepath.Clean(entry.Value.File)
		first, _, _ := strings.Cut(file, "/")
		switch {
		case entry.Value.File == "":
			v.Invalid(key, "an entry needs a file: \".env\" or { file = \".env\", mode = \"copy\" }")
		case !filepath.IsLocal(file), file == ".":
			v.sayf(key, "%q is not a file or folder inside the repository", entry.Value.File)
		case first == ".git", file == EnvFile:
			v.sayf(key, "%q is every worktree's own", entry.Value.File)
		case strings.HasPrefix(filepath.Clean(v.WorktreeDir)+"/", file+"/"):
			v.sayf(key, "%q holds the worktrees themselves (worktree_dir)", entry.Value.File)
		case seen[file]:
			v.sayf(key, "%q is inherited twice", entry.Value.File)
		}
		seen[file] = true
		v.zero(key, file)
		if !slices.Contains([]string{"", modeLink, modeCopy, modeReflink}, entry.Value.Mode) {
			v.sayf(key+".mode", "mode is %q; it takes symlink, copy or reflink", entry.Value.Mode)
		}
	}
}

// knownVariables are those that [env] may refer to, without its own.
func (v validator) knownVariables() (map[string]string, error) {
	vars, err := Environment(v.early(), v.pretended())
	if err != nil {
		return nil, err
	}
	for _, d := range v.Databases {
		for _, name := range d.urlEnv() {
			vars[name] = ""
		}
	}
	for _, value := range v.Env {
		for _, match := range referencePattern.FindAllStringSubmatch(value, -1) {
			if v.Mode != ModeHost && leasedPattern.MatchString(match[1]) {
				vars[match[1]] = ""
			}
		}
	}
	return vars, nil
}

// env checks the table of variables as far as it can be known: what it refers to
// may be a port that the compose file of a branch publishes.
func (v validator) env() {
	if len(v.Env) == 0 {
		return
	}
	vars, err := v.knownVariables()
	if err != nil {
		return // without [env] there is nothing to go wrong
	}
	names := slices.Sorted(maps.Keys(v.Env))
	others := maps.Clone(vars)
	for _, name := range names {
		others[name] = ""
	}
	sound := true
	for _, name := range names {
		key, value := "env."+name, map[string]string{name: v.Env[name]}
		if wrong := wrongVariable(name); wrong != "" {
			v.Misnamed(key, wrong)
			sound = false
			continue
		}
		if _, err := dotenv.ExpandAll(value, others); err != nil {
			v.Invalid(key, err.Error())
			sound = false
		} else if _, err := dotenv.Marshal(value); err != nil {
			v.Invalid(key, err.Error())
			sound = false
		}
	}
	if _, err := dotenv.ExpandAll(v.Env, vars); err != nil && sound {
		v.Invalid("env", err.Error())
	}
}

// pretended is a session that has all the ports which the configuration names.
func (v validator) pretended() session.Session {
	s := session.Session{Mode: v.Mode, Ports: map[string]int{}}
	for _, service := range slices.Concat(v.natives(), v.Services) {
		if service.ported() {
			s.Ports[service.Name] = service.hostBase()
		}
		for i := range service.ExtraPorts {
			s.Ports[service.extraName(i)] = service.ExtraPorts[i].BasePort
		}
	}
	return s
}

// wrongVariable says why something cannot name a variable of the user's, or
// nothing.
func wrongVariable(name string) string {
	switch {
	case !envPattern.MatchString(name):
		return fmt.Sprintf("%q cannot name a variable", name)
	case slices.Contains(reserved, name):
		return name + " is what a session is known by, and cannot be set"
	}
	return ""
}

// hooks checks the hooks that the file has, also those under an old name.
func (v validator) hooks() {
	for name, hook := range map[string]*config.OneOrTable[Hook]{
		"pre_up": v.Hooks.PreUp, "pre_spawn": v.Hooks.PreSpawn, "post_up": v.Hooks.PostUp, "pre_down": v.Hooks.PreDown,
		"post_down": v.Hooks.PostDown, "on_up": v.Hooks.OnUp, "on_down": v.Hooks.OnDown,
	} {
		key := "hooks." + name
		if hook == nil || !v.Has(key) {
			continue
		}
		if strings.TrimSpace(hook.Value.Run) == "" {
			v.sayf(key, "%s has no command; give it one or remove it", name)
		}
		v.zero(key, hook.Value.Run)
		v.say(key+".retries", beyond("retries", hook.Value.Retries, 0, maxRetries))
		if down := name == "pre_down" || name == "post_down" || name == "on_down"; down && hook.Value.BestEffort {
			v.sayf(key+".best_effort", "%s takes no best_effort: what it is to take back would stay unseen; `ecluse down --no-hooks` goes on without it", name)
		}
		for i, input := range hook.Value.Inputs {
			v.zero(fmt.Sprintf("%s.inputs.%d", key, i), input)
			if !filepath.IsLocal(input) {
				v.sayf(fmt.Sprintf("%s.inputs.%d", key, i), "%q does not stay inside the worktree", input)
			}
		}
	}
}

// inside checks the path of a file that must not lead out of the repository, also
// not through links that are there.
func (v validator) inside(key, path string) {
	if path == "" {
		if v.Has(key) {
			v.sayf(key, "%s is empty; name a file or remove it", key[strings.LastIndexByte(key, '.')+1:])
		}
		return
	}
	local := filepath.IsLocal(path)
	if target, err := filepath.EvalSymlinks(filepath.Join(v.root, path)); local && err == nil {
		root, err := filepath.EvalSymlinks(v.root)
		rel, err2 := filepath.Rel(root, target)
		local = err == nil && err2 == nil && filepath.IsLocal(rel)
	}
	if !local {
		v.sayf(key, "%q does not stay inside the repository", path)
	}
}

// layout checks the host ports of all services together.
func (v validator) layout() {
	var bases []port.Base
	var keys []string
	add := func(key, name string, base int) {
		if base > 0 && base <= port.Max { // anything else was reported
			bases, keys = append(bases, port.Base{Name: name, Port: base}), append(keys, key)
		}
	}
	for i, s := range v.Services {
		key := fmt.Sprintf("services.%d.", i)
		switch {
		case !s.publishes():
		case s.HostPort != 0:
			add(key+"host_port", s.Name, s.HostPort)
		default:
			add(key+"base_port", s.Name, s.BasePort)
		}
		for j, extra := range s.ExtraPorts {
			add(extraKey(s, i, j), s.extraName(j), extra.BasePort)
		}
	}
	for _, clash := range port.CheckLayout(bases, v.MaxSlots, v.SlotStride, v.PortSearchRange) {
		v.Invalid(keys[clash.Base], clash.Message)
	}
}

// extraKey is where the base of an extra port is in the file.
func extraKey(s Service, i, j int) string {
	if s.DebugPort != 0 && j == len(s.ExtraPorts)-1 {
		return fmt.Sprintf("services.%d.debug_port", i)
	}
	return fmt.Sprintf("services.%d.extra_ports.%d.base_port", i, j)
}
