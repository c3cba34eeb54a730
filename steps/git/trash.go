package git

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ecluse/steps/run"
)

// TrashRefs is where saved work is: below it, by slug and time.
const TrashRefs = "refs/ecluse/trash/"

// Trash is work that was saved.
type Trash struct {
	// Ref is a commit: its tree is what the worktree held, its parent what was
	// checked out.
	Ref string `json:"ref"`
	// Command brings it back: a line for a shell, in any directory. It makes
	// a worktree that has every file as it was.
	Command string `json:"command"`
	// Staged is a commit of what was staged, if a file was changed after that: what
	// was staged of it is neither in Ref nor in what was checked out.
	Staged string `json:"staged,omitempty"`
}

// Dirty reports whether a worktree holds work that would be lost with it: changes
// and files that are not committed and not ignored, or commits that no ref
// reaches. The error wraps [ErrNested] if a repository inside holds some.
//
// A worktree of which only the files are left, without the repository's entry,
// is dirty if it has files that are not ignored. One whose directory is gone is
// dirty if its HEAD is on no ref, or its index is not what HEAD has.
func (r Repo) Dirty(ctx context.Context, path string) (bool, error) {
	dirty, err := r.dirty(ctx, place(path))
	if err != nil {
		err = r.damage(ctx, path, err)
		return false, fmt.Errorf("look for work in %s: %w", path, err)
	}
	return dirty, nil
}

// damage is the damage of a worktree that made git fail, with what mends it; any other
// error is itself.
func (r Repo) damage(ctx context.Context, path string, err error) error {
	var failed *run.Error
	if !errors.As(err, &failed) || ctx.Err() != nil {
		return err
	}
	if ill := r.Whole(ctx, path, ""); errors.Is(ill, ErrDamaged) {
		return ill
	}
	return err
}

func (r Repo) dirty(ctx context.Context, path string) (bool, error) {
	v, err := r.open(path)
	if err != nil {
		return false, err
	}
	defer v.close()
	if v.gone {
		return v.dirtyMemory(ctx)
	}
	if err := v.checkNested(ctx); err != nil {
		return false, err
	}
	if err := v.lookEverywhere(ctx); err != nil {
		return false, err
	}
	out, err := v.git(ctx, nil, "status", "--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=none")
	if err != nil || len(out) > 0 {
		return err == nil, err
	}
	head, err := v.head(ctx)
	if err != nil {
		return false, err
	}
	return v.unreachable(ctx, head)
}

// dirtyMemory is dirty for what only the repository remembers.
func (v *view) dirtyMemory(ctx context.Context) (bool, error) {
	if !v.connected {
		return false, nil
	}
	head, err := v.head(ctx)
	if err != nil {
		return false, err
	}
	have, err := v.treeOf(ctx, head)
	if err != nil {
		return false, err
	}
	tree, err := v.remembered(ctx, head)
	if err != nil || tree != have {
		return err == nil, err
	}
	return v.unreachable(ctx, head)
}

// Unborn reports whether what a worktree has checked out is a branch that has no commit
// (any more), and whether its files are those of base, on which a ref still is. Git
// calls all of them new then.
func (r Repo) Unborn(ctx context.Context, path, base string) (unborn, same bool, err error) {
	v, err := r.open(place(path))
	if err != nil {
		return false, false, err
	}
	defer v.close()
	if v.gone || !v.connected || base == "" {
		return false, false, nil
	}
	if head, err := v.head(ctx); err != nil || head != "" {
		return false, false, err
	}
	if lost, err := v.unreachable(ctx, base); err != nil || lost {
		return true, false, err
	}
	want, err := v.treeOf(ctx, base)
	if err != nil {
		return true, false, err
	}
	have, err := v.tree(ctx)
	return true, have == want, err
}

// SaveTrash makes a commit of what [Repo.Dirty] calls work, below [TrashRefs], and
// says how to bring it back. Neither the worktree nor its index changes. What is
// staged and what is not is not told apart, unless a file was changed after it was
// staged: then the commit has what was staged as a second parent, like one of git stash.
// Of a file in conflict, what is in the worktree is saved. Saved again unchanged, it is the same commit. Of a worktree
// whose directory is gone, what was staged is saved.
func (r Repo) SaveTrash(ctx context.Context, path, slug string, at time.Time) (Trash, error) {
	trash, err := r.saveTrash(ctx, place(path), slug, at)
	if err != nil {
		err = r.damage(ctx, path, err)
		return Trash{}, fmt.Errorf("save the work in %s: %w", path, err)
	}
	return trash, nil
}

