package main_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is a Go file of the module.
type source struct {
	path string // from the root, with slashes
	text string
	file *ast.File
	set  *token.FileSet
}

func (s source) pkg() string { return path.Dir(s.path) }

// test reports whether the file is no part of the product: a test, or of a
// package that supports tests, as dockertest does.
func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") || supportsTests(s.pkg()) }

func supportsTests(pkg string) bool {
	return slices.ContainsFunc(strings.Split(pkg, "/"), func(name string) bool { return strings.HasSuffix(name, "test") })
}

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(n.Pos()).Line)
}

// under reports whether the file's package is dir or lies below it.
func (s source) under(dir string) bool { return within(s.pkg(), dir) }

func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// imports lists what the file imports.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, name)
		}
	}
	return paths
}

// rule is a rule of the house: check lists what breaks it. Each of breaks must be
// caught: a rule that cannot bite is worth nothing.
type rule struct {
	name, reason string
	check        func([]source) []string
	breaks       []files
}

// files are texts of files by their paths.
type files map[string]string

func TestArchitecture(t *testing.T) {
	tree := load(t, os.DirFS("../.."))
	if len(tree) < 10 {
		t.Fatalf("only %d files were found", len(tree))
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, broken := range r.check(tree) {
				t.Errorf("%s\n\t%s: %s", broken, r.name, r.reason)
			}
		})
	}
}

func TestArchitectureRulesBite(t *testing.T) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			for _, broken := range r.breaks {
				var tree []source
				for _, name := range slices.Sorted(maps.Keys(broken)) {
					tree = append(tree, parse(t, name, broken[name]))
				}
				if len(r.check(tree)) == 0 {
					t.Errorf("nothing is wrong with\n%v", broken)
				}
			}
		})
	}
}

