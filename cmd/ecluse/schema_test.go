package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/renameio/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ecluse/cmd/cli"
	"ecluse/steps/docker/dockertest"
)

// schemasDir is where the schemas are published.
const schemasDir = "../../docs/schema"

// update writes the published schemas anew: go test ./cmd/ecluse -run Published -update.
var update = flag.Bool("update", false, "write the published files anew")

// TestPublishedSchemas: every verb has a schema of what it prints with --json, which is
// that of the types.
func TestPublishedSchemas(t *testing.T) {
	t.Parallel()
	schemas, err := cli.Schemas(os.DirFS("../cli"), os.DirFS("../../saga"), os.DirFS("../../steps"))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range cli.Verbs() {
		if schemas[verb] == nil {
			t.Errorf("%s has no schema; name what it prints in cmd/cli/schema.go", verb)
		}
	}
	for verb, s := range schemas {
		if !slices.Contains(cli.Verbs(), verb) {
			t.Errorf("there is no verb %s", verb)
		}
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(s); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(schemasDir, verb+".json")
		if verb == "config" {
			path = filepath.Join(schemasDir, "config-show.json") // config.json is .ecluse.toml's
		}
		if *update {
			if err := renameio.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(have), b.String()); diff != "" {
			t.Errorf("%s is not what ecluse prints; `make schema` makes it anew (-published +made):\n%s", path, diff)
		}
	}
}

// compiled is a published schema.
func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(schemasDir, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// printed is a command line, and what it must print.
type printed struct {
	verb   string
	status int
	args   string
	// documents is how many there are on stdout; -1 is any number.
	documents int
}

// TestJSONIsAsPublished runs every verb, in a repository without sessions, with some of
// each state, and where it fails.
func TestJSONIsAsPublished(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	check := func(w *world, list []printed) {
		for _, p := range list {
			w.asPublished(p)
			seen[p.verb] = true
		}
	}
	outside := newWorld(t, "")
	outside.root = t.TempDir()
	check(outside, []printed{
		{"up", 2, "up feat-x", 1}, {"down", 2, "down feat-x", 1}, {"ls", 2, "ls", 1}, {"init", 2, "init", 1}, {"validate", 2, "validate", 1},
		{"config", 2, "config show", 1}, {"recover", 2, "recover", 1}, {"env", 2, "env feat-x", 1}, {"history", 2, "history", 1},
		{"status", 2, "status feat-x", 1}, {"logs", 2, "logs feat-x", 1}, {"sync", 2, "sync feat-x", 1}, {"ls", 0, "ls --all", 1},
		{"version", 0, "version", 1}, {"version", 2, "version --nonsense", 1}, {"whose-pid", 1, "whose-pid 1", 1}, {"whose-pid", 2, "whose-pid x", 1},
		{"exec", 2, "exec feat-x -- true", 1}, {"shell", 2, "shell feat-x", 1}, {"completion", 2, "completion tcsh", 1},
	})
	w := newWorld(t, schemaConfig)
	check(w, emptyWorld)
	w.ecluse(0, "up", "feat-x")
	pid := strings.TrimSpace(w.read("pid"))
	if _, err := strconv.Atoi(pid); err != nil {
		t.Fatal(err)
	}
	check(w, fullWorld)
	check(w, []printed{{"whose-pid", 0, "whose-pid " + pid, 1}})
	w.write("fail-up", "")
	check(w, []printed{{"up", 6, "up feat-y", 1}})
	w.write("fail-down", "")
	check(w, brokenWorld)
	for _, verb := range cli.Verbs() {
		if !seen[verb] {
			t.Errorf("%s was not run", verb)
		}
	}
	for _, name := range []string{"fail-up", "fail-down"} {
		if err := os.Remove(filepath.Join(w.root, name)); err != nil {
			t.Fatal(err)
		}
	}
	check(w, []printed{
		{"recover", 0, "recover", 1}, {"up", 0, "up feat-z", 1}, {"shutdown", 0, "shutdown --delete-worktrees", 1},
		{"up", 0, "up feat-z", 1}, {"up", 0, "up feat-w", 1}, {"down", 0, "down feat-z feat-w", 1}, {"flush", 0, "flush --yes", 1},
	})
	w.must(exec.Command("git", "-C", w.root, "clean", "-qf"))
	w.mustBeClean("the end")
}

// schemaConfig has two hooks that fail where there is a file, and a service.
const schemaConfig = `mode = "host"
[hooks]
post_up = "! test -e $ECLUSE_ROOT/fail-up"
pre_down = "! test -e $ECLUSE_ROOT/fail-down"
[[services]]
name = "web"
base_port = %d
command = "echo $$ > $ECLUSE_ROOT/pid; exec webapp"
`

var emptyWorld = []printed{
	{"ls", 0, "ls", 1}, {"history", 0, "history", 1}, {"recover", 0, "recover", 1}, {"up", 0, "up feat-x --dry-run", 1},
	{"validate", 0, "validate --ports", 1}, {"config", 0, "config show", 1}, {"init", 2, "init", 1}, {"init", 2, "init --mode warp --force", 1},
	{"config", 2, "config", 1}, {"config", 2, "config nonsense", 1},
	{"down", 4, "down feat-x", 1}, {"env", 4, "env feat-x", 1}, {"status", 4, "status feat-x", 1}, {"logs", 4, "logs feat-x", 1},
	{"exec", 4, "exec feat-x -- true", 1}, {"shell", 4, "shell feat-x", 1}, {"up", 2, "up --upload-pack=x", 1}, {"up", 2, "up -- --upload-pack=x", 1},
	{"history", 4, "history feat-x", 1}, {"recover", 4, "recover feat-x", 1},
	{"gc", 0, "gc", 1}, {"doctor", 0, "doctor", 1}, {"shutdown", 0, "shutdown", 1}, {"flush", 0, "flush --yes", 1},
}

var fullWorld = []printed{
	{"up", 0, "up feat-x", 1}, {"up", 0, "up feat-x --dry-run", 1}, {"ls", 0, "ls", 1}, {"status", 0, "status feat-x", 1}, {"env", 0, "env feat-x", 1},
	{"history", 0, "history", 1}, {"logs", 0, "logs feat-x", 1}, {"logs", 0, "logs feat-x web", 1}, {"logs", -1, "logs feat-x nonsense", 1},
	{"recover", 0, "recover", 1}, {"recover", 0, "recover --repair --dry-run", 1}, {"exec", 0, "exec feat-x -- true", 0}, {"exec", 3, "exec feat-x -- sh -c 'exit 3'", 0},
	{"validate", 0, "validate --ports", 1}, {"sync", -1, "sync feat-x", 1}, {"gc", 0, "gc", 1}, {"doctor", 0, "doctor", 1}, {"flush", 2, "flush", 1},
}

var brokenWorld = []printed{
	{"down", 7, "down feat-x", 1}, {"ls", 0, "ls", 1}, {"status", -1, "status feat-x", 1}, {"recover", 1, "recover --dry-run", 1}, {"recover", 7, "recover", 1}, {"up", 7, "up feat-y", 1},
	{"history", 0, "history", 1}, {"up", -1, "up feat-z --services nonsense", 1},
}

// asPublished runs a command and validates every document that it prints.
func (w *world) asPublished(p printed) {
	w.t.Helper()
	args := append([]string{"--json"}, strings.Fields(strings.ReplaceAll(p.args, "'exit 3'", "exit_3"))...)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "exit_3", "exit 3")
	}
	o := w.run(nil, args...)
	if p.status >= 0 && o.status != p.status {
		w.t.Errorf("%s ended with %d, want %d\n%s%s", p.args, o.status, p.status, o.stdout, o.stderr)
	}
	name := p.verb
	if name == "config" {
		name = "config-show"
	}
	schema := compiled(w.t.(*testing.T), name)
	decoder, n := json.NewDecoder(strings.NewReader(o.stdout)), 0
	for ; ; n++ {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			w.t.Errorf("%s prints no JSON: %v\n%s", p.args, err, o.stdout)
			return
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			w.t.Errorf("%s: %v\n%s", p.args, err, raw)
		}
		object, _ := document.(map[string]any)
		_, failed := object["error"]
		if o.status != 0 && !failed && !slices.Contains([]string{"status", "whose-pid", "recover"}, p.verb) {
			w.t.Errorf("%s ended with %d and prints no error: %s", p.args, o.status, raw)
		}
	}
	if p.documents >= 0 && n != p.documents {
		w.t.Errorf("%s prints %d documents, want %d: %s", p.args, n, p.documents, o.stdout)
	}
}

