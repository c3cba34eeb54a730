package settings

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ecluse/steps/config"
	"ecluse/steps/dotenv"
	"ecluse/steps/port"
)

var (
	// NamePattern is what a prefix and a service may be called: both become
	// parts of names in Docker.
	NamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	envPattern  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
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

// Validator reports everything that is wrong with a configuration, each problem at
// its key.
type Validator struct {
	Config
	*config.Problems
	// root is the main worktree.
	root string
}

// whole adds what is wrong with the keys of a configuration that was settled. It is
// false where there is so much that nothing more is to be looked at.
func (v Validator) whole() bool {
	v.top()
	for key, n := range map[string]int{"env": len(v.Env), "services": len(v.Services), "inherit_env": len(v.InheritEnv), "databases": len(v.Databases), "compose.file": len(v.Compose.File), "steps": len(v.Steps)} {
		if n > maxEntries {
			v.Sayf(key, "%s has %d entries; it takes %d", key, n, maxEntries)
			return false
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
	return true
}

// say adds a problem unless message is empty.
func (v Validator) say(key, message string) {
	if message != "" {
		v.Invalid(key, message)
	}
}

// Sayf adds a problem.
func (v Validator) Sayf(key, format string, args ...any) {
	v.Invalid(key, fmt.Sprintf(format, args...))
}

// zero refuses a text with a zero byte: no program can be given one, and no file has
// one in its name.
func (v Validator) zero(key string, texts ...string) {
	for _, text := range texts {
		if strings.ContainsRune(text, 0) {
			v.Invalid(key, "there is a zero byte in it, which no program can be given; remove \\u0000")
			return
		}
	}
}

// zeros looks for them where no other check does.
func (v Validator) zeros() {
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

// WrongMode says what is wrong with a mode, or nothing.
func WrongMode(mode string) string {
	if slices.Contains([]string{ModeContainer, ModeHost, ModeHybrid}, mode) {
		return ""
	}
	return fmt.Sprintf("mode is %q; it takes container, host or hybrid", mode)
}

// WrongPrefix says what is wrong with a prefix, or nothing.
func WrongPrefix(prefix string) string {
	if NamePattern.MatchString(prefix) {
		return ""
	}
	return fmt.Sprintf("prefix is %q; it takes a-z, 0-9, - and _, and begins with a letter or digit", prefix)
}

// WrongMaxSlots says what is wrong with a number of slots, or nothing.
func WrongMaxSlots(slots int) string { return beyond("max_slots", slots, 1, maxSlots) }

// beyond says that a number is not from low to high, or nothing.
func beyond(name string, n, low, high int) string {
	if low <= n && n <= high {
		return ""
	}
	return fmt.Sprintf("%s is %d; it takes %d to %d", name, n, low, high)
}

// top checks the keys that belong to no table.
func (v Validator) top() {
	if v.Mode == "" && !v.Has("mode") {
		v.Invalid("mode", "mode is missing; it takes container, host or hybrid")
	} else {
		v.say("mode", WrongMode(v.Mode))
	}
	v.say("prefix", WrongPrefix(v.Prefix))
	v.say("max_slots", WrongMaxSlots(v.MaxSlots))
	v.say("port_search_range", beyond("port_search_range", v.PortSearchRange, 0, 255))
	v.say("slot_stride", beyond("slot_stride", v.SlotStride, 0, 255))
	dir := filepath.Clean(v.WorktreeDir)
	first, _, _ := strings.Cut(dir, "/")
	switch {
	case v.WorktreeDir == "", dir == ".", filepath.IsAbs(dir), first == ".git", strings.HasPrefix(first, "~"):
		v.Sayf("worktree_dir", "worktree_dir is %q; it takes a folder, relative to the repository, such as .ecluse/worktrees or ../worktrees", v.WorktreeDir)
	case strings.ContainsAny(dir, "\x00\n\r"):
		v.Invalid("worktree_dir", "worktree_dir has a line break in it")
	}
}

// inherit checks what a session gets of the main worktree.
func (v Validator) inherit() {
	seen := map[string]bool{}
	for i, entry := range v.InheritEnv {
		key := fmt.Sprintf("inherit_env.%d", i)
		file := filepath.Clean(entry.Value.File)
		first, _, _ := strings.Cut(file, "/")
		switch {
		case entry.Value.File == "":
			v.Invalid(key, "an entry needs a file: \".env\" or { file = \".env\", mode = \"copy\" }")
		case !filepath.IsLocal(file), file == ".":
			v.Sayf(key, "%q is not a file or folder inside the repository", entry.Value.File)
		case first == ".git", file == EnvFile:
			v.Sayf(key, "%q is every worktree's own", entry.Value.File)
		case strings.HasPrefix(filepath.Clean(v.WorktreeDir)+"/", file+"/"):
			v.Sayf(key, "%q holds the worktrees themselves (worktree_dir)", entry.Value.File)
		case seen[file]:
			v.Sayf(key, "%q is inherited twice", entry.Value.File)
		}
		seen[file] = true
		v.zero(key, file)
		if !slices.Contains([]string{"", InheritLink, InheritCopy, InheritReflink}, entry.Value.Mode) {
			v.Sayf(key+".mode", "mode is %q; it takes symlink, copy or reflink", entry.Value.Mode)
		}
	}
}

// env checks the table of variables, but for what they refer to.
func (v Validator) env() {
	for name, value := range v.Env {
		if wrong := WrongVariable(name); wrong != "" {
			v.Misnamed("env."+name, wrong)
		} else if _, err := dotenv.Marshal(map[string]string{name: value}); err != nil {
			v.Invalid("env."+name, err.Error())
		}
	}
}

// WrongVariable says why something cannot name a variable of the user's, or
// nothing.
func WrongVariable(name string) string {
	switch {
	case !envPattern.MatchString(name):
		return fmt.Sprintf("%q cannot name a variable", name)
	case slices.Contains(reserved, name):
		return name + " is what a session is known by, and cannot be set"
	}
	return ""
}

// hooks checks the hooks that the file has, also those under an old name.
func (v Validator) hooks() {
	for name, hook := range map[string]*config.OneOrTable[Hook]{
		"pre_up": v.Hooks.PreUp, "pre_spawn": v.Hooks.PreSpawn, "post_up": v.Hooks.PostUp, "pre_down": v.Hooks.PreDown,
		"post_down": v.Hooks.PostDown, "on_up": v.Hooks.OnUp, "on_down": v.Hooks.OnDown,
	} {
		key := "hooks." + name
		if hook == nil || !v.Has(key) {
			continue
		}
		if strings.TrimSpace(hook.Value.Run) == "" {
			v.Sayf(key, "%s has no command; give it one or remove it", name)
		}
		v.zero(key, hook.Value.Run)
		v.say(key+".retries", beyond("retries", hook.Value.Retries, 0, maxRetries))
		if down := name == "pre_down" || name == "post_down" || name == "on_down"; down && hook.Value.BestEffort {
			v.Sayf(key+".best_effort", "%s takes no best_effort: what it is to take back would stay unseen; `ecluse down --no-hooks` goes on without it", name)
		}
		for i, input := range hook.Value.Inputs {
			v.zero(fmt.Sprintf("%s.inputs.%d", key, i), input)
			if !filepath.IsLocal(input) {
				v.Sayf(fmt.Sprintf("%s.inputs.%d", key, i), "%q does not stay inside the worktree", input)
			}
		}
	}
}

// inside checks the path of a file that must not lead out of the repository, also
// not through links that are there.
func (v Validator) inside(key, path string) {
	if path == "" {
		if v.Has(key) {
			v.Sayf(key, "%s is empty; name a file or remove it", key[strings.LastIndexByte(key, '.')+1:])
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
		v.Sayf(key, "%q does not stay inside the repository", path)
	}
}

// layout checks the host ports of all services together.
func (v Validator) layout() {
	var bases []port.Base
	var keys []string
	add := func(key, name string, base int) {
		if base > 0 && base <= port.Max { // anything else was reported
			bases, keys = append(bases, port.Base{Name: name, Port: base}), append(keys, key)
		}
	}
	named := map[string]bool{}
	for i, s := range v.Services {
		if named[s.Name] {
			continue // the name was reported; the port is wrong with it, or may be
		}
		named[s.Name] = true
		key := fmt.Sprintf("services.%d.", i)
		switch {
		case !s.Publishes():
		case s.HostPort != 0:
			add(key+"host_port", s.Name, s.HostPort)
		default:
			add(key+"base_port", s.Name, s.BasePort)
		}
		for j, extra := range s.ExtraPorts {
			add(extraKey(s, i, j), s.ExtraName(j), extra.BasePort)
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
