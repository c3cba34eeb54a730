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
// error wraps [ErrMissing], [ErrOld], [ErrNotRepository], [ErrBare] or [ErrUnborn]. With
// the last one the repository is returned all the same.
//
// It does not list worktrees: one that was half made when git was killed can make
// every `git worktree list` fail, and must be removable all the same.
func Open(ctx context.Context, dir string) (Repo, error) {
	at, err := find(ctx, dir)
	if err != nil {
		return Repo{}, fmt.Errorf("find the repository of %s: %w", dir, err)
	}
	repo := Repo{CommonDir: at.common, Root: filepath.Dir(at.common)}
	if !at.usual {
		if repo.Root, err = root(ctx, at.common); err != nil {
			return Repo{}, fmt.Errorf("find the main worktree of %s: %w", at.common, err)
		}
	}
	if !at.born {
		if err := repo.checkBorn(ctx); err != nil {
			return repo, fmt.Errorf("open %s: %w", repo.Root, err)
		}
	}
	return repo, nil
}

// found is what one call of git tells of where a directory is.
type found struct {
	// common is the canonical common git directory.
	common string
	// usual: the directory is in the main worktree, which holds the common directory.
	usual bool
	// born: there is a commit.
	born bool
}

// find asks all at once, since every command opens the repository several times. Where
// that is no plain answer (there is no commit, a path has a line break), only the common
// directory is asked for, and the rest is to be found out.
func find(ctx context.Context, dir string) (found, error) {
	ask := func(what ...string) ([]string, error) {
		out, err := call{dir: dir, args: append([]string{"rev-parse", "--path-format=absolute", "--git-common-dir"}, what...)}.output(ctx)
		return strings.Split(line(out), "\n"), err
	}
	at := found{}
	lines, err := ask("--git-dir", "--is-bare-repository", "HEAD^{commit}")
	if err == nil && len(lines) == 4 {
		at = found{common: lines[0], usual: lines[0] == lines[1] && lines[2] == "false", born: true}
	} else if ctx.Err() == nil {
		lines, err = ask()
		at.common = strings.Join(lines, "\n")
	}
	switch {
	case err != nil && strings.Contains(said(err), "not a git repository"):
		err = ErrNotRepository
	case err == nil && strings.HasPrefix(at.common, "--"):
		err = ErrOld // it took the option for something to print
	case err == nil:
		at.common, err = filepath.EvalSymlinks(at.common)
	}
	at.usual = at.usual && filepath.Base(at.common) == ".git"
	return at, err
}

// root is the main worktree: what holds the common directory, as `git worktree
// list` has it too. In a submodule, and with --separate-git-dir, the common
// directory is elsewhere; there core.worktree tells, or nothing does.
func root(ctx context.Context, common string) (string, error) {
	ask := func(args ...string) (string, error) {
		out, err := call{dir: common, at: []string{"--git-dir=" + common}, args: args}.output(ctx)
		return line(out), err
	}
	bare, err := ask("rev-parse", "--is-bare-repository")
	if err != nil {
		return "", err
	}
	if bare == "true" {
		return "", ErrBare
	}
	if filepath.Base(common) == ".git" {
		return filepath.Dir(common), nil
	}
	path, err := ask("config", "core.worktree")
	if err != nil {
		return "", fmt.Errorf("git does not know it (%w); tell it with: git config core.worktree DIRECTORY", err)
	}
	return filepath.EvalSymlinks(absolute(common, path))
}

// checkBorn refuses a repository without any commit. That HEAD of the main
// worktree has none, while a branch has, is no reason not to open it.
func (r Repo) checkBorn(ctx context.Context) error {
	if _, born, err := r.commit(ctx, "HEAD"); err != nil || born {
		return err
	}
	refs, err := r.git(ctx, "for-each-ref", "--count=1")
	if err == nil && len(refs) == 0 {
		return ErrUnborn
	}
	return err
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

// commits are the commits that refs lead to, in one call; "" for a ref that there is
// not. No name may have a line break.
func (r Repo) commits(ctx context.Context, refs ...string) ([]string, error) {
	var names strings.Builder
	for _, ref := range refs {
		names.WriteString(ref + "^{commit}\n")
	}
	out, err := call{dir: r.Root, args: []string{"cat-file", "--batch-check=%(objectname) %(objecttype)"}, stdin: []byte(names.String())}.output(ctx)
	if err != nil {
		return nil, err
	}
	answers := strings.Split(line(out), "\n")
	if len(answers) != len(refs) {
		return nil, fmt.Errorf("git cat-file was asked for %d commits, and answered %q", len(refs), out)
	}
	for i, answer := range answers {
		commit, there := strings.CutSuffix(answer, " commit")
		if !there {
			commit = "" // "NAME missing", or what is no commit
		}
		answers[i] = commit
	}
	return answers, nil
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
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		return filepath.Join(resolved, filepath.Base(path))
	}
	return filepath.Join(place(dir), filepath.Base(path))
}
