package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ecluse/saga/session"
	"ecluse/steps/tmux"
	"ecluse/store"
)

// checker looks at the whole machine for what a repository's sessions have left
// on it. It asks git, Docker, /proc and the file system, and the store last of
// all: ecluse is never its own witness.
type checker struct {
	root  string // main worktree
	state string // state folder
	// branches that were there before any session
	branches []string
	docker   bool
	// foreign says that services are not the tests' own, and answer as they like.
	foreign bool
}

// leftovers lists everything that is there of any session.
func (c checker) leftovers() []string {
	var left []string
	for _, look := range []func() []string{
		c.worktrees, c.extraBranches, c.files, c.processes, c.sockets, c.rows, c.resources,
	} {
		left = append(left, look()...)
	}
	return left
}

// worktrees lists those beside the main one, as git and as the disk have them.
func (c checker) worktrees() []string {
	var left []string
	for _, line := range lines(c.git("worktree", "list", "--porcelain")) {
		if path, ok := strings.CutPrefix(line, "worktree "); ok && path != c.root {
			left = append(left, "git worktree "+path)
		}
	}
	for _, dir := range []string{".ecluse/worktrees", ".git/worktrees"} {
		entries, _ := os.ReadDir(filepath.Join(c.root, dir))
		for _, entry := range entries {
			left = append(left, "folder "+filepath.Join(dir, entry.Name()))
		}
	}
	if dirty := c.git("status", "--porcelain"); dirty != "" {
		left = append(left, "changes in the main worktree: "+dirty)
	}
	return left
}

// extraBranches lists the branches that sessions have made.
func (c checker) extraBranches() []string {
	var left []string
	for _, name := range lines(c.git("for-each-ref", "--format=%(refname:short)", "refs/heads")) {
		if !slices.Contains(c.branches, name) {
			left = append(left, "branch "+name)
		}
	}
	config := c.git("config", "--local", "--list")
	for _, line := range lines(config) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "branch."), ".")
		if strings.HasPrefix(line, "branch.") && !slices.Contains(c.branches, name) {
			left = append(left, "git config "+line)
		}
	}
	return left
}

// files lists what is in the state folder but logs, history and backups.
func (c checker) files() []string {
	var left []string
	for _, dir := range []string{"sessions", "locks"} {
		entries, _ := os.ReadDir(filepath.Join(c.state, dir))
		for _, entry := range entries {
			left = append(left, "state file "+filepath.Join(dir, entry.Name()))
		}
	}
	for _, dir := range []string{c.root, c.state} {
		temporary, _ := filepath.Glob(filepath.Join(dir, ".*tmp*"))
		for _, path := range temporary {
			left = append(left, "temporary file "+path)
		}
	}
	return left
}

// processes lists those that carry the mark of a session of this state folder.
func (c checker) processes() []string {
	var left []string
	for _, p := range processesWith("ECLUSE_STATE_DIR="+c.state, "ECLUSE_SESSION_ID=") {
		left = append(left, "process "+p)
	}
	return left
}

// sockets lists those of tmux servers whose sessions have once been there.
func (c checker) sockets() []string {
	var left []string
	entries, _ := os.ReadDir(filepath.Join(c.state, "logs"))
	for _, entry := range entries {
		server := tmux.Server{Dir: filepath.Join(c.state, "sessions", entry.Name(), "tmux")}
		if _, err := os.Lstat(server.Socket()); err == nil {
			left = append(left, "socket "+server.Socket())
		}
	}
	return left
}

