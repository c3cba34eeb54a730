package plain

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// promptly calls do, and fails the test if it does not return within a minute.
func promptly(t *testing.T, do func() (*os.File, error)) error {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		file, err := do()
		if file != nil {
			_ = file.Close()
		}
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-time.After(time.Minute):
		t.Fatal("it hangs")
		return nil
	}
}

// put writes a file into a new folder.
func put(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	ok(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// others make what is no plain file.
var others = map[string]func(path string) error{
	"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	"device": func(path string) error { return os.Symlink("/dev/zero", path) },
	"socket": func(path string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil {
			l.SetUnlinkOnClose(false)
			err = l.Close()
		}
		return err
	},
}

// TestWhatIsNotPlainIsNotOpened: it is told from outside.
func TestWhatIsNotPlainIsNotOpened(t *testing.T) {
	for name, place := range others {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			ok(t, place(path))
			err := promptly(t, func() (*os.File, error) {
				return open(path, os.Stat, func(string, int, fs.FileMode) (*os.File, error) {
					t.Error("it was opened")
					return nil, errors.New("opened")
				})
			})
			if !errors.Is(err, ErrNotPlain) {
				t.Errorf("got %v", err)
			}
			if err := promptly(t, func() (*os.File, error) { return Open(path) }); !errors.Is(err, ErrNotPlain) {
				t.Errorf("Open: %v", err)
			}
			if err := promptly(t, func() (*os.File, error) { _, err := Read(path, 1); return nil, err }); !errors.Is(err, ErrNotPlain) {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

// TestWhatTakesThePlaceOfAFile between the look and the opening is not waited for, and
// not handed out.
func TestWhatTakesThePlaceOfAFile(t *testing.T) {
	for name, place := range others {
		if name == "socket" {
			continue // nobody can open one
		}
		t.Run(name, func(t *testing.T) {
			path := put(t, "x")
			swap := func(path string) (fs.FileInfo, error) {
				info, err := os.Stat(path)
				return info, errors.Join(err, os.Remove(path), place(path))
			}
			var opened *os.File
			err := promptly(t, func() (*os.File, error) {
				return open(path, swap, func(path string, flag int, mode fs.FileMode) (file *os.File, err error) {
					opened, err = os.OpenFile(path, flag, mode)
					return opened, err
				})
			})
			if !errors.Is(err, ErrNotPlain) {
				t.Errorf("got %v", err)
			}
			if _, err := opened.Stat(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("it was left open: %v", err)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	path := put(t, "text")
	link := path + "-link"
	ok(t, os.Symlink(path, link))
	for _, path := range []string{path, link} {
		file, err := Open(path)
		ok(t, err)
		if text, err := io.ReadAll(file); string(text) != "text" || err != nil {
			t.Errorf("%s: got %q, %v", path, text, err)
		}
		ok(t, file.Close())
	}
	if _, err := Open(path + "-none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v of nothing", err)
	}
}

func TestOpenIn(t *testing.T) {
	path := put(t, "text")
	root, err := os.OpenRoot(filepath.Dir(path))
	ok(t, err)
	defer root.Close()
	file, err := OpenIn(root, "file")
	ok(t, err)
	if text, err := io.ReadAll(file); string(text) != "text" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	ok(t, file.Close())
	ok(t, syscall.Mkfifo(filepath.Join(root.Name(), "pipe"), 0o600))
	if err := promptly(t, func() (*os.File, error) { return OpenIn(root, "pipe") }); !errors.Is(err, ErrNotPlain) {
		t.Errorf("got %v of a pipe", err)
	}
	ok(t, os.Symlink(put(t, "other"), filepath.Join(root.Name(), "out")))
	if file, err := OpenIn(root, "out"); err == nil {
		t.Errorf("a link leads out: %s", file.Name())
	}
}

func TestReadTakesNoMore(t *testing.T) {
	path := put(t, "")
	ok(t, os.Truncate(path, 1<<20))
	if data, err := Read(path, 1); len(data) != 1<<20 || err != nil {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
	ok(t, os.Truncate(path, 1<<20+1))
	if data, err := Read(path, 1); data != nil || !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
	if _, err := Read(path+"-none", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v of nothing", err)
	}
}
