package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ecluse/saga/session"
)

// PlaceError says that there can be no state where a variable has it.
type PlaceError struct {
	// Variable that decides; empty when none is set that could.
	Variable string
	// Occupied: a file stands in the way. The path is no absolute one otherwise.
	Occupied bool
	text     string
}

// Error names the variable, what is wrong with it, and what to do.
func (e *PlaceError) Error() string { return "find the state folder: " + e.text }

// DefaultDir is the state folder that the environment asks for:
// $ECLUSE_STATE_DIR, else $XDG_STATE_HOME/ecluse, else ~/.local/state/ecluse. It
// is a [PlaceError] when what decides is not an absolute path (the state would depend
// on where a command is run), or leads to a file or below one.
func DefaultDir(getenv func(string) string) (string, error) {
	for _, from := range []struct {
		name string
		rest []string
	}{
		{"ECLUSE_STATE_DIR", nil},
		{"XDG_STATE_HOME", []string{"ecluse"}},
		{"HOME", []string{".local", "state", "ecluse"}},
	} {
		dir := getenv(from.name)
		if dir == "" {
			continue
		}
		if !filepath.IsAbs(dir) {
			return "", &PlaceError{Variable: from.name, text: fmt.Sprintf("%s is %q, which is not an absolute path; set it to one, or unset it", from.name, dir)}
		}
		path := filepath.Join(append([]string{dir}, from.rest...)...)
		if file := obstacle(path); file != "" {
			return "", &PlaceError{Variable: from.name, Occupied: true, text: fmt.Sprintf("%s leads to %s, and %s is no folder; set it to another one, or unset it", from.name, path, file)}
		}
		return path, nil
	}
	return "", &PlaceError{text: "none of ECLUSE_STATE_DIR, XDG_STATE_HOME and HOME is set; set ECLUSE_STATE_DIR to an absolute path"}
}

// obstacle is what stands at path, or where a folder above it would be, and is no
// folder; empty if nothing does.
func obstacle(path string) string {
	for {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir(), err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR), path == filepath.Dir(path):
			return ""
		case err == nil:
			return path
		}
		path = filepath.Dir(path)
	}
}

// Path is the state file.
func (s *Store) Path() string { return filepath.Join(s.dir, "state.db") }

// lockPath is the side lock of the state file.
func (s *Store) lockPath() string { return filepath.Join(s.dir, "state.lock") }

// ownPath is the owner lock of a session.
func (s *Store) ownPath(key session.Key) string {
	return filepath.Join(s.dir, "locks", fileName(key)+".own")
}

// Dir is a session's private folder: what is in it goes with the session. The
// caller makes it.
func (s *Store) Dir(key session.Key) string {
	return filepath.Join(s.dir, "sessions", fileName(key))
}

// LogDir is the folder of a session's logs. It outlives the session, and later
// sessions of the same slug log there too. The caller makes it.
func (s *Store) LogDir(key session.Key) string {
	return filepath.Join(s.dir, "logs", fileName(key))
}

// StepLockPath is the lock of a step of a session.
func (s *Store) StepLockPath(key session.Key, step string) string {
	return filepath.Join(s.Dir(key), "locks", lockFileName(step))
}

// fileName names a session in the file system: the slug for people, and a hash
// that also knows the repository.
func fileName(key session.Key) string {
	return readable(key.Slug) + "-" + hash(key.Repo+"\x00"+key.Slug)
}

// readable keeps of a slug what is harmless in a file name: all of it, unless it
// was never checked.
func readable(slug string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, slug[:min(len(slug), 62)])
}

// maxName is the length of a file name from which on it is cut.
const maxName = 200

// lockFileName makes a file name of a step's name.
func lockFileName(step string) string {
	name := strings.NewReplacer("/", "_", "\x00", "_").Replace(step)
	if name != step || len(name) > maxName || strings.Trim(name, ".") == "" {
		name = name[:min(len(name), maxName)] + "-" + hash(step)
	}
	return name
}

// hash is short enough for file names and long enough for all the repositories
// of a machine.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// makeDir makes a folder and those above it, private.
func makeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

// syncUp makes the names in a folder durable, and its own name, and those of the
// folders above, which may be as new. Some of them may not be ours to read.
func syncUp(dir string) error {
	if err := syncDir(dir); err != nil {
		return err
	}
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		if err := syncDir(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}
