package docker

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPipes: a pipe that nobody writes to does not keep Load waiting.
func TestPipes(t *testing.T) {
	clean(t)
	const web = "services:\n  web:\n    image: a\n"
	for name, test := range map[string]struct{ text, pipe, file string }{
		"itself":      {"", "compose.yaml", "compose.yaml"},
		"override":    {web, "compose.override.yaml", "compose.override.yaml"},
		".env":        {web, ".env", ".env"},
		"env file":    {web + "    env_file: pipe\n", "pipe", "compose.yaml"},
		"env files":   {web + "    env_file:\n      - {path: pipe, required: false}\n", "pipe", "compose.yaml"},
		"label file":  {web + "    label_file: [pipe]\n", "pipe", "compose.yaml"},
		"extends":     {web + "    extends: {file: pipe, service: b}\n", "pipe", "compose.yaml"},
		"include":     {"include: [pipe]\n", "pipe", "compose.yaml"},
		"its .env":    {"include:\n  - {path: x.yaml, env_file: pipe}\n", "pipe", "compose.yaml"},
		"by variable": {web + "    env_file: ${PIPE:-pipe}\n", "pipe", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"x.yaml": web}
			if test.text != "" {
				files["compose.yaml"] = test.text
			}
			dir := tree(t, files)
			pipe := filepath.Join(dir, test.pipe)
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			cause, limit := errors.New("over"), 5*time.Minute
			if test.file == "" { // it does wait
				limit = 2 * time.Second
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), limit, cause)
			defer cancel()
			_, err := Load(ctx, LoadOptions{Dir: dir, Project: project})
			var at *FileError
			switch {
			case test.file == "" && !errors.Is(err, cause):
				t.Errorf("load: %v, want that it was ended", err)
			case test.file != "" && (!errors.As(err, &at) || at.File != filepath.Join(dir, test.file)):
				t.Errorf("load: %v, want %s to be named", err, test.file)
			}
			// What was left behind goes on once the pipe has a writer.
			if fd, err := syscall.Open(pipe, syscall.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				_ = syscall.Close(fd)
			}
		})
	}
}
