package docker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ecluse/steps/run"
)

// Engine is the docker command line and the engine behind it, at one place.
type Engine struct {
	place Place
	// unmet: the engine has not answered yet, see [At].
	unmet atomic.Bool
}

// openPatience is how long an engine may take to say that it is there. One that
// hangs counts as one that does not answer.
const openPatience = 20 * time.Second

// anywhere is the folder in which docker is run when it needs none. It is always
// there, which a worktree is not.
const anywhere = "/"

// Open finds docker and asks the engine of this environment whether it is there.
// The error wraps [ErrMissing] or [ErrUnreachable].
func Open(ctx context.Context) (*Engine, error) { return OpenAt(ctx, Place{}) }

// OpenAt is [Open] for the engine at a place, whatever the environment says.
func OpenAt(ctx context.Context, place Place) (*Engine, error) {
	e := &Engine{place: place}
	if err := e.answers(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// Check looks whether docker, Docker Compose and the engine are there, before
// anything is made that needs them.
func Check(ctx context.Context) error {
	e, err := Open(ctx)
	if err != nil {
		return err
	}
	_, err = e.compose(ctx)
	return err
}

// Installed looks whether docker and Docker Compose are there. Whether the engine is,
// the first question to it tells, see [At].
func Installed(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); errors.Is(err, exec.ErrNotFound) {
		return meaning(err)
	}
	_, err := (&Engine{}).compose(ctx)
	return err
}

// foundCompose is the command that is Docker Compose, once this process has found it.
var foundCompose struct {
	sync.Mutex
	command []string
}

// plugin is what Docker Compose most often is.
var plugin = []string{"docker", "compose"}

// compose is the command that is Docker Compose.
func (e *Engine) compose(ctx context.Context) ([]string, error) {
	foundCompose.Lock()
	defer foundCompose.Unlock()
	if foundCompose.command != nil {
		return foundCompose.command, nil
	}
	var err error
	foundCompose.command, err = findCompose(ctx, e.place)
	return foundCompose.command, err
}

// foundOrPlugin is the command that was found, else the plugin.
func foundOrPlugin() []string {
	foundCompose.Lock()
	defer foundCompose.Unlock()
	if foundCompose.command != nil {
		return foundCompose.command
	}
	return plugin
}

// findCompose finds Docker Compose: the plugin, or a program of its own that is
// not the first Compose, which knows nothing of what is needed.
func findCompose(ctx context.Context, place Place) ([]string, error) {
	env := append(plainCompose[:len(plainCompose):len(plainCompose)], place.env()...)
	for _, command := range [][]string{plugin, {"docker-compose"}} {
		out, err := run.Command{
			Dir: anywhere, Name: command[0], Args: append(command[1:len(command):len(command)], "version", "--short"), Env: env,
		}.Output(ctx)
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if err != nil {
			continue
		}
		major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), ".")
		if n, err := strconv.Atoi(major); err == nil && n >= 2 {
			return command, nil
		}
	}
	return nil, composeMissing{}
}

// plainCompose keeps what the user set for their own use of Compose from changing
// ours. Everything that could be asked is answered by the file that it is given.
var plainCompose = []string{
	"COMPOSE_FILE=", "COMPOSE_PROFILES=", "COMPOSE_ENV_FILES=", "COMPOSE_DISABLE_ENV_FILE=1", "COMPOSE_IGNORE_ORPHANS=0",
	"COMPOSE_ANSI=never", "COMPOSE_PROGRESS=plain", "COMPOSE_MENU=0", "COMPOSE_STATUS_STDOUT=0", "BUILDKIT_PROGRESS=plain",
	"DOCKER_CLI_HINTS=false",
}

// docker runs the docker command line and returns what it wrote to stdout.
func (e *Engine) docker(ctx context.Context, args ...string) ([]byte, error) {
	if e.unmet.Load() {
		return e.meet(ctx, args)
	}
	return e.ask(ctx, args)
}

// ask runs the docker command line, whether or not the engine has ever answered.
func (e *Engine) ask(ctx context.Context, args []string) ([]byte, error) {
	env := append([]string{"DOCKER_CLI_HINTS=false"}, e.place.env()...)
	out, err := run.Command{Dir: anywhere, Name: "docker", Args: args, Env: env}.Output(ctx)
	return out, meaning(err)
}

// lines runs docker and splits what it wrote.
func (e *Engine) lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := e.docker(ctx, args...)
	var list []string
	for scanner := bufio.NewScanner(bytes.NewReader(out)); scanner.Scan(); {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			list = append(list, line)
		}
	}
	return list, err
}

// composed is a call of Docker Compose for a project. With a file, dir is the
// folder of the project.
func (e *Engine) composed(ctx context.Context, p Project, args ...string) (run.Command, error) {
	command, err := e.compose(ctx)
	if err != nil {
		return run.Command{}, err
	}
	return e.by(command, p, args...), nil
}

// by is a call of a command that is Docker Compose.
func (e *Engine) by(command []string, p Project, args ...string) run.Command {
	all := append(command[1:len(command):len(command)], "--project-name", p.Name)
	if p.File != "" {
		all = append(all, "--file", p.File, "--project-directory", p.Dir)
	}
	env := append(plainCompose[:len(plainCompose):len(plainCompose)], p.Env...)
	return run.Command{Dir: anywhere, Name: command[0], Args: append(all, args...), Env: append(env, e.place.env()...)}
}

// Project is a compose project.
type Project struct {
	// Name is the project's name.
	Name string
	// File is its private compose file; empty when only the name is known.
	File string
	// Dir is the project directory.
	Dir string
	// Env are variables that the file's secrets are taken from.
	Env []string
}

// unreachable are the words in which docker says that the engine does not answer.
var unreachable = []string{
	"Cannot connect to the Docker daemon", "error during connect", "Is the docker daemon running",
	"permission denied while trying to connect", "failed to connect to the docker API",
}

// noContext reports whether these are the words in which docker says that there is no such
// context, of whatever version.
func noContext(text string) bool {
	return strings.Contains(text, "context not found") || strings.Contains(text, "is not found on the file system") ||
		strings.Contains(text, "context") && strings.Contains(text, "does not exist")
}

// meaning tells what is wrong with docker itself from what is wrong with what it
// was asked for.
func meaning(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return worded{ErrMissing.Error() + "; install it, or put its folder on PATH: https://docs.docker.com/engine/install/", errors.Join(ErrMissing, err)}
	}
	text := said(err)
	for _, words := range unreachable {
		if strings.Contains(text, words) {
			return fmt.Errorf("%w: %w", ErrUnreachable, bare(err))
		}
	}
	return hinted(err, text)
}

// said is the end of what a program wrote.
func said(err error) string {
	var failed *run.Error
	if errors.As(err, &failed) {
		return failed.Tail
	}
	return ""
}

// bare is what docker said, without the command that it was asked with.
func bare(err error) error {
	if text := strings.TrimSpace(said(err)); text != "" {
		return worded{text: text, err: err}
	}
	return err
}

// hinted puts before docker's own words what they mean for the user.
func hinted(err error, text string) error {
	switch {
	case strings.Contains(text, "non-overlapping IPv4 address pool"), strings.Contains(text, "all predefined address pools have been fully subnetted"):
		return fmt.Errorf("%w; end a session, or remove networks that nobody uses: docker network prune: %w", ErrPool, err)
	case strings.Contains(text, "port is already allocated"), strings.Contains(text, "address already in use"):
		return portTaken(text, err)
	default:
		return err
	}
}