// processesWith lists the processes whose environment has entries with all of
// the prefixes.
func processesWith(prefixes ...string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		env := strings.Split(string(data), "\x00")
		all := true
		for _, prefix := range prefixes {
			all = all && slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, prefix) })
		}
		if all {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found = append(found, filepath.Base(filepath.Dir(file))+" "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return found
}

// rows lists what the store has.
func (c checker) rows() []string {
	st := store.New(c.state)
	var left []string
	list, err := st.List()
	if err != nil {
		left = append(left, "store: "+err.Error())
	}
	for _, s := range list {
		left = append(left, fmt.Sprintf("row %s (%s)", s.Slug, s.State))
	}
	leases, err := st.Leases()
	if err != nil {
		left = append(left, "store: "+err.Error())
	}
	for port, holder := range leases {
		left = append(left, fmt.Sprintf("lease of port %d by %s", port, holder.Slug))
	}
	return left
}

// resources lists what Docker has with the repository's label.
func (c checker) resources() []string {
	if !c.docker {
		return nil
	}
	var left []string
	filter := "label=ecluse.repo=" + filepath.Join(c.root, ".git")
	for kind, args := range map[string][]string{
		"container": {"ps", "-aq"}, "network": {"network", "ls", "-q"},
		"volume": {"volume", "ls", "-q"}, "image": {"images", "-aq"},
	} {
		out, err := exec.Command("docker", append(args, "--filter", filter)...).Output()
		if err != nil {
			left = append(left, "docker: "+err.Error())
		}
		for _, id := range lines(string(out)) {
			left = append(left, kind+" "+id)
		}
	}
	return left
}

// problems lists what is wrong with a session that is said to be active: every
// effect of every step must be there, once.
func (c checker) problems(slug string) []string {
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	s, err := store.New(c.state).Get(session.Key{Repo: filepath.Join(c.root, ".git"), Slug: slug})
	if err != nil {
		return []string{err.Error()}
	}
	if s.State != "active" {
		bad("the state is %s", s.State)
	}
	if status := c.gitIn(s.Worktree, "status", "--porcelain"); status != "" {
		bad("the worktree is not clean: %s", status)
	}
	if branch := c.gitIn(s.Worktree, "branch", "--show-current"); branch != s.Branch {
		bad("the worktree is on %q", branch)
	}
	env, err := os.ReadFile(filepath.Join(s.Worktree, ".env.ecluse"))
	if err != nil || !strings.Contains(string(env), "ECLUSE_SLUG="+slug+"\n") {
		bad("the environment file says %q (%v)", env, err)
	}
	for _, spec := range s.Plan.Steps {
		if spec.Kind != "service" {
			continue
		}
		name := strings.TrimPrefix(spec.Name, "service:")
		if got := answer(s.Ports[name]); !c.foreign && !strings.HasPrefix(got, slug+" ") {
			bad("service %s answers %q", name, got)
		}
		if running := processesWith("ECLUSE_STATE_DIR="+c.state, "ECLUSE_SESSION_ID="+s.ID, "ECLUSE_STEP="+spec.Name); len(running) != 1 {
			bad("service %s is %d processes: %v", name, len(running), running)
		}
	}
	return wrong
}

// answer is what a web service says, or why it says nothing.
func answer(port int) string {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

func (c checker) git(args ...string) string { return c.gitIn(c.root, args...) }

func (c checker) gitIn(dir string, args ...string) string {
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(out), "\n")
}

// lines splits text; an empty one has none.
func lines(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// machine is the checker as a command of the scripts, run in the main worktree:
// `machine clean` and `machine active SLUG`.
func machine() {
	root, err := os.Getwd()
	if err != nil {
		fatal(err)
	}
	c := checker{root: root, state: os.Getenv("ECLUSE_STATE_DIR"), branches: strings.Fields(os.Getenv("BRANCHES"))}
	c.docker = os.Getenv("WITH_DOCKER") != ""
	var wrong []string
	switch {
	case len(os.Args) == 2 && os.Args[1] == "clean":
		wrong = c.leftovers()
	case len(os.Args) == 3 && os.Args[1] == "active":
		wrong = c.problems(os.Args[2])
	default:
		wrong = []string{"usage: machine clean | machine active SLUG"}
	}
	if len(wrong) > 0 {
		_ = json.NewEncoder(os.Stderr).Encode(wrong)
		os.Exit(1)
	}
}
