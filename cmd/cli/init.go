package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"ecluse/cmd/display"
	"ecluse/steps"
	"ecluse/steps/config"
	"ecluse/steps/detect"
	"ecluse/steps/docker"
	"ecluse/steps/git"
	"ecluse/steps/plain"
	"ecluse/steps/settings"
)

// initOptions are the flags of init.
type initOptions struct {
	mode                string
	force, explain, yes bool
	dryRun              bool
	detect.Look
}

func newInit(a *app) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use: "init", GroupID: groupRepo, Short: "write a commented .ecluse.toml for what is in the repository",
		Long: `Write a .ecluse.toml in which every key is explained, in the main worktree of the
repository. A look at the repository decides where its services run, unless --mode
says so, and finds the services themselves: in the compose file, package.json,
Procfile.dev and their like, also in folders such as apps/*, services/* and backend,
and in workspaces. Nothing that is found is run. .gitignore gets a line for the
folder of the worktrees.

In a terminal the mode is asked for, unless --yes accepts what is proposed. A
configuration that exists is replaced only with --force. --explain writes the file, too;
--dry-run prints it instead, and writes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.init(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.mode, "mode", "m", "", "where services run: container, host or hybrid")
	f.IntVar(&o.MaxSlots, "max-slots", settings.Defaults().MaxSlots, "how many sessions there may be at once")
	f.StringVar(&o.Prefix, "prefix", settings.Defaults().Prefix, "begins the name of every compose project")
	f.BoolVar(&o.force, "force", false, "replace a configuration that exists")
	f.BoolVar(&o.explain, "explain", false, "also show what speaks for and against each mode, and where everything was found")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the configuration that would be written; write nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "accept the mode that is proposed, and do not ask")
	return cmd
}

// initResult is what init prints with --json.
type initResult struct {
	Path       string        `json:"path"`
	Mode       string        `json:"mode"`
	Why        string        `json:"why"`
	Confidence string        `json:"confidence"`
	Scores     detect.Scores `json:"scores"`
	// Signals are what the scores are the sums of.
	Signals  []detect.Signal `json:"signals"`
	Services []string        `json:"services"`
	// Found is what is in the configuration, or suggested there, and where it was found.
	Found []detect.Source `json:"found"`
	// Gitignore tells that .gitignore got a line.
	Gitignore bool     `json:"gitignore"`
	Warnings  []string `json:"warnings"`
	// Written is false with --dry-run.
	Written bool `json:"written"`
	// Text is what would have been written without --dry-run.
	Text string `json:"text"`

	unborn bool // there is no commit yet
}

func (a *app) init(ctx context.Context, o initOptions) error {
	repo, err := a.repository(ctx)
	unborn := errors.Is(err, git.ErrUnborn) // which only sessions need
	if err != nil && !unborn {
		return err
	}
	if o.MaxSlots == 0 || o.Prefix == "" { // which stand for the defaults below
		return usagef("--max-slots takes 1 to 255, and --prefix a name")
	}
	path := filepath.Join(repo.Root, config.Name)
	if exists(path) && !o.force && !o.dryRun {
		return hinted{usagef("%s exists already, and is not overwritten; --force replaces it with a new one", path), "ecluse init --force"}
	}
	o.Survey = detect.Examine(ctx, repo.Root)
	o.Inherit = slices.DeleteFunc(o.Inherit, func(file string) bool {
		tracked, err := repo.Tracked(ctx, repo.Root, file)
		return err == nil && tracked // a worktree has it
	})
	on := a.machine(ctx)
	d := detect.Detect(repo.Root, o.Survey, on)
	r := initResult{
		Path: path, Mode: o.mode, Why: "asked for with --mode", Confidence: d.Confidence, Scores: d.Scores, Signals: d.Signals,
		Services: []string{}, unborn: unborn, Warnings: append([]string{}, o.Warnings...),
	}
	if o.mode == "" {
		if r.Mode, err = a.proposed(d, o); err != nil {
			return err
		}
		r.Why = d.Why()
	} else if o.explain {
		a.explain(d)
	}
	text, err := detect.Template(r.Mode, o.Look)
	if err != nil {
		return usageError{err}
	}
	r.Warnings = append(r.Warnings, slices.Concat(o.Uncomposed(r.Mode, on), o.Missing(r.Mode), o.Left(r.Mode))...)
	r.Found = o.Sources(r.Mode)
	if detect.Place(text, r.Found); o.explain {
		a.explainFound(r.Found)
	}
	if o.dryRun {
		return a.showDraft(r, text)
	}
	if err := write(path, []byte(text)); err != nil {
		return err
	}
	r.Written = true
	cfg, err := steps.LoadConfig(repo.Root)
	if err != nil {
		return configError{err}
	}
	for _, s := range cfg.Services {
		r.Services = append(r.Services, s.Name)
	}
	if r.Gitignore, err = ignore(repo, cfg.WorktreeDir); err != nil {
		r.Warnings = append(r.Warnings, err.Error())
	}
	return a.showInit(r)
}

// showDraft prints what would be written.
func (a *app) showDraft(r initResult, text string) error {
	for _, s := range r.Found {
		if s.What == "service" && s.Doubt == "" {
			r.Services = append(r.Services, s.Name)
		}
	}
	if r.Text = text; a.json {
		return writeJSON(a.Stdout, r)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(a.Stderr, "warning: %s\n", warning)
	}
	if !a.quiet {
		fmt.Fprintf(a.Stderr, "nothing was written; this would be %s:\n", r.Path)
	}
	return a.print("%s", text)
}

// leftAs says what is made of something that is only suggested.
var leftAs = map[string]string{"service": "left out", "variable": "left to you:"}

// showInit tells what was written.
func (a *app) showInit(r initResult) error {
	if a.json {
		return writeJSON(a.Stdout, r)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(a.Stderr, "warning: %s\n", warning)
	}
	why := r.Why
	if why == "" {
		why = "nothing speaks for another"
	}
	text := fmt.Sprintf("wrote %s\n  mode      %s (%s)\n", r.Path, r.Mode, why)
	next := "look it over, commit it, then: ecluse up BRANCH"
	if len(r.Services) > 0 {
		text += "  services  " + strings.Join(r.Services, ", ") + "\n"
	} else if r.Mode != settings.ModeContainer {
		next = "describe what runs under [[services]], commit the file, then: ecluse up BRANCH"
	}
	if r.unborn {
		next = strings.Replace(next, "commit", "make a first commit of", 1)
	}
	for _, s := range r.Found {
		if s.Doubt != "" && s.Line != 0 {
			text += fmt.Sprintf("  %-9s %s (line %d): %s\n", leftAs[s.What], s.Name, s.Line, s.Doubt)
		}
	}
	if r.Gitignore {
		text += "  added     " + ignoreLine + " to .gitignore\n"
	}
	return a.print("%snext: %s\n", text, next)
}

// machine looks at what a detection wants to know of the machine.
func (a *app) machine(ctx context.Context) detect.Machine {
	var on detect.Machine
	bounded, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	err := docker.Check(bounded)
	on.Docker = err == nil
	if errors.Is(err, docker.ErrMissing) {
		_, err := docker.Open(bounded) // which does not ask for Compose
		on.NoCompose = err == nil
	}
	dialer := net.Dialer{Timeout: probeTime}
	if conn, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:5432"); err == nil {
		on.Postgres = true
		_ = conn.Close()
	}
	return on
}

// proposed is the mode that a detection proposes, or that the user chooses when asked.
func (a *app) proposed(d detect.Detection, o initOptions) (string, error) {
	if d.Unsupported != "" {
		return "", hinted{usagef("nothing is known of how a repository with %s is run, so no mode can be proposed; say with --mode where its services run", d.Unsupported), "ecluse init --mode host"}
	}
	if o.explain || d.Confidence == detect.ConfidenceLow || d.Confidence == detect.ConfidenceNone {
		a.explain(d)
	}
	switch {
	case a.asks() && !o.yes:
		return a.ask(d.Mode)
	case d.Mode == "":
		return "", hinted{usagef("no mode can be proposed; say with --mode where the services run: container, host or hybrid"), "ecluse init --mode host"}
	case d.Confidence == detect.ConfidenceLow:
		fmt.Fprintf(a.Stderr, "warning: mode %s is little more likely than another; check it, or say --mode\n", d.Mode)
	}
	return d.Mode, nil
}

// ask asks in a terminal for the mode.
func (a *app) ask(mode string) (string, error) {
	question := fmt.Sprintf("Mode %s? [Y/n/container/host/hybrid] ", mode)
	for {
		if mode == "" {
			question = "Mode? [container/host/hybrid] "
		}
		answer, ok := a.question(question)
		answer = strings.ToLower(answer)
		switch {
		case !ok:
			return "", usagef("nothing was answered, and nothing was written; say --mode, or --yes")
		case mode != "" && slices.Contains([]string{"", "y", "yes"}, answer):
			return mode, nil
		case slices.Contains([]string{settings.ModeContainer, settings.ModeHost, settings.ModeHybrid}, answer):
			return answer, nil
		case answer == "n", answer == "no":
			mode = ""
		default:
			fmt.Fprintf(a.Stderr, "%q is no mode\n", answer)
		}
	}
}

// explain shows what speaks for and against each mode, on stderr.
func (a *app) explain(d detect.Detection) {
	if a.json {
		return // it is in the result
	}
	t := display.Table{Columns: []display.Column{{Head: "SIGNAL"}, {Head: "CONTAINER", Right: true}, {Head: "HOST", Right: true}, {Head: "HYBRID", Right: true}}}
	row := func(style display.Style, what string, s detect.Scores) {
		t.Row(style, what, points(s.Container), points(s.Host), points(s.Hybrid))
	}
	for _, s := range d.Signals {
		row(display.Normal, s.What, s.Scores)
	}
	row(display.Normal, "total", d.Scores)
	_ = t.Write(a.Stderr)
	mode := d.Mode
	if mode == "" {
		mode = "none"
	}
	fmt.Fprintf(a.Stderr, "proposed: %s (confidence: %s)\n", mode, d.Confidence)
}

// explainFound shows where everything was found, on stderr.
func (a *app) explainFound(list []detect.Source) {
	if a.json || len(list) == 0 {
		return
	}
	t := display.Table{Columns: []display.Column{{Head: "FOUND"}, {Head: "NAME"}, {Head: "IN"}, {Head: "IN FORCE"}}}
	for _, s := range list {
		force := "yes"
		if s.Doubt != "" {
			force = "no: " + s.Doubt
		}
		t.Row(display.Normal, s.What, s.Name, s.From, force)
	}
	_ = t.Write(a.Stderr)
}

// points is a number with its sign.
func points(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%+d", n)
}

// write writes a file of the repository.
func write(path string, text []byte) error {
	err := renameio.WriteFile(path, text, 0o644)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("write the configuration: %w; is the repository writable?", err)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// maxIgnore bounds a .gitignore, in megabytes.
const maxIgnore = 16

// ignoreLine has git leave out the folder of the worktrees.
const ignoreLine = ".ecluse/"

// ignore adds the line to .gitignore, and reports whether it had to.
func ignore(repo git.Repo, dir string) (bool, error) {
	if first, _, _ := strings.Cut(filepath.ToSlash(filepath.Clean(dir)), "/"); first+"/" != ignoreLine {
		return false, nil
	}
	path := filepath.Join(repo.Root, ".gitignore")
	mode := os.FileMode(0o644)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return false, fmt.Errorf("look at .gitignore: %w", err)
	case !info.Mode().IsRegular():
		return false, errors.New(".gitignore is no plain file, and was left alone; have git ignore " + ignoreLine)
	default:
		mode = info.Mode().Perm()
	}
	text, err := plain.Read(path, maxIgnore)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("read .gitignore: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimRight(line, "\r\n") == ignoreLine {
			return false, nil
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	if err := renameio.WriteFile(path, append(text, ignoreLine+"\n"...), mode); err != nil {
		return false, fmt.Errorf("write .gitignore: %w; have git ignore %s", err, ignoreLine)
	}
	return true, nil
}
