package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ecluse/cmd/cli"
	"ecluse/steps/docker/dockertest"
	"ecluse/steps/postgres/postgrestest"
)

// TestScript runs the real binary, on real git and real processes, one script a
// behaviour. Beside testscript's own commands a script has:
//
//	repo DIR             make DIR a repository; @N in its .ecluse.toml is the port $BASEn
//	status N CMD...      run CMD, which must exit with N
//	until CMD...         run CMD until it succeeds
//	machine clean        nothing of any session is left (in the repository)
//	machine active SLUG  every effect of the session is there, once
//	json FILE PATH WANT  the value at PATH ("0.step.name") of a JSON file
//	compose DIR          in the compose files of DIR, IMAGE is one with a tool, @N a port
//	released FILE        a state file of the first release
//	postgres             start a server; $POSTGRES is the URL of its database app
//	[postgres]           there is a server to be started
//	[pids]               the number of a process can be chosen (as root)
func TestScript(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/script")
}

// runScripts runs the scripts of a folder, in the language of [TestScript].
func runScripts(t *testing.T, dir string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"repo": cmdRepo, "status": cmdStatus, "until": cmdUntil, "json": cmdJSON, "postgres": cmdPostgres,
			"compose": cmdCompose(t), "released": cmdReleased,
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "docker":
				return dockertest.Wanted(), nil
			case "postgres":
				return postgrestest.Available() || postgrestest.Required(), nil
			case "pids":
				return pidsCanBeChosen(), nil
			default:
				return false, fmt.Errorf("there is no condition %s", name)
			}
		},
	})
}

// setUpScript gives a script a home, a state folder and ports of its own.
func setUpScript(env *testscript.Env) error {
	work, err := filepath.EvalSymlinks(env.WorkDir)
	if err != nil {
		return err
	}
	base, release := newBase()
	env.Defer(release)
	env.Setenv("BASE", strconv.Itoa(base))
	for n := 1; n < portsPerWorld; n++ { // what @0 is in slot n, for exact ports
		env.Setenv(fmt.Sprintf("BASE%d", n), strconv.Itoa(base+n))
	}
	for n := 1; n <= 3; n++ { // ports that no base leads to
		env.Setenv(fmt.Sprintf("PIN%d", n), strconv.Itoa(base+portsPerWorld-n))
	}
	env.Setenv("HOME", filepath.Join(work, "home"))
	env.Setenv("DOCKER_CONFIG", dockerConfig())
	env.Setenv("ECLUSE_STATE_DIR", filepath.Join(work, "state"))
	env.Setenv("LEDGER", work)
	env.Setenv("BRANCHES", "main")
	env.Setenv("GIT_AUTHOR_NAME", "t")
	env.Setenv("GIT_AUTHOR_EMAIL", "t@example.com")
	env.Setenv("GIT_COMMITTER_NAME", "t")
	env.Setenv("GIT_COMMITTER_EMAIL", "t@example.com")
	env.Defer(func() {
		if left := (checker{state: filepath.Join(work, "state")}).end(); len(left) > 0 {
			env.T().Log("the script leaves " + strings.Join(left, ", "))
			env.T().Fatal("a script must leave no process")
		}
	})
	return os.MkdirAll(filepath.Join(work, "home"), 0o755)
}

var portMark = regexp.MustCompile(`@(\d+)`)

// withPorts fills in the ports of a text.
func withPorts(text string, base int) string {
	return portMark.ReplaceAllStringFunc(text, func(mark string) string {
		n, _ := strconv.Atoi(mark[1:])
		return strconv.Itoa(base + n)
	})
}

// cmdRepo makes a folder of the script's archive a repository of one commit.
func cmdRepo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: repo DIR")
	}
	dir := ts.MkAbs(args[0])
	path := filepath.Join(dir, ".ecluse.toml")
	if data, err := os.ReadFile(path); err == nil {
		base, _ := strconv.Atoi(ts.Getenv("BASE"))
		ts.Check(os.WriteFile(path, []byte(withPorts(string(data), base)), 0o600))
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "--allow-empty", "-m", "first"},
	} {
		ts.Check(ts.Exec("git", append([]string{"-C", dir}, args...)...))
	}
}

// cmdStatus runs a command that must exit with a status.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if have := statusOf(ts.Exec(args[1], args[2:]...)); have != want {
		ts.Fatalf("%s exited with %d, want %d", strings.Join(args[1:], " "), have, want)
	}
}

// statusOf is the exit status that an error of Exec tells.
func statusOf(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}

// cmdUntil runs a command again and again, until it succeeds.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: until CMD...")
	}
	deadline := time.Now().Add(patience)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it never happened: %s: %v", strings.Join(args, " "), err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// cmdJSON compares a value of a JSON document. FILE may be stdout.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH WANT")
	}
	have, err := valueAt([]byte(ts.ReadFile(args[0])), args[1])
	ts.Check(err)
	if (have == args[2]) == neg {
		ts.Fatalf("%s of %s is %s, want %s", args[1], args[0], have, args[2])
	}
}

// cmdPostgres starts a server that ends with the script.
func cmdPostgres(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: postgres")
	}
	server, err := postgrestest.New()
	ts.Check(err)
	ts.Defer(server.Stop)
	// An @ before a number is a port, see cmdRepo.
	ts.Setenv("POSTGRES", strings.Replace(server.URL(), "@127.0.0.1:", "@localhost:", 1))
}

// Every verb has a script of its name.
func TestEveryVerbHasAScript(t *testing.T) {
	t.Parallel()
	for _, verb := range cli.Verbs() {
		if _, err := os.Stat(fmt.Sprintf("testdata/script/%s.txtar", verb)); err != nil {
			t.Errorf("%s has no script: %v", verb, err)
		}
	}
}
