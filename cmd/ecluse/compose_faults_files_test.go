package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// fileFault is a compose file that cannot be used: which files the branch has, where
// the mistake is, and how it is told.
type fileFault struct {
	files map[string]string
	place string
	words []string
}

// fileFaults are such files, by what is wrong with them.
var fileFaults = map[string]fileFault{
	"a syntax error": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    image: IMAGE\n   ports: [80]\n"},
		place: "compose.yaml:4:",
	},
	"a wrong type": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    image: IMAGE\n    ports: 80\n"},
		place: "compose.yaml:4:", words: []string{"ports"},
	},
	"an unknown key": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    image: IMAGE\n    prots: [80]\n"},
		place: "compose.yaml:4:", words: []string{"prots"},
	},
	"an unknown dependency": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    image: IMAGE\n    depends_on: [stroe]\n"},
		place: "compose.yaml:4:", words: []string{"web", "stroe"},
	},
	"a circle": {
		files: map[string]string{"compose.yaml": "services:\n  a: {image: IMAGE, depends_on: [b]}\n  b: {image: IMAGE, depends_on: [a]}\n"},
		place: "compose.yaml:", words: []string{"a", "b", "cycle"},
	},
	"a missing env_file": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    image: IMAGE\n    env_file: [app.env]\n"},
		place: "compose.yaml:4:", words: []string{"app.env"},
	},
	"a missing include": {
		files: map[string]string{"compose.yaml": "include: [more.yaml]\nservices:\n  web: {image: IMAGE}\n"},
		place: "compose.yaml:1:", words: []string{"more.yaml"},
	},
	"an error in an include": {
		files: map[string]string{
			"compose.yaml": "include: [more.yaml]\nservices:\n  web: {image: IMAGE}\n",
			"more.yaml":    "services:\n  other:\n    image: IMAGE\n    ports: 80\n",
		},
		place: "more.yaml:4:", words: []string{"ports"},
	},
	"a variable that is not set": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    image: IMAGE\n    environment:\n      A: ${API_KEY_OF_TESTS:?ask Ada for it}\n"},
		place: "compose.yaml:5:", words: []string{"API_KEY_OF_TESTS", "ask Ada for it"},
	},
	"no image": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    ports: [80]\n"},
		place: "compose.yaml:2:", words: []string{"web", "image"},
	},
	"a bad port": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    image: IMAGE\n    ports: [\"eighty:80\"]\n"},
		place: "compose.yaml:4:", words: []string{"eighty"},
	},
	"an empty file": {
		files: map[string]string{"compose.yaml": "\n"},
		place: "compose.yaml", words: []string{"empty"},
	},
	"no file": {
		files: map[string]string{"other.txt": "x"},
		place: "", words: []string{"no compose file", "feat-x"},
	},
	"a missing secret": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    image: IMAGE\n    secrets: [key]\nsecrets:\n  key: {file: ./key.txt}\n"},
		place: "", words: []string{"start the services: docker says", "key.txt"},
	},
	"a missing build context": {
		files: map[string]string{"compose.yaml": "services:\n  web:\n    build: ./src\n"},
		place: "", words: []string{"start the services: docker says", "/src"},
	},
}

// Compose files that cannot be used fail the up with the place of the mistake, and
// nothing is left.
func TestComposeFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	sideBySide(t, fileFaults, func(t *testing.T, fault fileFault) {
		w := newComposeWorld(t, composeConfig, "")
		for file, text := range fault.files {
			w.write(file, w.fill(text))
		}
		w.commit("a mistake")
		f := w.fails(6, "up", "feat-x")
		f.names(t, append(fault.words, fault.place)...)
		w.mustBeClean("after up")
	})
}

// A compose file that lies outside of the worktree is another session's, or
// nobody's.
func TestAComposeFileOutside(t *testing.T) {
	t.Parallel()
	sideBySide(t, map[string]func(w *world) string{
		"in the main worktree": func(w *world) string {
			w.write("services.yaml", w.fill("services:\n  web: {image: IMAGE}\n"))
			return filepath.Join(w.root, "services.yaml")
		},
		"elsewhere": func(*world) string { return "/etc/hostname" },
		"nowhere":   func(*world) string { return "/no/such/file" },
	}, func(t *testing.T, link func(w *world) string) {
		w := newComposeWorld(t, composeConfig, "")
		w.must(exec.Command("ln", "-s", link(w), filepath.Join(w.root, "compose.yaml")))
		w.commit("a link")
		f := w.fails(6, "up", "feat-x")
		f.names(t, "compose.yaml")
		w.mustBeClean("after up")
	})
}

// A down removes everything, whatever has become of the files that it was made
// from.
func TestADownWithoutItsFiles(t *testing.T) {
	t.Parallel()
	sideBySide(t, map[string]func(w *world, worktree string){
		"the compose file has changed": func(w *world, worktree string) {
			if err := os.WriteFile(filepath.Join(worktree, "compose.yaml"), []byte("services:\n  other: {image: nobody/has-this}\n"), 0o600); err != nil {
				w.t.Fatal(err)
			}
		},
		"the compose file has a mistake": func(w *world, worktree string) {
			if err := os.WriteFile(filepath.Join(worktree, "compose.yaml"), []byte("services: [\n"), 0o600); err != nil {
				w.t.Fatal(err)
			}
		},
		"the compose file is gone": func(w *world, worktree string) {
			w.must(exec.Command("rm", filepath.Join(worktree, "compose.yaml")))
		},
		"the worktree is gone": func(w *world, worktree string) {
			w.must(exec.Command("rm", "-rf", worktree))
		},
		"the session's folder is gone": func(w *world, _ string) {
			private, err := filepath.Glob(filepath.Join(w.state, "sessions", "*", "compose*.yaml"))
			if err != nil || len(private) == 0 {
				w.t.Fatalf("there is no private compose file: %v", err)
			}
			w.must(exec.Command("rm", "-rf", filepath.Dir(private[0])))
		},
	}, func(t *testing.T, harm func(w *world, worktree string)) {
		w := newComposeWorld(t, composeConfig, twoServices)
		w.ecluse(0, "up", "feat-x")
		s, err := w.featX()
		if err != nil {
			t.Fatal(err)
		}
		harm(w, s.Worktree)
		w.ecluse(0, "down", "feat-x")
		w.mustBeClean("after down")
	})
}
