package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// LoadOptions say which compose file is meant, and how it is read.
type LoadOptions struct {
	// Dir is the session's worktree, in which the file is looked for.
	Dir string
	// Project is the name of the session's compose project.
	Project string
	// Files are compose files relative to Dir, merged in order. By default
	// they are what COMPOSE_FILE says, or what Compose would find in Dir. Its
	// parents are not searched: the main worktree may be one of them. The
	// folder of the first file is the one from which relative paths count.
	Files []string
	// Profiles are active; by default those of COMPOSE_PROFILES.
	Profiles []string
	// Env holds further variables. They win over the process's environment,
	// which wins over a .env file, as with Compose. What the process has under
	// COMPOSE_ is not asked.
	Env map[string]string
	// Shallow leaves the env files of the services unread. They may not be
	// there before the session's environment was made.
	Shallow bool
	// StandIns are files that are read in the place of a .env that is not
	// there yet, by its path.
	StandIns map[string]string
	// Publish changes what is published.
	Publish []Publish
}

// Model is a compose file that was read and resolved.
type Model struct {
	project *types.Project
	dir     string
	publish []Publish
	leases  map[string]string // by service, see Qualify
	// Files are the files it was read from, without those that they include.
	Files []string
	// Warnings are what Compose would have warned of, and more.
	Warnings []string
}

// loading guards the logger of compose-go, which is the process's.
var loading sync.Mutex

// Load reads the compose file of a worktree. The error is a *FileError, or wraps
// [ErrNoFile] or [ErrOutside]. Reading that does not come to an end is left behind
// when ctx ends.
func Load(ctx context.Context, opts LoadOptions) (*Model, error) {
	var m *Model
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m, err = opts.model(ctx)
	}()
	select {
	case <-ended:
		return m, err
	case <-ctx.Done():
		return nil, fmt.Errorf("load the compose file: %w", context.Cause(ctx))
	}
}

func (opts LoadOptions) model(ctx context.Context) (*Model, error) {
	if !filepath.IsAbs(opts.Dir) {
		return nil, fmt.Errorf("load the compose file: the worktree %q is no absolute path", opts.Dir)
	}
	loading.Lock()
	defer loading.Unlock()
	said, restore := listening()
	defer restore()
	// What docker run takes as an env file; it is not among the library's formats.
	dotenv.RegisterFormat("raw", rawEnv)
	env := opts.environment()
	if len(opts.Files) == 0 {
		// It may say in COMPOSE_FILE which the files are.
		if err := opts.readEnv(env, opts.Dir); err != nil {
			return nil, err
		}
	}
	files, err := opts.files(env)
	if err != nil {
		return nil, err
	}
	if err := opts.readEnv(env, filepath.Dir(files[0])); err != nil {
		return nil, err
	}
	if err := readable(files); err != nil {
		return nil, err
	}
	project, err := opts.load(ctx, env, files)
	if err != nil {
		return nil, located(err, files)
	}
	m := &Model{project: project, dir: opts.Dir, publish: opts.Publish, Files: files, Warnings: said.messages}
	m.byService()
	return m, nil
}

