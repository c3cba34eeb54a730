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
	"slices"

	"ecluse/saga"
)

// maxInputs bounds how many files may decide what a template is: who has more has
// named a folder of dependencies.
const maxInputs = 100_000

// state sums up what the template is made from: the command, and the names and
// contents of its inputs in the worktree.
func (d database) state(ctx context.Context, a *saga.Attempt) (string, error) {
	files, err := d.inputs(ctx, a)
	if err != nil {
		return "", fmt.Errorf("read the inputs of database %s: %w", d.spec.Name, err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", d.spec.Migrate.Value.Run)
	for _, name := range files {
		text, err := d.sumUp(ctx, name)
		if err != nil {
			return "", fmt.Errorf("read the inputs of database %s: %w", d.spec.Name, err)
		}
		fmt.Fprintf(sum, "%q %s\n", name, text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// inputs lists the files, relative to the worktree, each once.
func (d database) inputs(ctx context.Context, a *saga.Attempt) ([]string, error) {
	var files []string
	root := d.Session().Worktree
	for _, input := range d.spec.Inputs {
		matches, err := filepath.Glob(filepath.Join(escapeGlob(root), input))
		if err != nil {
			return nil, saga.Permanent(fmt.Errorf("%s: %w", input, err))
		}
		if len(matches) == 0 {
			a.Warn("there is no %s, which is an input of database %s", input, d.spec.Name)
		}
		for _, match := range matches {
			err := filepath.WalkDir(match, func(path string, entry fs.DirEntry, err error) error {
				switch {
				case err != nil:
					return err
				case ctx.Err() != nil:
					return context.Cause(ctx)
				case len(files) >= maxInputs:
					return saga.Permanent(fmt.Errorf("%s has more than %d files; name what decides the template", input, maxInputs))
				case entry.IsDir():
					return nil
				}
				name, err := filepath.Rel(root, path)
				files = append(files, name)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// escapeGlob takes the meaning from the characters of a path that have one in a
// pattern.
func escapeGlob(path string) string {
	var escaped []rune
	for _, r := range path {
		if slices.Contains([]rune{'*', '?', '[', '\\'}, r) {
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, r)
	}
	return string(escaped)
}

// sumUp is the content of a file, of a link to a folder where it leads, in short.
func (d database) sumUp(ctx context.Context, name string) (string, error) {
	path := filepath.Join(d.Session().Worktree, name)
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		target, err := os.Readlink(path)
		return fmt.Sprintf("-> %q", target), err
	}
	file, err := openFile(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = copyAll(ctx, sum, file)
	return hex.EncodeToString(sum.Sum(nil)), err
}
