package dotenv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	compose "github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/google/renameio/v2"
)

// Errors of a file that cannot be written or read.
var (
	// ErrUnwritable is wrapped by the error for a variable that has no form
	// which every reader reads alike.
	ErrUnwritable = errors.New("no notation that sh and docker compose read alike")
	// ErrName is wrapped by the error for what cannot name a variable.
	ErrName = errors.New("a name takes letters, digits and _, and begins with no digit")
	// ErrSyntax is wrapped by the error for a file that cannot be parsed.
	ErrSyntax = errors.New("not a file of variables")
)

var (
	namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// plainPattern are the values that need no quotes anywhere. "~" is not
	// among them, which a shell expands after ":" too, nor is "=" in front,
	// which zsh expands.
	plainPattern = regexp.MustCompile(`^(?:[A-Za-z0-9_./:@%+,?-][A-Za-z0-9_./:@%+,?=-]*)?$`)
)

// Marshal is the file of the variables: one a line, sorted by name, the same
// bytes for the same variables. The error names the variable that cannot be
// written and wraps [ErrUnwritable] or [ErrName].
func Marshal(vars map[string]string) ([]byte, error) {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if err := Check(name, vars[name]); err != nil {
			return nil, err
		}
		value, _ := quote(vars[name])
		b.WriteString(name + "=" + value + "\n")
	}
	return b.Bytes(), nil
}

// Check reports a variable that [Marshal] would refuse.
func Check(name, value string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("variable %q: %w", name, ErrName)
	}
	if _, ok := quote(value); !ok {
		return fmt.Errorf("variable %s: its value has %s: %w", name, obstacle(value), ErrUnwritable)
	}
	return nil
}

// quote is the first form of a value that fits; false if there is none.
func quote(value string) (string, bool) {
	switch {
	case strings.ContainsRune(value, 0):
		return "", false
	case plainPattern.MatchString(value):
		return value, true
	case !strings.Contains(value, "'") && trailingBackslashes(value)%2 == 0:
		return "'" + value + "'", true
	case !strings.Contains(value, "`"):
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(value) + `"`, true
	default:
		return "", false
	}
}

// obstacle says in words what quote stumbled over.
func obstacle(value string) string {
	switch {
	case strings.ContainsRune(value, 0):
		return "a zero byte"
	case strings.Contains(value, "'"):
		return "both a backquote and a single quote"
	default:
		return "a backquote and ends in a backslash"
	}
}

func trailingBackslashes(value string) int {
	return len(value) - len(strings.TrimRight(value, `\`))
}

// Write replaces the file at path by one of these variables, at once and as a
// whole. Only its owner may read it: it may hold passwords. What a writer that
// was killed left beside it is removed.
func Write(path string, vars map[string]string) error {
	data, err := Marshal(vars)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := removeParts(path); err != nil {
		return err
	}
	if err := replace(path, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// replace is [renameio.WriteFile], but keeps no wider mode of the file before.
func replace(path string, data []byte) error {
	file, err := renameio.NewPendingFile(path,
		renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer func() { _ = file.Cleanup() }()
	if _, err := file.Write(data); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}

// Remove removes a file that [Write] wrote, or half wrote, or that is gone.
func Remove(path string) error {
	if err := removeParts(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// removeParts removes the files that [renameio] began and could not rename: they
// have a dot before the name and a number after it.
func removeParts(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for parts of %s: %w", path, err)
	}
	for _, entry := range entries {
		number, ok := strings.CutPrefix(entry.Name(), "."+base)
		if !ok || number == "" || strings.Trim(number, "0123456789") != "" || !entry.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a part of %s: %w", path, err)
		}
	}
	return nil
}

// Parse reads a file as Docker Compose does, but knows no variables besides the
// file's own. The error wraps [ErrSyntax].
func Parse(data []byte) (map[string]string, error) {
	vars, err := compose.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read variables: %w: %w", ErrSyntax, err)
	}
	return vars, nil
}