func load(t *testing.T, root fs.FS) []source {
	t.Helper()
	var tree []source
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || name == "docs"):
			return fs.SkipDir // no part of the product
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err == nil {
			tree = append(tree, parse(t, name, string(text)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func parse(t *testing.T, name, text string) source {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{path: name, text: text, file: file, set: set}
}

// rules lists all of them.
func rules() []rule {
	return slices.Concat(importRules(), textRules(), callRules())
}

// importRules say who may import whom. Tests are free: they may look behind every
// door.
func importRules() []rule {
	only := func(name, library, where, reason string) rule {
		return rule{
			name: name, reason: reason,
			check:  imports(func(s source, path string) bool { return within(path, library) && !s.under(where) }),
			breaks: []files{{"saga/a.go": fmt.Sprintf("package saga\nimport _ %q", library)}},
		}
	}
	never := func(from, to, reason string) rule {
		return rule{
			name: from + " never imports " + to, reason: reason,
			check:  imports(func(s source, path string) bool { return s.under(from) && within(path, "ecluse/"+to) }),
			breaks: []files{{from + "/a.go": fmt.Sprintf("package a\nimport _ %q", "ecluse/"+to)}},
		}
	}
	standard := func(path string) bool {
		first, _, _ := strings.Cut(path, "/")
		return first != "ecluse" && !strings.Contains(first, ".")
	}
	return []rule{
		only("only store imports bbolt", "go.etcd.io/bbolt", "store",
			"bbolt shuts everybody out while it is open; store opens it per transaction, behind its own lock"),
		only("only fsm imports looplab", "github.com/looplab/fsm", "fsm",
			"its machines wedge and accept misspelt states in silence; fsm.Next wraps what is safe of it"),
		only("only cmd/cli imports cobra", "github.com/spf13", "cmd/cli",
			"flags are read in one place; what lies below takes values"),
		{
			name: "saga imports the standard library only", reason: "the engine knows no session, no database and no terminal",
			check:  imports(func(s source, path string) bool { return s.pkg() == "saga" && !standard(path) }),
			breaks: []files{{"saga/a.go": "package saga\nimport _ \"ecluse/fsm\""}},
		},
		never("steps", "store", "a step writes state through its Attempt only, where it is fenced"),
		never("store", "steps", "the store keeps facts; it does not know what they mean"),
		never("fsm", "saga", "the lifecycle is a pure function of state and event"),
		never("saga", "steps", "the engine carries out whatever is a Step"),
		never("saga", "store", "a session's life declares the store that it needs; store implements it"),
		never("cmd/display", "saga/session", "a display shows what it is told, whoever tells it"),
		{
			name: "nothing below cmd imports cmd", reason: "imports go one way: cmd, then steps and store, then saga and fsm",
			check:  imports(func(s source, path string) bool { return !s.under("cmd") && within(path, "ecluse/cmd") }),
			breaks: []files{{"steps/a.go": "package steps\nimport _ \"ecluse/cmd/display\""}},
		},
		{
			name: "mechanisms know no sessions", reason: "git, docker, proc and their like do one thing each, and are tested without a session",
			check: imports(func(s source, path string) bool {
				return s.under("steps") && s.pkg() != "steps" && s.pkg() != "steps/look" && s.pkg() != "steps/rebuild" &&
					slices.Contains([]string{"ecluse/steps", "ecluse/saga", "ecluse/saga/session", "ecluse/fsm"}, path)
			}),
			breaks: []files{{"steps/git/a.go": "package git\nimport _ \"ecluse/saga/session\""}},
		},
		{
			name: "steps do not look", reason: "a step that must know whether its effect is there has Verify; look and detect stand above",
			check: imports(func(s source, path string) bool {
				return s.pkg() == "steps" && slices.Contains([]string{"ecluse/steps/look", "ecluse/steps/rebuild", "ecluse/steps/detect"}, path)
			}),
			breaks: []files{{"steps/a.go": "package steps\nimport _ \"ecluse/steps/look\""}},
		},
		{
			name: "only tests import what supports tests", reason: "it is no part of the product, and keeps none of its rules",
			check:  imports(func(s source, path string) bool { return supportsTests(path) && within(path, "ecluse") }),
			breaks: []files{{"steps/docker/a.go": "package docker\nimport _ \"ecluse/steps/docker/dockertest\""}},
		},
		{
			name:   "at most 14 direct requirements",
			reason: "each library is somebody else's code in the binary; write the few lines, or take one out",
			check:  requirements,
			breaks: []files{{"cmd/cli/a.go": manyImports(15)}},
		},
	}
}

// imports makes a check of the imports of what is not a test.
func imports(broken func(s source, path string) bool) func([]source) []string {
	return func(tree []source) (found []string) {
		for _, s := range tree {
			for _, path := range s.imports() {
				if !s.test() && broken(s, path) {
					found = append(found, s.path+" imports "+path)
				}
			}
		}
		return found
	}
}

// module cuts an import path to something that stands for its module: the host,
// the owner and the name on GitHub, the host and the name elsewhere.
var module = regexp.MustCompile(`^(github\.com/[^/]+/[^/]+|golang\.org/x/[^/]+|[^/]+\.[^/]+/[^/]+)`)

// requirements counts the modules that the product imports.
func requirements(tree []source) []string {
	used := map[string]bool{}
	for _, s := range tree {
		for _, path := range s.imports() {
			if m := module.FindString(path); m != "" && !s.test() {
				used[m] = true
			}
		}
	}
	if len(used) <= 14 {
		return nil
	}
	return []string{fmt.Sprintf("%d direct requirements: %s", len(used), strings.Join(slices.Sorted(maps.Keys(used)), " "))}
}

func manyImports(n int) string {
	var b strings.Builder
	b.WriteString("package a\n")
	for i := range n {
		fmt.Fprintf(&b, "import _ \"github.com/somebody/lib%d/v2/sub\"\n", i)
	}
	return b.String()
}

// textRules are about files, functions and words.
func textRules() []rule {
	return []rule{
		{
			name: "exactly one package comment", reason: "it is the specification of the package, and has one place",
			check: packageComments,
			breaks: []files{
				{"saga/a.go": "package saga"},
				{"saga/a.go": "// Package saga.\npackage saga", "saga/b.go": "// Package saga.\npackage saga"},
			},
		},
		{
			name: "files of at most 400 lines, tests 600", reason: "split by phase or concern, not into helpers",
			check:  fileLengths,
			breaks: []files{{"saga/a.go": "package saga" + strings.Repeat("\n", 401)}},
		},
		{
			name: "functions of at most 60 lines, tests 100", reason: "what does not fit on a page is not seen at a glance",
			check:  functionLengths,
			breaks: []files{{"saga/a.go": "package saga\nfunc f() {" + strings.Repeat("\n", 60) + "}"}},
		},
		{
			name: "errors say what was being done", reason: "\"start compose project: ...\", not \"failed to start ...\": the chain of causes is read as one sentence",
			check:  errorTexts,
			breaks: []files{{"saga/a.go": "package saga\nfunc f() { errors.New(\"a\"); fmt.Errorf(\"b: %w\", err); errors.New(\"Cannot do c\") }"}},
		},
		{
			name: "nothing is left for later", reason: "do it, or write it where it will be found: an issue",
			check:  marks,
			breaks: []files{{"saga/a_test.go": "package saga\n\n// TO" + "DO: something"}},
		},
	}
}

func packageComments(tree []source) (found []string) {
	comments := map[string]int{}
	for _, s := range tree {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		comments[s.pkg()] += 0
		if s.file.Doc != nil {
			comments[s.pkg()]++
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(comments)) {
		if n := comments[pkg]; n != 1 {
			found = append(found, fmt.Sprintf("%s has %d package comments", pkg, n))
		}
	}
	return found
}

func fileLengths(tree []source) (found []string) {
	for _, s := range tree {
		limit := 400
		if s.test() {
			limit = 600
		}
		if n := strings.Count(s.text, "\n"); n > limit {
			found = append(found, fmt.Sprintf("%s has %d lines of %d", s.path, n, limit))
		}
	}
	return found
}

// functionLengths is easier on tests, whose tables are long.
func functionLengths(tree []source) (found []string) {
	for _, s := range tree {
		limit := 60
		if s.test() {
			limit = 100
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > limit {
				found = append(found, fmt.Sprintf("%s: %s has %d lines of %d", s.at(f), f.Name.Name, n, limit))
			}
		}
	}
	return found
}

var sorry = regexp.MustCompile(`(?i)^"?\x60?(failed|unable|cannot|can't|could not|couldn't|error)\b`)

// errorTexts lets one text in ten begin with the word that fits it best.
func errorTexts(tree []source) (found []string) {
	all := 0
	calls(tree, func(s source, name string, call *ast.CallExpr) {
		if s.test() || name != "errors.New" && name != "fmt.Errorf" || len(call.Args) == 0 {
			return
		}
		text, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			return
		}
		if all++; sorry.MatchString(text.Value) {
			found = append(found, s.at(call)+" "+text.Value)
		}
	})
	if len(found)*10 <= all {
		return nil
	}
	return found
}

var mark = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

func marks(tree []source) (found []string) {
	for _, s := range tree {
		for _, group := range s.file.Comments {
			for _, comment := range group.List {
				if mark.MatchString(comment.Text) {
					found = append(found, s.at(comment)+" "+comment.Text)
				}
			}
		}
	}
	return found
}

// callRules are about what is used where.
func callRules() []rule {
	uses := func(where func(source) bool, names ...string) func([]source) []string {
		return func(tree []source) (found []string) {
			for _, s := range tree {
				if !where(s) {
					continue
				}
				ast.Inspect(s.file, func(n ast.Node) bool {
					if name := selector(n); slices.Contains(names, name) {
						found = append(found, s.at(n)+" uses "+name)
					}
					return true
				})
			}
			return found
		}
	}
	return []rule{
		{
			name: "nothing prints outside cmd", reason: "stdout carries results and stderr progress; the engine tells its Sink",
			check: uses(func(s source) bool { return !s.test() && !s.under("cmd") },
				"fmt.Print", "fmt.Printf", "fmt.Println", "os.Stdout", "os.Stderr", "log.Print", "log.Printf", "log.Println"),
			breaks: []files{{"steps/a.go": "package steps\nfunc f() { fmt.Println(1) }"}},
		},
		{
			name: "no os.WriteFile", reason: "a file that others read is replaced as a whole: google/renameio",
			check:  uses(func(s source) bool { return !s.test() }, "os.WriteFile", "ioutil.WriteFile"),
			breaks: []files{{"cmd/cli/a.go": "package cli\nfunc f() { os.WriteFile(``, nil, 0) }"}},
		},
		{
			name: "nobody exits but main", reason: "what is deferred must run: locks, terminals, journals",
			check:  uses(func(s source) bool { return !s.test() && s.pkg() != "cmd/ecluse" }, "os.Exit", "log.Fatal", "log.Fatalf"),
			breaks: []files{{"cmd/cli/a.go": "package cli\nfunc f() { os.Exit(1) }"}},
		},
		{
			name: "no sleeps in tests", reason: "a sleep is a guess: poll with a deadline, or let time.Sleep run in a synctest bubble",
			check:  sleeps,
			breaks: []files{{"saga/a_test.go": "package saga\nfunc f() { for range 3 { time.Sleep(1) }; synctest.Test(t, func() { time.Sleep(2) }); time.Sleep(3) }"}},
		},
	}
}

// sleeps finds those of a fixed length that are neither in the loop of a poll nor
// in a bubble where time is not real. An hour is how a process waits to be
// killed, and a variable is a random moment.
func sleeps(tree []source) (found []string) {
	for _, s := range tree {
		if !s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ForStmt, *ast.RangeStmt:
				return false
			case *ast.CallExpr:
				switch selector(n.Fun) {
				case "synctest.Test":
					return false
				case "time.Sleep":
					if selector(n.Args[0]) == "time.Hour" || !fixed(n.Args[0]) {
						return false
					}
					found = append(found, s.at(n)+" sleeps")
				}
			}
			return true
		})
	}
	return found
}

// fixed reports whether a duration is written out.
func fixed(duration ast.Expr) bool {
	found := false
	ast.Inspect(duration, func(n ast.Node) bool {
		_, literal := n.(*ast.BasicLit)
		found = found || literal || strings.HasPrefix(selector(n), "time.")
		return true
	})
	return found
}

// calls visits every call of a function of another package.
func calls(tree []source, visit func(s source, name string, call *ast.CallExpr)) {
	for _, s := range tree {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				visit(s, selector(call.Fun), call)
			}
			return true
		})
	}
}

// selector is "fmt.Println" for what is written like that, else "".
func selector(n ast.Node) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + sel.Sel.Name
}
