package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ecluse/steps/run"
)

// Repo is a repository that has a main worktree. It is a value without state:
// everything is asked of git anew.
type Repo struct {
	// CommonDir is the canonical path of the common git directory. It tells
	// repositories apart.
	CommonDir string
	// Root is the canonical path of the main worktree.
	Root string
}

// Open finds the repository that dir belongs to, from any of its worktrees. The
// error wraps [ErrMissing], [ErrOld], [ErrNotRepository], [ErrBare] or [ErrUnborn].
func Open(ctx context.Context, dir string) (Repo, error) {
	common, err := call{dir: dir, args: []string{"rev-parse", "--path-format=absolute", "--git-common-dir"}}.output(ctx)
	if err != nil {
		if strings.Contains(said(err), "not a git repository") {
			err = ErrNotRepository
		}
		return Repo{}, fmt.Errorf("find the repository of %s: %w", dir, err)
	}
	repo := Repo{}
	if repo.CommonDir, err = filepath.EvalSymlinks(line(common)); err != nil {
		return Repo{}, fmt.Errorf("find the repository of %s: %w", dir, err)
	}
	// Until the root is known, the repository's own directory serves to ask.
	all, err := Repo{CommonDir: repo.CommonDir, Root: dir}.Worktrees(ctx)
	if err != nil {
		return Repo{}, err
	}
	main := all[0]
	if main.Bare {
		return Repo{}, fmt.Errorf("open %s: %w", repo.CommonDir, ErrBare)
	}
	if repo.Root, err = root(ctx, repo.CommonDir, main.Path); err != nil {
		return Repo{}, err
	}
	if main.Head == "" {
		refs, err := repo.git(ctx, "for-each-ref", "--count=1")
		if err == nil && len(refs) == 0 {
			err = ErrUnborn
		}
		if err != nil {
			return Repo{}, fmt.Errorf("open %s: %w", repo.Root, err)
		}
	}
	return repo, nil
}

// root is the main worktree. git derives it from the place of the common
// directory, which is wrong for a submodule and with --separate-git-dir: there
// the main worktree is told by core.worktree, or by nothing.
func root(ctx context.Context, common, listed string) (string, error) {
	path, err := filepath.EvalSymlinks(listed)
	if err == nil && path != common {
		return path, nil
	}
	if err == nil {
		var out []byte
		out, err = call{dir: common, args: []string{"config", "--file", filepath.Join(common, "config"), "core.worktree"}}.output(ctx)
		if err == nil {
			path = line(out)
			if !filepath.IsAbs(path) {
				path = filepath.Join(common, path)
			}
			if path, err = filepath.EvalSymlinks(path); err == nil {
				return path, nil
			}
		}
		err = fmt.Errorf("git does not know it (%w); tell it with: git config core.worktree DIRECTORY", err)
	}
	return "", fmt.Errorf("find the main worktree of %s: %w", common, err)
}

// call is one call of git.
type call struct {
	// dir is where git runs.
	dir string
	// at are the arguments that say which repository and worktree, if dir
	// does not.
	at   []string
	args []string
	env  []string
	// stdin, if it is not nil.
	stdin []byte
	// hooks lets the repository's hooks run.
	hooks bool
}

// command turns the call into a program with its surroundings.
func (c call) command() run.Command {
	args := []string{
		"--no-pager", "--literal-pathspecs",
		// What git would leave running in the background would hold the
		// step's lock, and be ended for it.
		"-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "maintenance.auto=0",
	}
	if !c.hooks {
		args = append(args, "-c", "core.hooksPath=/dev/null")
	}
	args = append(append(args, c.at...), c.args...)
	cmd := run.Command{Dir: c.dir, Name: "git", Args: args, Env: append(c.environment(), c.env...)}
	if c.stdin != nil {
		cmd.Stdin = bytes.NewReader(c.stdin)
	}
	if unset := misleading(); len(unset) > 0 {
		cmd.Name, cmd.Args = "env", append(append(unset, "git"), args...)
	}
	return cmd
}

// environment makes git speak English, ask nothing, and leave the user's index
// alone when it only looks. Hooks keep the user's character set.
func (c call) environment() []string {
	env := []string{"GIT_TERMINAL_PROMPT=0", "LC_MESSAGES=C", "LANGUAGE=C", "LC_ALL="}
	if all := os.Getenv("LC_ALL"); all != "" {
		env = append(env, "LC_CTYPE="+all)
	}
	if !c.hooks {
		env = append(env, "GIT_OPTIONAL_LOCKS=0")
	}
	return env
}

// misleading are the arguments by which env removes what a git that runs a hook
// tells the hook's children about where they are. They are empty everywhere else.
func misleading() []string {
	var args []string
	for _, name := range []string{
		"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE",
		"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH", "GIT_SHALLOW_FILE",
		"GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS", "GIT_INTERNAL_SUPER_PREFIX",
		"GIT_IMPLICIT_WORK_TREE", "GIT_CONFIG", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS",
		"GIT_ICASE_PATHSPECS", "GIT_REFLOG_ACTION", "GIT_DEFAULT_HASH",
	} {
		if _, set := os.LookupEnv(name); set {
			args = append(args, "-u", name)
		}
	}
	return args
}

// output runs the call and returns what it wrote.
func (c call) output(ctx context.Context) ([]byte, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fmt.Errorf("run git %s: %w", c.args[0], ErrMissing)
	}
	out, err := c.command().Output(ctx)
	var failed *run.Error
	if errors.As(err, &failed) {
		// What git was asked, without what is the same in every call.
		failed.Program = run.Command{Name: "git", Args: c.args}.String()
	}
	return out, err
}

// git runs git in the main worktree and returns what it wrote.
func (r Repo) git(ctx context.Context, args ...string) ([]byte, error) {
	return call{dir: r.Root, args: args}.output(ctx)
}

// commit is the commit that a revision names; false if it names none.
func (r Repo) commit(ctx context.Context, revision string) (string, bool, error) {
	out, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err == nil {
		return line(out), true, nil
	}
	// With --quiet, git ends with 1 and says nothing when it knows no such
	// name. A revision that is not well formed makes it complain: the same.
	var failed *run.Error
	if ctx.Err() == nil && errors.As(err, &failed) && failed.Err == nil && failed.Signal == "" {
		return "", false, nil
	}
	return "", false, err
}

// line is output that is one line. Paths may end in spaces.
func line(out []byte) string { return strings.TrimSuffix(string(out), "\n") }

// place is the canonical form of a path whose last parts need not exist. The last
// part itself is not followed: a link there is a link.
func place(path string) string {
	path = filepath.Clean(path)
	dir := filepath.Dir(path)
	if dir == path {
		return path
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return filepath.Join(real, filepath.Base(path))
	}
	return filepath.Join(place(dir), filepath.Base(path))
}
