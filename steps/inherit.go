package steps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// heritage carries files and folders from the main worktree into a session's. It
// reaches both through an os.Root, so that no entry, and no link on the way to
// one, leads out of either.
type heritage struct {
	main, worktree *os.Root
}

// inherited is what was noted about an entry before it was made.
type inherited struct {
	Mode string `json:"mode"`
	// Sum tells a copy that nobody changed: of a file its content, of a
	// folder the names, sizes and times in it. Empty for a link.
	Sum string `json:"sum,omitempty"`
}

// errNeither is wrapped by the error for what cannot be copied.
var errNeither = errors.New("it is neither a file nor a folder")

// action is what an entry needs.
type action int

const (
	leave action = iota
	create
	// replaceLink: a link to something else is in its place.
	replaceLink
)

// openHeritage opens both worktrees of a session.
func openHeritage(s session.Session) (*heritage, error) {
	main, err := os.OpenRoot(s.Root)
	if err != nil {
		return nil, fmt.Errorf("open the main worktree: %w", err)
	}
	worktree, err := os.OpenRoot(s.Worktree)
	if err != nil {
		_ = main.Close()
		return nil, fmt.Errorf("open the worktree: %w", err)
	}
	return &heritage{main: main, worktree: worktree}, nil
}

func (h *heritage) close() {
	_ = h.main.Close()
	_ = h.worktree.Close()
}

// decide is look, but leaves a link that the branch tracks.
func (h *heritage) decide(ctx context.Context, repo git.Repo, name, mode string) (action, error) {
	act, err := h.look(name, mode)
	if err != nil || act != replaceLink {
		return act, err
	}
	tracked, err := repo.Tracked(ctx, h.worktree.Name(), name)
	if tracked {
		act = leave
	}
	return act, err
}

// look says what an entry needs. A source that does not exist needs nothing, and
// what is in the worktree already stays, but for a link that is no longer right.
func (h *heritage) look(name, mode string) (action, error) {
	if err := h.check(name); err != nil {
		return leave, saga.Permanent(err)
	}
	if err := h.checkSource(name, mode); err != nil {
		return leave, outside(err)
	}
	have, err := h.worktree.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create, nil
	case err != nil:
		return leave, outside(err)
	case have.Mode()&fs.ModeSymlink == 0:
		return leave, nil
	}
	target, err := h.worktree.Readlink(name)
	if err == nil && isLinkMode(mode) && target == h.target(name) {
		return leave, nil
	}
	return replaceLink, err
}

// check refuses entries that are no files of a worktree.
func (h *heritage) check(name string) error {
	first, _, _ := strings.Cut(filepath.ToSlash(name), "/")
	if !filepath.IsLocal(name) || name == "." || first == ".git" {
		return fmt.Errorf("%q names no file or folder in the main worktree", name)
	}
	rel, err := filepath.Rel(h.target(name), h.worktree.Name())
	if err == nil && filepath.IsLocal(rel) {
		return errors.New("the worktree itself is in it")
	}
	return nil
}

// checkSource looks whether there is anything to inherit. A copy is made of what a
// link leads to, so that must be in the main worktree too.
func (h *heritage) checkSource(name, mode string) error {
	if _, err := h.main.Lstat(name); err != nil || isLinkMode(mode) {
		return err
	}
	info, err := h.main.Stat(name)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		err = errNeither
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; set its mode to %s", err, settings.InheritLink)
	}
	return err
}

// outside marks the error for a path that leads out of its worktree as final, and
// is nil for one that does not exist.
func outside(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return saga.Permanent(err)
}

func isLinkMode(mode string) bool { return mode == "" || mode == settings.InheritLink }

// target is where a link leads.
func (h *heritage) target(name string) string { return filepath.Join(h.main.Name(), name) }

// part is the name under which an entry is made before it gets its own.
func part(name string) string {
	dir, base := filepath.Split(name)
	return dir + "." + base + ".ecluse-part"
}

// note is what is to be remembered of an entry that is about to be made.
func (h *heritage) note(ctx context.Context, name, mode string) (inherited, error) {
	if isLinkMode(mode) {
		return inherited{Mode: settings.InheritLink}, nil
	}
	sum, err := sum(ctx, h.main, name)
	return inherited{Mode: mode, Sum: sum}, err
}

// carry makes an entry, whole or not at all, and says how.
func (h *heritage) carry(ctx context.Context, name, mode string) (string, error) {
	if err := h.worktree.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", outside(err)
	}
	temporary := part(name)
	if err := h.worktree.RemoveAll(temporary); err != nil {
		return "", err
	}
	how := "a link"
	if isLinkMode(mode) {
		if err := h.worktree.Symlink(h.target(name), temporary); err != nil {
			return "", err
		}
	} else {
		c := copier{from: h.main, to: h.worktree, share: mode == settings.InheritReflink}
		if err := c.tree(ctx, name, temporary); err != nil {
			return "", errors.Join(err, h.worktree.RemoveAll(temporary))
		}
		how = c.how()
	}
	if have, err := h.worktree.Lstat(name); err == nil && have.Mode()&fs.ModeSymlink != 0 {
		// A folder cannot be renamed over a link.
		if err := h.worktree.Remove(name); err != nil {
			return "", err
		}
	}
	return how, h.worktree.Rename(temporary, name)
}

