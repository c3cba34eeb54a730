package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Exclude makes git ignore what matches the pattern in all of the repository's
// worktrees: it adds the line to info/exclude, unless it is there. What else is in
// the file stays, whoever calls at the same time.
func (r Repo) Exclude(ctx context.Context, pattern string) error {
	if pattern == "" || strings.ContainsAny(pattern, "\n\x00") {
		return fmt.Errorf("exclude %q: it is not one line", pattern)
	}
	err := r.guarded(ctx, func() error {
		return appendLine(filepath.Join(r.CommonDir, "info", "exclude"), pattern)
	})
	if err != nil {
		return fmt.Errorf("exclude %s: %w", pattern, err)
	}
	return nil
}

// appendLine adds a line to a file that has no such line. The file is appended to
// in one write and not replaced: it may be a link, or open in an editor, and a
// line that was half written ends nothing else.
func appendLine(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for old := range bytes.SplitSeq(have, []byte("\n")) {
		if string(bytes.TrimSuffix(old, []byte("\r"))) == text {
			return nil
		}
	}
	if len(have) > 0 && have[len(have)-1] != '\n' {
		text = "\n" + text
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text + "\n")
	return errors.Join(err, file.Close())
}

// guarded calls do while no other process of ecluse is in guarded for this
// repository. The lock is the kernel's, on the common directory itself: it ends
// with the process and leaves no file. git does not know it.
func (r Repo) guarded(ctx context.Context, do func() error) error {
	dir, err := os.Open(r.CommonDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	began, told := time.Now(), false
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return do()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock %s: %w", r.CommonDir, err)
		}
		if !told && time.Since(began) > silence {
			waiterOf(ctx).report("waiting for another ecluse that changes the settings in " + r.CommonDir)
			told = true
		}
		if err := sleep(ctx, time.Millisecond+rand.N(firstPause)); err != nil {
			return fmt.Errorf("wait for the lock of %s: %w", r.CommonDir, err)
		}
	}
}