// load calls the library.
func (opts LoadOptions) load(ctx context.Context, env types.Mapping, files []string) (*types.Project, error) {
	options := []cli.ProjectOptionsFn{
		cli.WithWorkingDirectory(filepath.Dir(files[0])), cli.WithName(opts.Project), cli.WithResolvedPaths(true),
		cli.WithDefaultProfiles(opts.Profiles...), cli.WithDiscardEnvFile,
	}
	if opts.Shallow {
		options = append(options, cli.WithoutEnvironmentResolution)
	}
	project, err := cli.NewProjectOptions(files, func(o *cli.ProjectOptions) error {
		o.Environment = env
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		if err := option(project); err != nil {
			return nil, err
		}
	}
	var loaded *types.Project
	inFolder(filepath.Dir(files[0]), func() { loaded, err = project.LoadProject(ctx) })
	return loaded, err
}

// listening has the library's warnings collected, which it would print. The
// function that it returns ends that.
func listening() (*listener, func()) {
	logger, said := logrus.StandardLogger(), &listener{}
	out, hooks := logger.Out, logger.ReplaceHooks(logrus.LevelHooks{logrus.WarnLevel: {said}})
	logger.SetOutput(io.Discard)
	return said, func() {
		logger.SetOutput(out)
		logger.ReplaceHooks(hooks)
	}
}

// listener collects what the library logs.
type listener struct{ messages []string }

// Levels implements logrus.Hook.
func (l *listener) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

// Fire implements logrus.Hook.
func (l *listener) Fire(e *logrus.Entry) error {
	if !slices.Contains(l.messages, e.Message) && !strings.Contains(e.Message, "attribute `version` is obsolete") {
		l.messages = append(l.messages, e.Message)
	}
	return nil
}

// environment is what variables in the file refer to, but for what a .env says.
func (opts LoadOptions) environment() types.Mapping {
	env := types.NewMapping(os.Environ())
	// What is set for somebody's own use of Compose says nothing of a session,
	// which must be the same whoever goes on with it.
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, "COMPOSE_") })
	// A file that says ${PWD} means its own folder. The process may have been
	// started anywhere.
	env["PWD"] = opts.Dir
	maps.Copy(env, opts.Env)
	return env
}

// readEnv adds what the .env of a folder says and nobody has said before.
func (opts LoadOptions) readEnv(env types.Mapping, dir string) error {
	file := filepath.Join(dir, ".env")
	if endless(file) {
		return &FileError{File: file, Err: errEndless}
	}
	if !isFile(file) {
		if file = opts.StandIns[file]; !isFile(file) {
			return nil
		}
	}
	more, err := dotenv.GetEnvFromFile(env, []string{file})
	if err != nil {
		unread := &FileError{File: file, Err: err}
		unread.read(err.Error(), err)
		return unread
	}
	env.Merge(more)
	return nil
}

// files are the compose files to read, as absolute paths.
func (opts LoadOptions) files(env types.Mapping) ([]string, error) {
	names := opts.Files
	if len(names) == 0 && env["COMPOSE_FILE"] != "" {
		separator := env["COMPOSE_PATH_SEPARATOR"]
		if separator == "" {
			separator = string(os.PathListSeparator)
		}
		names = strings.Split(env["COMPOSE_FILE"], separator)
	}
	if len(names) == 0 {
		names = discover(opts.Dir)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w in %s; add a %s, or name the file under [compose] in .ecluse.toml",
			ErrNoFile, opts.Dir, cli.DefaultFileNames[0])
	}
	var files []string
	for _, name := range names {
		file, err := within(opts.Dir, name)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// discover finds the file that Compose would take, and its override.
func discover(dir string) []string {
	for _, name := range cli.DefaultFileNames {
		if !isFile(filepath.Join(dir, name)) && !endless(filepath.Join(dir, name)) {
			continue
		}
		for _, override := range cli.DefaultOverrideFileNames {
			if isFile(filepath.Join(dir, override)) || endless(filepath.Join(dir, override)) {
				return []string{name, override}
			}
		}
		return []string{name}
	}
	return nil
}

// within is the absolute path of a compose file, which must lie in the worktree,
// also when symbolic links are followed.
func within(dir, name string) (string, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	path = filepath.Clean(path)
	followed, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", &FileError{File: path, Err: ErrNoFile}
	}
	if err != nil {
		return "", &FileError{File: path, Err: err}
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("look at the worktree: %w", err)
	}
	if rel, err := filepath.Rel(root, followed); err != nil || !filepath.IsLocal(rel) {
		return "", &FileError{File: path, Err: fmt.Errorf("lies %w %s; give its path relative to the worktree", ErrOutside, dir)}
	}
	return path, nil
}

// isFile reports whether a file is at path, be it through a link.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Services are the names of the services that are active.
func (m *Model) Services() []string {
	names := m.project.ServiceNames()
	slices.Sort(names)
	return names
}