func (r Repo) saveTrash(ctx context.Context, path, slug string, at time.Time) (Trash, error) {
	v, err := r.open(path)
	if err != nil {
		return Trash{}, err
	}
	defer v.close()
	head, err := v.head(ctx)
	if err != nil {
		return Trash{}, err
	}
	index, err := v.staged(ctx, head)
	if err != nil {
		return Trash{}, err
	}
	tree, err := v.work(ctx, head)
	if err != nil {
		return Trash{}, err
	}
	if index, err = v.overwritten(ctx, head, index, tree); err != nil {
		return Trash{}, err
	}
	trash := func(ref string) Trash { return r.trash(path, ref, index != "") }
	if ref, found, err := r.saved(ctx, slug, tree, head, index); err != nil || found {
		return trash(ref), err
	}
	parents := []string{head}
	if index != "" {
		staged, err := v.commit(ctx, "what was staged in session "+slug, index, parents, at)
		if err != nil {
			return Trash{}, err
		}
		parents = append(parents, staged)
	}
	commit, err := v.commit(ctx, "uncommitted work of session "+slug, tree, parents, at)
	if err != nil {
		return Trash{}, err
	}
	suffix := make([]byte, 3)
	_, _ = rand.Read(suffix)
	ref := TrashRefs + slug + "/" + at.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(suffix)
	err = r.retry(ctx, func() error {
		_, err := r.git(ctx, "update-ref", "--", ref, commit, "")
		return err
	})
	return trash(ref), err
}

// trash describes saved work. Its place is beside where it was: there it is
// ignored by the main worktree, and a new session of the same slug finds its own
// place free.
func (r Repo) trash(path, ref string, staged bool) Trash {
	path = BeforeAside(path)
	t := Trash{Ref: ref, Command: fmt.Sprintf("git -C %s worktree add --detach %s %s",
		shellQuote(r.Root), shellQuote(path+"-"+ref[strings.LastIndexByte(ref, '/')+1:]), shellQuote(ref))}
	if staged {
		t.Staged = ref + "^2"
	}
	return t
}

// saved looks for a commit of the same tree and parent, and of the same staged tree.
func (r Repo) saved(ctx context.Context, slug, tree, head, index string) (string, bool, error) {
	out, err := r.git(ctx, "for-each-ref", "--format=%(refname) %(tree) %(parent)", TrashRefs+slug)
	if err != nil {
		return "", false, err
	}
	for have := range strings.Lines(string(out)) {
		ref, what, _ := strings.Cut(line([]byte(have)), " ")
		parents, same := strings.CutPrefix(what, tree+" "+head)
		if !same {
			continue
		}
		if parents == "" && index == "" {
			return ref, true, nil
		}
		if parents == "" || index == "" {
			continue
		}
		staged, err := r.git(ctx, "rev-parse", "--verify", "--quiet", ref+"^2^{tree}")
		if err != nil || line(staged) == index {
			return ref, err == nil, err
		}
	}
	return "", false, nil
}

// view is a worktree that is looked at through an index of our own.
type view struct {
	repo Repo
	path string
	// dir is the repository's entry of the worktree, or the common directory
	// if there is none any more; connected tells.
	dir       string
	connected bool
	// gone: its directory is, or nothing is in it.
	gone    bool
	scratch string
	index   string
	held    *os.File
}

// open prepares a view. The index begins as a copy of the worktree's, which knows
// the files that did not change.
func (r Repo) open(path string) (*view, error) {
	e, connected, err := r.entryOf(path)
	if err != nil {
		return nil, err
	}
	v := &view{repo: r, path: path, dir: r.CommonDir, connected: connected, gone: abandoned(path)}
	if connected {
		v.dir = e.dir
	}
	if err := v.makeScratch(); err != nil {
		return nil, err
	}
	if connected {
		if err := copyIndex(filepath.Join(e.dir, "index"), v.index); err != nil {
			v.close()
			return nil, err
		}
	}
	return v, nil
}

