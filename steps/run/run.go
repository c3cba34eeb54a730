package run

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// defaultGrace is the time between TERM and KILL.
	defaultGrace = 5 * time.Second
	// maxOutput bounds what Output keeps.
	maxOutput = 64 << 20
)

// outputPatience is how long output is waited for after a program has ended, when
// somebody still holds it. Tests have less.
var outputPatience = 2 * time.Second

// ErrTooMuch is wrapped by the error of a program that wrote more than 64 MiB to
// where its output was to be returned.
var ErrTooMuch = errors.New("it wrote more than 64 MiB")

// Inherit is what the programs of a step have in common.
type Inherit struct {
	// Env is added to the environment of ecluse.
	Env []string
	// Files are inherited, as descriptors 3 and up.
	Files []*os.File
	// Log takes the output; a file should be open for appending. Nil discards
	// it. A log that is no file must not block, and must bear being used by
	// several programs at once if several run at once.
	Log io.Writer
	// LogLimit is how much of a program's output a log that is a file holds, in bytes:
	// of more the beginning and the end stay. The file must be open for appending, and
	// for nothing else. Zero is no limit.
	LogLimit int64
	// Grace is the time between TERM and KILL; zero is five seconds.
	Grace time.Duration
	// Point is called with "spawned NAME" and "waited NAME", for tests that
	// end this process there. Nil in production.
	Point func(string)
}

type inheritKey struct{}

// With makes a context under which programs run with these.
func With(ctx context.Context, in Inherit) context.Context {
	return context.WithValue(ctx, inheritKey{}, in)
}

// From returns what the programs of a context have in common.
func From(ctx context.Context) Inherit {
	in, _ := ctx.Value(inheritKey{}).(Inherit)
	return in
}

// local are the variables by which a git that runs a hook tells its children which
// repository they are in, as `git rev-parse --local-env-vars` lists them. If ecluse
// runs in such a hook they are not true in the folders of its programs. As for its
// own submodules, git's configuration by environment stays: GIT_CONFIG_PARAMETERS
// and GIT_CONFIG_COUNT name no repository.
var local = []string{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE",
	"GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE",
	"GIT_PREFIX", "GIT_INTERNAL_SUPER_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR",
	// Not listed, but as untrue: what a push has brought, and is not accepted yet.
	"GIT_QUARANTINE_PATH",
}

// Environ is the environment of a program of this context in a folder: that of
// ecluse, without what says in which repository a git hook runs, then what is
// inherited, and env, where the later counts.
func Environ(ctx context.Context, dir string, env ...string) []string {
	all := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(local, name)
	})
	if abs, err := filepath.Abs(dir); err == nil {
		all = append(all, "PWD="+abs) // ours would be a lie there
	}
	return append(append(all, From(ctx).Env...), env...)
}

// Command is a program and how to run it.
type Command struct {
	// Dir is where it runs. It is required.
	Dir string
	// Name is the program, found as our own PATH has it, or a path: a relative
	// one is meant from Dir.
	Name string
	Args []string
	// Env is added to the environment that [Environ] describes.
	Env []string
	// Stdin is what it reads; nil is nothing.
	Stdin io.Reader
}

// Shell is the command that hands a script to `sh -c`.
func Shell(dir, script string, env ...string) Command {
	return Command{Dir: dir, Name: "sh", Args: []string{"-c", script}, Env: env}
}

// Run runs the program and waits for it; stdout and stderr go to the log. The
// error is an *[Error].
func (c Command) Run(ctx context.Context) error {
	return c.run(ctx, nil)
}

// Output runs the program, waits for it and returns what it wrote to stdout;
// stderr goes to the log. The error is an *[Error]; it wraps ErrTooMuch, and the
// program was ended, if the output is over 64 MiB.
func (c Command) Output(ctx context.Context) ([]byte, error) {
	return c.output(ctx, maxOutput)
}

func (c Command) output(ctx context.Context, limit int) ([]byte, error) {
	out := &capture{limit: limit}
	err := c.run(ctx, out)
	return out.bytes(), err
}

// run runs the program; its stdout goes to out if that is not nil.
func (c Command) run(ctx context.Context, out *capture) error {
	in := From(ctx)
	if ctx.Err() != nil {
		return c.fail(context.Cause(ctx))
	}
	if err := c.check(); err != nil {
		return c.fail(err)
	}
	log, err := newSink(in.Log)
	if err != nil {
		return c.fail(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if out != nil {
		out.full = func() { cancel(ErrTooMuch) }
	}
	cmd := c.build(ctx, in)
	output, err := connect(cmd, log, out)
	if err != nil {
		return c.fail(err)
	}
	if err := c.start(cmd); err != nil {
		output.drop()
		return c.fail(err)
	}
	output.begin()
	defer log.bound(in.LogLimit)()
	in.point("spawned", c.Name)
	cut := supervise(ctx, cmd.Process, in.grace())
	if hangs(cut, cmd.Process.Pid) {
		go func() { _ = cmd.Wait() }()
		output.end(0)
		return c.verdict(nil, cut, nil, log)
	}
	err = cmd.Wait()
	in.point("waited", c.Name)
	output.end(outputPatience)
	if cut == nil && out != nil && out.overflowed() {
		cut = ErrTooMuch // it ended before we could end it
	}
	return c.verdict(cmd.ProcessState, cut, err, log)
}

// build describes the program to os/exec. That it ends with ctx is our own
// business: os/exec would end the program alone, and at once.
func (c Command) build(ctx context.Context, in Inherit) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.Name, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = Environ(ctx, c.Dir, c.Env...)
	cmd.ExtraFiles = in.Files
	cmd.SysProcAttr = ownSession()
	return cmd
}

// grace is the time between TERM and KILL.
func (in Inherit) grace() time.Duration {
	if in.Grace == 0 {
		return defaultGrace
	}
	return in.Grace
}

// point tells a test how far a program came.
func (in Inherit) point(what, name string) {
	if in.Point != nil {
		in.Point(what + " " + filepath.Base(name))
	}
}