// read reads a file of the repository.
func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.root, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// TestJSONOfContainers: what is printed of a session in Docker is as published, too.
func TestJSONOfContainers(t *testing.T) {
	t.Parallel()
	dockertest.Require(t)
	w := newWorld(t, "mode = \"container\"\n")
	w.compose("services:\n  web:\n    image: " + dockertest.Image(t) + "\n    ports: [\"9000:8080\"]\n")
	w.commit("compose file")
	for _, p := range []printed{
		{"up", 0, "up feat-x --dry-run", 1}, {"up", 0, "up feat-x", 1}, {"ls", 0, "ls", 1}, {"status", 0, "status feat-x", 1}, {"env", 0, "env feat-x", 1},
		{"logs", 0, "logs feat-x", 1}, {"validate", 0, "validate --ports", 1}, {"down", 0, "down feat-x", 1},
	} {
		w.asPublished(p)
	}
	w.mustBeClean("down")
}

// The schemas would not do as a test if they took anything.
func TestPublishedSchemasBite(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"up", "ls", "status", "env", "validate", "version"} {
		s := compiled(t, verb)
		for _, text := range []string{`{}`, `[{}]`, `"x"`, `{"error":{"code":1,"message":"x"}}`, `{"error":{"message":"x"}}`, `null`} {
			document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if s.Validate(document) == nil {
				t.Errorf("%s may print %s", verb, text)
			}
		}
		ok, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"error":{"code":"busy","message":"x"}}`))
		if err != nil || s.Validate(ok) != nil {
			t.Errorf("%s may not fail", verb)
		}
	}
}
