package docker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
)

// family is an image that another is built from, by all the ways to say so.
var family = map[string]string{
	"compose.yaml": `
services:
  leaf:
    build: {context: leaf, args: {ON: "family-middle"}}
    command: ["-serve=:80"]
    ports: ["80"]
  middle: {image: "family-middle:latest", build: {context: middle}}
  root: {image: family-root, build: {context: root}}
  other: {image: family-root, command: ["-serve=:80"]}
`,
	"root/Dockerfile":   "FROM scratch\nCOPY tool /tool\nCOPY text /text\nENTRYPOINT [\"/tool\"]\n",
	"root/text":         "of the session",
	"middle/Dockerfile": "from docker.io/library/family-root\nCOPY more /more\n",
	"middle/more":       "more",
	"leaf/Dockerfile":   "ARG ON=nothing\nFROM family-root AS stage\nFROM ${ON}:latest\nCOPY --from=stage /text /copied\nCOPY --from=family-root /text /again\n",
}

// TestBuiltFromEachOther: an image that is built from another one of the file is
// built from the session's, whatever else has its name.
func TestBuiltFromEachOther(t *testing.T) {
	t.Parallel()
	s := newStack(t, family)
	program(t, s, "root")
	s.start(t)
	if err := s.engine.Verify(t.Context(), s.up); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{"/text": "of the session", "/copied": "of the session", "/again": "of the session", "/more": "more"} {
		if got := s.get(t, "leaf", "/file?path="+path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	s.start(t)
	s.down(t, docker.DownOptions{})
	s.gone(t)
}

// TestDockerfiles: which names in a Dockerfile are those of images of the file.
func TestDockerfiles(t *testing.T) {
	tests := map[string]struct{ dockerfile, want string }{
		"an image":           {"FROM family-root", "FROM OWN"},
		"with a platform":    {"FROM --platform=linux/amd64 family-root as x", "FROM --platform=linux/amd64 OWN as x"},
		"another tag":        {"FROM family-root:1", ""},
		"another image":      {"FROM family-roots", ""},
		"a stage":            {"FROM scratch AS family-root\nFROM family-root\nCOPY --from=family-root /a /a", ""},
		"a variable":         {"ARG A=family-root\nFROM $A", "ARG A=family-root\nFROM OWN"},
		"a fallback":         {"FROM ${A:-family-root}", "FROM OWN"},
		"a mount":            {"FROM scratch\nRUN --mount=type=bind,from=family-root,target=/x true", "FROM scratch\nRUN --mount=type=bind,from=OWN,target=/x true"},
		"a text":             {"FROM scratch\nRUN <<EOF\nSELECT x\nFROM family-root\nEOF", ""},
		"a continued line":   {"FROM scratch\nRUN select x \\\nFROM family-root", ""},
		"behind a text":      {"FROM scratch\nCOPY <<X /x\nFROM y\nX\nFROM family-root", "FROM scratch\nCOPY <<X /x\nFROM y\nX\nFROM OWN"},
		"a line that is not": {"# FROM family-root\nFROM scratch", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{
				"compose.yaml": "services: {root: {image: family-root, build: {dockerfile_inline: FROM scratch}}, a: {build: {context: a}}}\n",
				"a/Dockerfile": test.dockerfile,
			} {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := rewritten(t, dir)
			var file struct {
				Services map[string]struct {
					Build struct {
						Text string `yaml:"dockerfile_inline"`
					}
				}
			}
			if err := yaml.Unmarshal(r.File, &file); err != nil {
				t.Fatal(err)
			}
			got := strings.NewReplacer("$$", "$", "p-root", "OWN").Replace(file.Services["a"].Build.Text)
			if got != test.want {
				t.Errorf("it becomes %q, want %q", got, test.want)
			}
			if stage := r.Services[1].Stage; (stage == 1) != (test.want != "") {
				t.Errorf("its base is of stage %d", stage)
			}
		})
	}
}

// TestBaseThatDoesNotRun: what is built from something that the session does not
// build is said.
func TestBaseThatDoesNotRun(t *testing.T) {
	dir := t.TempDir()
	text := "services: {root: {image: family-root, profiles: [build], build: {dockerfile_inline: FROM scratch}}, a: {build: {dockerfile_inline: FROM family-root}}}\n"
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := rewritten(t, dir)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "service a") || !strings.Contains(r.Warnings[0], "service root") {
		t.Errorf("warnings %q, want one that names both", r.Warnings)
	}
}

// TestBuiltFromItsOwnName: an image may be built from what has had its name before.
func TestBuiltFromItsOwnName(t *testing.T) {
	t.Parallel()
	s := newStack(t, map[string]string{"compose.yaml": "services: {a: {image: IMAGE}}\n"})
	name := "itself-" + s.up.Session
	dockertest.Docker(t, "tag", dockertest.Image(t), name)
	t.Cleanup(func() { dockertest.Docker(t, "image", "rm", name) })
	s.write(t, "compose.yaml", "services: {a: {image: "+name+", build: {dockerfile_inline: \"FROM "+name+"\\nENV X=1\\n\"}}}\n")
	s.rewrite(t)
	s.start(t)
}

// rewritten is the private file of a session called p.
func rewritten(t *testing.T, dir string) *docker.Rewritten {
	t.Helper()
	m, err := docker.Load(t.Context(), docker.LoadOptions{Dir: dir, Project: "p"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Rewrite(docker.Rewriting{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
