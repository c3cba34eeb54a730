package steps

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/dotenv"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// Outer is the step of a session that ecluse was started in: by a hook or a service of
// it, or by what somebody runs there. The zero one is none.
type Outer struct {
	session string
	marks   map[string]string
	// pane are the tmux variables of a session's window that ecluse was started in.
	pane map[string]string
}

// envWorktree and envSlug are in the environment of all that a session runs, and in
// [settings.EnvFile].
const (
	envWorktree = "ECLUSE_WORKTREE"
	envSlug     = "ECLUSE_SLUG"
)

// lasting are the variables that stay although a session may set them: without them
// nothing can be run, or another state is found than by who started ecluse.
var lasting = []string{
	"ECLUSE_STATE_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME", "PATH", "SHELL", "TERM", "USER", "LOGNAME", "TMPDIR",
}

// envTmux and envPane lead a program to the tmux in whose window it runs.
const (
	envTmux = "TMUX"
	envPane = "TMUX_PANE"
)

// stepMarks say of which step's attempt a program of a session is.
var stepMarks = []string{settings.EnvStep, settings.EnvRun, settings.EnvAttempt}

// markPattern matches the variables that only ecluse sets, for a session.
var markPattern = regexp.MustCompile(`^(ECLUSE_(SESSION_ID|STEP|RUN_ID|ATTEMPT|SLOT|SLUG|MODE|BRANCH|WORKTREE|ROOT|DOCKER_HOST|[A-Z0-9_]+_PORT)|COMPOSE_PROJECT_NAME)$`)

// Leave takes out of the environment of this process what is there only because ecluse
// was started inside a session: by one of its programs, or in a shell that has read its
// [settings.EnvFile]. No other session is to get it, and the end of a step of that one
// must not be the end of others' processes. What somebody has set to another value since
// stays. Find looks a session up by its id, else by its worktree, for the time in which
// there is no such file.
func Leave(find func(id, worktree string) (session.Session, bool)) Outer {
	env := map[string]string{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	pane := leavePane(env)
	id, worktree := env[settings.EnvSession], env[envWorktree]
	if id == "" && (worktree == "" || env[envSlug] == "") {
		return Outer{pane: pane}
	}
	outer := Outer{session: id, marks: map[string]string{}, pane: pane}
	for _, name := range stepMarks {
		if value, set := env[name]; set {
			outer.marks[name] = value
		}
	}
	for _, name := range leftovers(env, setFor(id, worktree, find)) {
		_ = os.Unsetenv(name) // it is the name of a variable that there is
	}
	return outer
}

// leavePane takes out what leads to the tmux of a session in whose window ecluse was
// started: a hook that asks tmux for something would act on that. The user's own tmux
// stays.
func leavePane(env map[string]string) map[string]string {
	parts := strings.Split(env[envTmux], ",") // socket, server, session
	if len(parts) < 3 {
		return nil
	}
	server, err := strconv.Atoi(parts[len(parts)-2])
	if err != nil {
		return nil
	}
	if step, _ := proc.Variable(server, settings.EnvStep); step != tmuxKind {
		return nil
	}
	pane := map[string]string{}
	for _, name := range []string{envTmux, envPane} {
		if value, set := env[name]; set {
			pane[name] = value
			_ = os.Unsetenv(name) // it is the name of a variable that there is
		}
	}
	return pane
}

// InTmux reports whether ecluse was started in a window of the tmux at a socket.
func (o Outer) InTmux(socket string) bool { return strings.HasPrefix(o.pane[envTmux], socket+",") }

// setFor are the variables of a session as its programs get them, out of the files of
// its worktree.
func setFor(id, worktree string, find func(id, worktree string) (session.Session, bool)) map[string]string {
	vars, written := map[string]string{}, false
	for _, name := range envFiles {
		if !filepath.IsAbs(worktree) {
			break
		}
		data, err := readEnvFile(filepath.Join(worktree, name))
		if err != nil {
			continue
		}
		// What cannot be read was not read by the session's programs, either.
		if parsed, err := dotenv.Parse(data); err == nil {
			maps.Copy(vars, parsed)
			written = name == settings.EnvFile
		}
	}
	if written {
		return vars
	}
	if s, found := find(id, worktree); found {
		maps.Copy(vars, workedOut(s))
	}
	return vars
}

// workedOut are the variables of a session as far as they can be worked out.
func workedOut(s session.Session) map[string]string {
	cfg, err := ConfigOf(s)
	if err != nil {
		return nil
	}
	vars, err := Environment(cfg, s)
	if err != nil { // its ports, or databases, are not there yet
		vars, err = Environment(cfg.Early(), s)
	}
	if err != nil {
		return nil
	}
	return vars
}

// leftovers are the names of the variables of env that come from the session that has
// set these. One of ecluse's own that has another value by now tells that env is of an
// earlier time than they are: then a name alone is enough.
func leftovers(env, set map[string]string) []string {
	old := false
	for name, value := range set {
		have, is := env[name]
		old = old || is && have != value && markPattern.MatchString(name)
	}
	var names []string
	for name, have := range env {
		value, is := set[name]
		if markPattern.MatchString(name) || is && (old || value == have) && !slices.Contains(lasting, name) {
			names = append(names, name)
		}
	}
	return names
}

// marked adds the marks of the step that ecluse was started in to the environment of
// another program of its session. What ecluse becomes stays in its window.
func (o Outer) marked(env map[string]string, s session.Session) {
	maps.Copy(env, o.pane)
	if o.session == s.ID {
		maps.Copy(env, o.marks)
	}
}