// git runs git on the worktree, whatever has become of its .git file.
func (v *view) git(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	place := v.path
	if v.gone {
		place = v.scratch
	}
	return call{
		dir: place, stdin: stdin, args: args,
		at: []string{
			"--git-dir=" + v.dir, "--work-tree=" + place,
			"-c", "core.bare=false", "-c", "core.safecrlf=false",
		},
		env: []string{"GIT_INDEX_FILE=" + v.index},
	}.output(ctx)
}

// head is the commit that is checked out; empty if there is none.
func (v *view) head(ctx context.Context) (string, error) {
	if !v.connected {
		return "", nil
	}
	out, err := v.git(ctx, nil, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	var failed *run.Error
	if errors.As(err, &failed) && failed.Status == 1 {
		return "", nil
	}
	return line(out), err
}

// work is the tree of what would be lost.
func (v *view) work(ctx context.Context, head string) (string, error) {
	if v.gone {
		return v.remembered(ctx, head)
	}
	if err := v.checkNested(ctx); err != nil {
		return "", err
	}
	return v.tree(ctx)
}

// tree writes everything that is not ignored into a tree.
func (v *view) tree(ctx context.Context) (string, error) {
	if err := v.lookEverywhere(ctx); err != nil {
		return "", err
	}
	if _, err := v.git(ctx, nil, "add", "--all", "--sparse", "--", "."); err != nil {
		return "", err
	}
	out, err := v.git(ctx, nil, "write-tree")
	return line(out), err
}

// lookEverywhere takes the marks off files of which the user told git not to look
// whether they changed, so that they are looked at.
func (v *view) lookEverywhere(ctx context.Context) error {
	out, err := v.git(ctx, nil, "ls-files", "-v", "-z")
	if err != nil {
		return err
	}
	var assumed, skipped strings.Builder
	for item := range strings.SplitSeq(string(out), "\x00") {
		tag, name, _ := strings.Cut(item, " ")
		if name == "" {
			continue
		}
		if tag != strings.ToUpper(tag) {
			assumed.WriteString(name + "\x00")
		}
		// A file that a sparse checkout leaves out is not deleted.
		if strings.EqualFold(tag, "S") {
			if _, err := os.Lstat(filepath.Join(v.path, name)); err == nil {
				skipped.WriteString(name + "\x00")
			}
		}
	}
	for _, marked := range []struct{ option, names string }{
		{"--no-assume-unchanged", assumed.String()}, {"--no-skip-worktree", skipped.String()},
	} {
		if marked.names == "" {
			continue
		}
		if _, err := v.git(ctx, []byte(marked.names), "update-index", marked.option, "-z", "--stdin"); err != nil {
			return err
		}
	}
	return nil
}

// unreachable reports whether a commit is on no branch or other ref: it was made
// on a detached HEAD, and goes with it. So do the refs that only the worktree has
// (refs/bisect, refs/worktree): they are not asked.
func (v *view) unreachable(ctx context.Context, head string) (bool, error) {
	if head == "" {
		return false, nil
	}
	out, err := v.repo.git(ctx, "for-each-ref", "--count=1", "--contains="+head)
	return len(out) == 0 && err == nil, err
}

// commit makes the commit. Its author is nobody: the user may have no name here.
func (v *view) commit(ctx context.Context, what, tree string, parents []string, at time.Time) (string, error) {
	args := []string{"commit-tree", "--no-gpg-sign", "-m", what + ", saved by ecluse"}
	for _, parent := range parents {
		if parent != "" {
			args = append(args, "-p", parent)
		}
	}
	date := fmt.Sprintf("%d +0000", at.Unix())
	out, err := call{
		dir: v.repo.Root, args: append(args, tree),
		env: []string{
			"GIT_AUTHOR_NAME=ecluse", "GIT_AUTHOR_EMAIL=ecluse@localhost", "GIT_AUTHOR_DATE=" + date,
			"GIT_COMMITTER_NAME=ecluse", "GIT_COMMITTER_EMAIL=ecluse@localhost", "GIT_COMMITTER_DATE=" + date,
		},
	}.output(ctx)
	return line(out), err
}
