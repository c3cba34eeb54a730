package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// UndeletableError is the first thing in a worktree that could not be removed.
type UndeletableError struct {
	Path string
	// Err is what the kernel said.
	Err error
	// Advice says how the obstacle is removed; it may be empty.
	Advice string
}

// Error names the thing, the cause, and what helps.
func (e *UndeletableError) Error() string {
	text := fmt.Sprintf("remove %s: %v", e.Path, e.Err)
	if e.Advice != "" {
		text += "; " + e.Advice
	}
	return text
}

// Unwrap gives the kernel's error.
func (e *UndeletableError) Unwrap() error { return e.Err }

// Lasting reports whether another try, without help, would fail the same way.
func (e *UndeletableError) Lasting() bool {
	return errors.Is(e.Err, os.ErrPermission) || errors.Is(e.Err, unix.EROFS)
}

// removeTree removes a directory and what is in it, the entry called last after
// all others, and that only if they are gone. It goes through no link and into no
// mount. A directory that its owner may not write to (a module cache) is made
// writable; what somebody still writes into is tried again. It goes on after an
// error, and returns the first.
func removeTree(ctx context.Context, path, last string) error {
	pause := firstPause
	for tries := 0; ; tries++ {
		err := removeOnce(ctx, path, last)
		var stuck *UndeletableError
		if err == nil || tries == 8 || !errors.As(err, &stuck) || stuck.Lasting() {
			return err
		}
		if cut := sleep(ctx, pause); cut != nil {
			return errors.Join(err, cut)
		}
		pause = min(2*pause, longestPause)
	}
}

func removeOnce(ctx context.Context, path, last string) error {
	parent, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if absent(err) {
		return nil
	}
	if err != nil {
		return &UndeletableError{Path: path, Err: err}
	}
	defer unix.Close(parent)
	w := wrecker{ctx: ctx}
	w.remove(parent, filepath.Base(path), path, last)
	return w.err
}

// absent reports whether an error says that nothing is at a path; a file where a
// directory on the way should be says so too.
func absent(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// wrecker removes a tree and remembers the first error.
type wrecker struct {
	ctx context.Context
	err error
}

// note keeps an error, if it is the first.
func (w *wrecker) note(path string, err error) {
	if w.err != nil || err == nil || errors.Is(err, os.ErrNotExist) {
		return
	}
	if errors.Is(err, unix.EXDEV) {
		w.err = &MountError{Path: path}
		return
	}
	w.err = &UndeletableError{Path: path, Err: err, Advice: advice(path, err)}
}

// remove removes what is called name in parent; path is for messages.
func (w *wrecker) remove(parent int, name, path, last string) {
	if cause := context.Cause(w.ctx); cause != nil {
		w.err = errors.Join(w.err, cause)
		return
	}
	var info unix.Stat_t
	if err := unix.Fstatat(parent, name, &info, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		w.note(path, err)
		return
	}
	if info.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.note(path, unix.Unlinkat(parent, name, 0))
		return
	}
	before := w.err
	w.empty(parent, name, path, last)
	if w.err == before { //nolint:errorlint // the very same error, not one of its kind
		w.note(path, unix.Unlinkat(parent, name, unix.AT_REMOVEDIR))
	}
}

// empty removes what is in a directory.
func (w *wrecker) empty(parent int, name, path, last string) {
	dir, err := enter(parent, name, path)
	if err != nil {
		w.note(path, err)
		return
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	w.note(path, err)
	if i := slices.Index(names, last); i >= 0 {
		names = append(slices.Delete(names, i, i+1), last)
	}
	for _, child := range names {
		if context.Cause(w.ctx) != nil || child == last && w.err != nil {
			break
		}
		w.remove(int(dir.Fd()), child, filepath.Join(path, child), "")
	}
}

// enter opens a directory for reading, through no link and into no mount, and lets
// its owner in. The error is EXDEV for a mount.
func enter(parent int, name, path string) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	}
	at, err := unix.Openat2(parent, name, &how)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		// Before Linux 5.6, and in sandboxes that do not know the call. The
		// mounts were looked for before.
		at, err = unix.Openat(parent, name, int(how.Flags), 0)
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(at)
	var info unix.Stat_t
	if err := unix.Fstat(at, &info); err == nil && info.Mode&0o700 != 0o700 {
		_ = os.Chmod(fmt.Sprintf("/proc/self/fd/%d", at), 0o700)
	}
	fd, err := unix.Openat(at, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// advice says what helps against an obstacle.
func advice(path string, err error) string {
	sudo := "sudo "
	if os.Geteuid() == 0 {
		sudo = ""
	}
	if errors.Is(err, unix.EBUSY) {
		return "something uses it; see: findmnt " + shellQuote(path)
	}
	if errors.Is(err, unix.EROFS) {
		return "the file system is read-only; see: findmnt --target " + shellQuote(filepath.Dir(path))
	}
	if !errors.Is(err, os.ErrPermission) {
		return ""
	}
	for _, name := range []string{path, filepath.Dir(path)} {
		if fixed(name) {
			return fmt.Sprintf("it may not be changed; allow it with: %schattr -i -a %s", sudo, shellQuote(name))
		}
	}
	return fmt.Sprintf("it is another user's, or in a directory that is; remove it with: %srm -rf -- %s", sudo, shellQuote(foreign(path)))
}

// foreign is the outermost directory around path that is another user's, as a
// container leaves them; path itself if it is in one of ours.
func foreign(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		var info unix.Stat_t
		if unix.Lstat(dir, &info) != nil || int(info.Uid) == os.Geteuid() {
			return path
		}
		if dir == filepath.Dir(dir) || info.Mode&unix.S_ISVTX != 0 {
			return path
		}
		path = dir
	}
}

// The flags of chattr(1) i and a, from linux/fs.h.
const (
	immutable  = 0x10
	appendOnly = 0x20
)

// fixed reports whether a file or directory is immutable, or may only grow.
func fixed(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
		return false
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	return err == nil && flags&(immutable|appendOnly) != 0
}
