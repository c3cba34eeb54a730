package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	pasteBlock = regexp.MustCompile("(?ms)^```markdown\n(.*?)^```$")
	numbered   = regexp.MustCompile(`(?m)^\d+\. .*$`)
	codeSpan   = regexp.MustCompile("`([^`]+)`")
)

// firsts are the first groups of all matches.
func firsts(pattern *regexp.Regexp, text string) []string {
	var list []string
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		list = append(list, strings.TrimSpace(match[len(match)-1]))
	}
	return list
}

// TestAgents runs what the pages tell coding agents, command by command in one shell, and
// looks that a session was there, and that nothing is left but the commit.
func TestAgents(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	paste := firsts(pasteBlock, read("../../README.md"))
	if len(paste) != 1 {
		t.Fatalf("README.md has %d texts to paste", len(paste))
	}
	if !strings.Contains(paste[0], "ecluse help agents") {
		t.Error("the text to paste does not name the rest")
	}
	for name, commands := range map[string][]string{
		"README":    firsts(codeSpan, strings.Join(numbered.FindAllString(paste[0], -1), "\n")),
		"agents.md": strings.Split(strings.Join(firsts(shellBlock, read("../../docs/agents.md")), "\n"), "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runAgent(t, commands)
		})
	}
}

// runAgent is an agent that works on feat-x.
func runAgent(t *testing.T, commands []string) {
	if len(commands) < 5 || !strings.Contains(commands[len(commands)-1], "ecluse down") {
		t.Fatalf("there are the commands %q", commands)
	}
	if _, err := exec.LookPath("jq"); err != nil && strings.Contains(strings.Join(commands, "\n"), "jq ") {
		t.Skip("there is no jq")
	}
	w := newWorld(t, `mode = "host"
[[services]]
name = "web"
base_port = %d
command = "exec webapp"
`)
	// What the repository calls its tests finds the service at its port, and is work.
	w.write("bin/npm", "#!/bin/sh\necho $ECLUSE_SLUG >page\nexec curl -fsS localhost:$PORT\n")
	w.branches = append(w.branches, "feat-x")
	w.commit("npm")
	last := len(commands) - 1
	script := slices.Concat(commands[:last], []string{"middle"}, commands[last:])
	w.write("bin/middle", `#!/bin/sh -eu
cd "$AGENT_ROOT"
git -C .ecluse/worktrees/feat-x add -A
git -C .ecluse/worktrees/feat-x commit -q --allow-empty -m work
machine active feat-x
`)
	w.commit("middle")
	cmd := exec.Command("sh", "-euc", strings.Join(script, "\n"))
	cmd.Dir = w.root
	cmd.Env = append(w.command().Env, "AGENT_ROOT="+w.root, "BRANCHES=main feat-x",
		"PATH="+filepath.Join(w.root, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, strings.Join(commands, "\n"), out)
	}
	if page := w.git("show", "feat-x:page"); strings.TrimSpace(page) != "feat-x" {
		t.Errorf("the branch has the page %q", page)
	}
	w.mustBeClean("after the last command")
}