// drop removes an entry that is as it was made, or half made.
func (h *heritage) drop(ctx context.Context, name string, note inherited) error {
	if err := h.worktree.RemoveAll(part(name)); err != nil {
		return err
	}
	have, err := h.worktree.Lstat(name)
	if err != nil {
		return outside(err)
	}
	isLink := have.Mode()&fs.ModeSymlink != 0
	if isLink != (note.Mode == settings.InheritLink) || !isLink && !have.IsDir() && !have.Mode().IsRegular() {
		return nil // it was replaced
	}
	if isLink {
		if target, err := h.worktree.Readlink(name); err != nil || target != h.target(name) {
			return err
		}
		return h.worktree.Remove(name)
	}
	if now, err := sum(ctx, h.worktree, name); err != nil || now != note.Sum {
		return err
	}
	return h.worktree.RemoveAll(name)
}

// sum is the digest of a file's content, or of a folder's names, modes, sizes and
// times: folders can be as large as a node_modules.
func sum(ctx context.Context, root *os.Root, name string) (string, error) {
	hash := sha256.New()
	info, err := root.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		file, err := openIn(root, name)
		if err != nil {
			return "", err
		}
		defer file.Close()
		if _, err := copyAll(ctx, hash, file); err != nil {
			return "", err
		}
		return hex.EncodeToString(hash.Sum(nil)), nil
	}
	err = walk(ctx, root, name, func(rel string, info fs.FileInfo) error {
		fmt.Fprintf(hash, "%q %v", rel, info.Mode().Type())
		switch {
		case info.Mode().IsRegular():
			fmt.Fprintf(hash, " %v %d %d", info.Mode().Perm(), info.Size(), info.ModTime().UnixNano())
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := root.Readlink(filepath.Join(name, rel))
			if err != nil {
				return err
			}
			fmt.Fprintf(hash, " %q", target)
		}
		return nil
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}

// walk calls do for a folder and all that is in it that can be copied: plain files,
// folders and links. Links are not followed.
func walk(ctx context.Context, root *os.Root, name string, do func(rel string, info fs.FileInfo) error) error {
	folder, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer folder.Close()
	return fs.WalkDir(folder.FS(), ".", func(rel string, d fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.IsDir() && !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
			return err
		}
		return do(filepath.FromSlash(rel), info)
	})
}

// copier copies, and counts the files whose blocks it could share.
type copier struct {
	from, to *os.Root
	// share asks the file system to share blocks until one side changes them.
	share          bool
	shared, copied int
}

// how says in words what was done.
func (c *copier) how() string {
	switch {
	case !c.share || c.shared+c.copied == 0:
		return "a copy"
	case c.copied == 0:
		return "a reflink: it takes no space until it is changed"
	case c.shared == 0:
		return "a copy: the file system cannot share blocks"
	default:
		return fmt.Sprintf("%d files as reflinks, %d as copies", c.shared, c.copied)
	}
}

// tree copies a file, or a folder with all that is in it.
func (c *copier) tree(ctx context.Context, name, to string) error {
	info, err := c.from.Stat(name)
	if err != nil {
		return saga.Permanent(err)
	}
	if !info.IsDir() {
		if err := c.file(ctx, name, to, info); err != nil {
			return err
		}
		return c.flush(to)
	}
	var folders []string
	times := map[string]time.Time{}
	err = walk(ctx, c.from, name, func(rel string, info fs.FileInfo) error {
		source, target := filepath.Join(name, rel), filepath.Join(to, rel)
		switch {
		case info.IsDir():
			folders = append(folders, target)
			times[target] = info.ModTime()
			return errors.Join(c.to.Mkdir(target, 0o700), c.to.Chmod(target, info.Mode().Perm()|0o700))
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := c.from.Readlink(source)
			if err != nil {
				return err
			}
			return c.to.Symlink(link, target)
		default:
			return c.file(ctx, source, target, info)
		}
	})
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := c.to.Chtimes(folder, time.Time{}, times[folder]); err != nil {
			return err
		}
	}
	return c.flush(to)
}

// flush puts what was copied on disk, a folder at once and not file by file.
func (c *copier) flush(name string) error {
	top, err := c.to.Open(name)
	if err != nil {
		return err
	}
	defer top.Close()
	if info, err := top.Stat(); err == nil && !info.IsDir() {
		return top.Sync()
	}
	return unix.Syncfs(int(top.Fd()))
}

// file copies one plain file with its mode and time.
func (c *copier) file(ctx context.Context, name, to string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return saga.Permanent(errNeither)
	}
	source, err := openIn(c.from, name)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := c.to.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer target.Close()
	if c.share && unix.IoctlFileClone(int(target.Fd()), int(source.Fd())) == nil {
		c.shared++
	} else {
		c.copied++
		if _, err := copyAll(ctx, target, source); err != nil {
			return err
		}
	}
	return errors.Join(target.Chmod(info.Mode().Perm()), c.to.Chtimes(to, time.Time{}, info.ModTime()))
}
