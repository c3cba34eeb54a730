package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
)

// Program is one run of ecluse.
type Program struct {
	Args   []string
	Getenv func(string) string
	Stdin  *os.File
	Stdout *os.File
	Stderr *os.File
	// Point is called before and after every transaction and around every
	// program that is run, for tests that end the process there. Nil in
	// production.
	Point func(name string)
}

// Main carries the command line out and returns the exit status.
func (p Program) Main() int {
	a := &app{Program: p}
	defer a.close()
	a.outer = steps.Leave(a.recorded)
	root := newRoot(a)
	root.SetArgs(p.Args)
	cmd, err := root.ExecuteC()
	if err != nil && !a.parsed {
		err = usageError{err}
		// What stands behind the mistake was not read.
		a.json = a.json || slices.Contains(p.Args, "--json")
	}
	a.close() // progress is closed before anything else is shown
	defer a.hint()
	if err == nil {
		return exitDone
	}
	return a.fail(helped(cmd, err))
}

// helped points from a mistake on the command line to the help of its verb.
func helped(cmd *cobra.Command, err error) error {
	if classify(err).code != "usage" || as[hinted](err) || as[advised](err) {
		return err
	}
	return hinted{err, cmd.CommandPath() + " --help"}
}

// fail shows an error and returns its exit status.
func (a *app) fail(err error) int {
	if a.stops != nil {
		err = a.stops.explain(err)
	}
	k := classify(err)
	if as[silentError](err) {
		return k.status
	}
	s := a.complain(err)
	if a.json {
		_ = writeJSON(a.Stdout, errorResult{s})
	}
	return k.status
}

// errorResult is the error document of --json.
type errorResult struct {
	Error shown `json:"error"`
}

// complain says on stderr what is wrong, where to look and what to do next.
func (a *app) complain(err error) shown {
	s := *a.errorOf(err)
	text := s.Message
	var run *session.RunError
	if errors.As(err, &run) {
		text = a.told.brief(text, run.Failure)
	}
	fmt.Fprintf(a.Stderr, "ecluse: %s\n", text)
	if s.Log != "" {
		fmt.Fprintf(a.Stderr, "log: %s\n", s.Log)
	}
	for _, hint := range s.all() {
		fmt.Fprintf(a.Stderr, "hint: %s\n", hint)
	}
	return s
}

// remark says on stderr what is no error, and what can be done.
func (a *app) remark(text, hint string) {
	if !a.quiet {
		fmt.Fprintf(a.Stderr, "ecluse: %s\nhint: %s\n", text, a.pasted(hint, session.Session{}))
	}
}

// print writes a result for people.
func (a *app) print(format string, args ...any) error {
	if _, err := fmt.Fprintf(a.Stdout, format, args...); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// logOf is the log of the step that a run failed at, empty if there is none.
func (a *app) logOf(run *session.RunError) string {
	if a.store == nil || run.Session.Plan.Index(run.Failure.Step) < 0 {
		return ""
	}
	compensating := run.Failure.Code == session.CodeCompensationFailed
	if path := steps.LogPath(a.store, run.Session, run.Failure.Step, compensating); exists(path) {
		return path
	}
	return ""
}

// silentError is an answer that was given already; only its status is left.
type silentError struct{ error }

func (e silentError) Unwrap() error { return e.error }

// writeJSON writes a result as people can read it, too.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// errorOf is the error's kind for a JSON result that carries several.
func (a *app) errorOf(err error) *shown {
	if err == nil {
		return nil
	}
	s := show(err, classify(err), a.logOf)
	var run *session.RunError
	if errors.As(err, &run) {
		a.place(&s, run.Session)
	} else {
		a.place(&s, session.Session{})
	}
	return &s
}

// place lets the commands that help be pasted where ecluse was started.
func (a *app) place(s *shown, about session.Session) {
	s.Hint = a.pasted(s.Hint, about)
	for i, hint := range s.Hints {
		s.Hints[i] = a.pasted(hint, about)
	}
}

// pasted is a command as it works where ecluse was started. That need not be in the
// repository that it is about: -C has led there, or it is one of those of --all.
func (a *app) pasted(command string, about session.Session) string {
	program, rest, _ := strings.Cut(command, " ")
	dir := cmp.Or(about.Root, a.dir)
	known := about.Root != "" && (within(a.started, about.Root) || within(a.started, about.Worktree))
	if program != "ecluse" && program != "git" || strings.HasPrefix(rest, "-C ") || a.started == "" || a.started == dir || known {
		return command
	}
	return program + " -C " + git.Quote(dir) + " " + rest
}
