package docker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree makes a folder with these files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLoadErrors: what is wrong is said with its place.
func TestLoadErrors(t *testing.T) {
	clean(t)
	tests := map[string]struct {
		files map[string]string
		file  string
		line  int
		words string
	}{
		"syntax": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n   bad: x\n"},
			file:  "compose.yaml", line: 4, words: "did not find expected key",
		},
		"tab": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n\timage: a\n"},
			file:  "compose.yaml", line: 3,
		},
		"twice": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    image: b\n"},
			file:  "compose.yaml", line: 4, words: `mapping key "image" already defined`,
		},
		"not closed": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    ports: [1, 2\n  db:\n    image: b\n"},
			file:  "compose.yaml", line: 5,
		},
		"unknown key": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    prts: []\n"},
			file:  "compose.yaml", line: 4, words: "services.web.prts is not a key that Compose knows",
		},
		"wrong type": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    ports: nine\n"},
			file:  "compose.yaml", line: 4, words: "services.web.ports must be a array",
		},
		"required variable": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    command: x\n    image: ${IMG:?say which}\n"},
			file:  "compose.yaml", line: 4, words: "say which",
		},
		"unknown dependency": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    depends_on: [db]\n"},
			file:  "compose.yaml", line: 4, words: `depends on undefined service "db"`,
		},
		"in the override": {
			files: map[string]string{
				"compose.yaml":          "services:\n  web:\n    image: a\n",
				"compose.override.yaml": "services:\n  web:\n    imag: a\n",
			},
			file: "compose.override.yaml", line: 3,
		},
		"in an included file": {
			files: map[string]string{
				"compose.yaml": "include: [sub/db.yaml]\nservices:\n  web:\n    image: a\n",
				"sub/db.yaml":  "services:\n  db:\n    imag: a\n",
			},
			file: "sub/db.yaml", line: 3,
		},
		"a port that is none": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    ports: [\"eighty:80\"]\n"},
			file:  "compose.yaml", line: 4, words: "eighty",
		},
		"included file missing": {
			files: map[string]string{"compose.yaml": "include: [none.yaml]\n"},
			file:  "compose.yaml", line: 1, words: "no such file",
		},
		"env file missing": {
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    env_file: none.env\n"},
			file:  "compose.yaml", line: 4, words: "not found",
		},
		"broken .env": {
			files: map[string]string{"compose.yaml": "services: {web: {image: a}}\n", ".env": "A B=\"x\n"},
			file:  ".env",
		},
		"empty": {
			files: map[string]string{"compose.yaml": ""},
			file:  "compose.yaml", words: "empty compose file",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, test.files)
			_, err := Load(t.Context(), LoadOptions{Dir: dir, Project: project})
			var at *FileError
			if !errors.As(err, &at) {
				t.Fatalf("load: %v, want a FileError", err)
			}
			if at.File != filepath.Join(dir, test.file) || test.line != 0 && at.Line != test.line {
				t.Errorf("the error is at %s:%d, want %s:%d (%v)", at.File, at.Line, test.file, test.line, err)
			}
			if !strings.Contains(at.Err.Error(), test.words) {
				t.Errorf("the error is %q, want %q in it", at.Err, test.words)
			}
		})
	}
}

// TestErrorPlaces: also in files that are included and extended, and of what refers
// to something that is not there.
func TestErrorPlaces(t *testing.T) {
	clean(t)
	const web = "services:\n  web:\n    image: a\n"
	main := func(more string) map[string]string { return map[string]string{"compose.yaml": web + more} }
	with := func(more, file, text string) map[string]string {
		files := main(more)
		files[file] = text
		return files
	}
	const include = "include:\n  - a.yaml\n"
	const extends = "    extends:\n      file: a.yaml\n      service: b\n"
	const b = "services:\n  b:\n    image: b\n"
	tests := map[string]struct {
		files map[string]string
		at    string
	}{
		"port":                    {main("    ports:\n      - '80:80'\n      - '80:x'\n"), "compose.yaml:6"},
		"ranges of ports":         {main("    ports: ['80-90:80-81']\n"), "compose.yaml:4"},
		"port too big":            {main("    ports:\n      - '80000:80'\n"), "compose.yaml:5"},
		"port in words":           {main("    ports:\n      - target: x\n"), "compose.yaml:4"},
		"duration":                {main("    healthcheck:\n      interval: 5parsecs\n"), "compose.yaml:5"},
		"condition":               {main("    depends_on:\n      b: {condition: x}\n  b: {image: b}\n"), "compose.yaml:5"},
		"cast":                    {main("    privileged: ${X:-perhaps}\n"), "compose.yaml:4"},
		"variable":                {main("    command: ${X\n"), "compose.yaml:4"},
		"anchor":                  {main("    labels: *nowhere\n"), "compose.yaml:4"},
		"control character":       {map[string]string{"compose.yaml": "services:\n  web:\n    image: \"\x01\"\n"}, "compose.yaml:3"},
		"service twice":           {main("  web:\n    image: b\n"), "compose.yaml:4"},
		"section of a wrong type": {map[string]string{"compose.yaml": "name: x\nservices: [a]\n"}, "compose.yaml:2"},
		"unknown section":         {main("servics: {}\n"), "compose.yaml:4"},
		"no image":                {map[string]string{"compose.yaml": "services:\n  web:\n    command: x\n"}, "compose.yaml:2"},
		"two modes":               {main("    network_mode: host\n    networks: [default]\n"), "compose.yaml:2"},
		"dependency":              {main("    depends_on:\n      nobody: {condition: service_started}\n"), "compose.yaml:5"},
		"dependencies in a ring":  {main("    depends_on: [b]\n  b:\n    image: b\n    depends_on: [web]\n"), "compose.yaml:7"},
		"network of nobody":       {main("    network_mode: service:nobody\n"), "compose.yaml:4"},
		"volumes of nobody":       {main("    volumes_from:\n      - nobody:ro\n"), "compose.yaml:5"},
		"link":                    {main("    links: [nobody]\n"), "compose.yaml:4"},
		"network":                 {main("    networks:\n      - nowhere\n"), "compose.yaml:5"},
		"volume":                  {main("    volumes: ['none:/x']\n"), "compose.yaml:4"},
		"secret":                  {main("    secrets:\n      - none\n"), "compose.yaml:5"},
		"config":                  {main("    configs:\n      - source: none\n"), "compose.yaml:5"},
		"secret of a build":       {map[string]string{"compose.yaml": "services:\n  web:\n    build:\n      context: .\n      secrets: [none]\n"}, "compose.yaml:5"},
		"sources of a secret":     {main("secrets:\n  a:\n    file: x\n    environment: Y\n"), "compose.yaml:5"},

		"env file":           {main("    env_file:\n      - none.env\n"), "compose.yaml:5"},
		"in an env file":     {with("    env_file: a.env\n", "a.env", "A=1\nB C=x\n"), "a.env:2"},
		"in a raw env file":  {with("    env_file: [{path: a.env, format: raw}]\n", "a.env", "A=1\nB C=x\n"), "a.env:2"},
		"format of env file": {with("    env_file:\n      - {path: a.env, format: toml}\n", "a.env", ""), "compose.yaml:5"},
		"label file":         {main("    label_file: none\n"), "compose.yaml:4"},
		"in the .env":        {with("", ".env", "A=1\nB C=x\n"), ".env:2"},

		"include":                {main("include:\n  - none.yaml\n"), "compose.yaml:5"},
		"include, long":          {main("include:\n  - path: none.yaml\n"), "compose.yaml:5"},
		"env file of an include": {with("include:\n  - path: a.yaml\n    env_file: none.env\n", "a.yaml", b), "compose.yaml:6"},
		"include in an include":  {with(include, "a.yaml", "include:\n  - none.yaml\n"), "a.yaml:2"},
		"includes in a ring":     {with(include, "a.yaml", "include:\n  - compose.yaml\n"), "a.yaml:2"},
		"include of itself":      {main("include: [compose.yaml]\n"), "compose.yaml:4"},
		"include of a number":    {main("include: 5\n"), "compose.yaml:4"},
		"syntax, included":       {with(include, "a.yaml", b+"   bad: c\n"), "a.yaml:4"},
		"twice, included":        {with(include, "a.yaml", b+"    image: c\n"), "a.yaml:4"},
		"type, included":         {with(include, "a.yaml", b+"    ports: nine\n"), "a.yaml:4"},
		"port, included":         {with(include, "a.yaml", b+"    ports: ['a:b']\n"), "a.yaml:4"},
		"variable, included":     {with(include, "a.yaml", b+"    command: ${X:?none}\n"), "a.yaml:4"},
		"dependency, included":   {with(include, "a.yaml", b+"    depends_on: [nobody]\n"), "a.yaml:4"},
		"env file, included":     {with(include, "a.yaml", b+"    env_file: none.env\n"), "a.yaml:4"},

		"extended file":         {main("    extends:\n      file: none.yaml\n      service: x\n"), "compose.yaml:5"},
		"extended service":      {main("    extends: {service: none}\n"), "compose.yaml:4"},
		"service in a file":     {with(extends, "a.yaml", "services: {c: {image: c}}\n"), "compose.yaml:4"},
		"extended in a ring":    {main("    extends: b\n  b:\n    extends: web\n"), "compose.yaml:4"},
		"files in a ring":       {with(extends, "a.yaml", b+"    extends: {file: compose.yaml, service: web}\n"), "compose.yaml:4"},
		"syntax, extended":      {with(extends, "a.yaml", b+"   bad: c\n"), "a.yaml:4"},
		"twice, extended":       {with(extends, "a.yaml", b+"    image: c\n"), "a.yaml:4"},
		"unknown key, extended": {with(extends, "a.yaml", b+"    imag: c\n"), "a.yaml:4"},
		"type, extended":        {with(extends, "a.yaml", b+"    ports: nine\n"), "a.yaml:4"},
		"port, extended":        {with(extends, "a.yaml", b+"    ports: ['a:b']\n"), "a.yaml:4"},
		"variable, extended":    {with(extends, "a.yaml", b+"    command: ${X:?none}\n"), "a.yaml:4"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, test.files)
			_, err := Load(t.Context(), LoadOptions{Dir: dir, Project: project})
			var at *FileError
			if !errors.As(err, &at) {
				t.Fatalf("load: %v, want a FileError", err)
			}
			if got := fmt.Sprintf("%s:%d", strings.TrimPrefix(at.File, dir+"/"), at.Line); got != test.at {
				t.Errorf("the error is at %s, want %s (%v)", got, test.at, err)
			}
			if text := err.Error(); strings.Contains(text, "\n") {
				t.Errorf("the error has several lines: %q", text)
			}
		})
	}
}

// TestWhichFiles: the session's own files, and no others.
func TestWhichFiles(t *testing.T) {
	clean(t)
	const web = "services: {web: {image: a, volumes: ['./x:/x'], environment: {WHO: '${WHO}'}}}\n"
	dir := tree(t, map[string]string{
		"compose.yaml": web, "worktree/other.yaml": web, "worktree/sub/docker-compose.yml": web,
		"worktree/sub/.env": "WHO=sub\n", "worktree/.env": "WHO=top\n", "two/docker-compose.yml": web, "two/compose.yml": web,
		"two/docker-compose.override.yml": "services: {web: {image: b}}\n",
	})
	worktree := filepath.Join(dir, "worktree")
	if err := os.Symlink(filepath.Join(dir, "compose.yaml"), filepath.Join(worktree, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	load := func(opts LoadOptions) (*Model, error) {
		opts.Project = project
		return Load(t.Context(), opts)
	}
	if _, err := load(LoadOptions{Dir: worktree}); !errors.Is(err, ErrNoFile) {
		t.Errorf("the file of the folder above was taken: %v", err)
	}
	for _, file := range []string{"../compose.yaml", "link.yaml", filepath.Join(dir, "compose.yaml")} {
		if _, err := load(LoadOptions{Dir: worktree, Files: []string{file}}); !errors.Is(err, ErrOutside) {
			t.Errorf("%s: %v, want ErrOutside", file, err)
		}
	}
	if _, err := load(LoadOptions{Dir: worktree, Files: []string{"none.yaml"}}); !errors.Is(err, ErrNoFile) {
		t.Errorf("none.yaml: %v, want ErrNoFile", err)
	}
	// Paths and .env are those of the file's folder.
	m, err := load(LoadOptions{Dir: worktree, Files: []string{"sub/docker-compose.yml"}})
	if err != nil {
		t.Fatal(err)
	}
	s := m.project.Services["web"]
	if who := s.Environment["WHO"]; who == nil || *who != "sub" || s.Volumes[0].Source != filepath.Join(worktree, "sub/x") {
		t.Errorf("sub/docker-compose.yml is read as %+v", s)
	}
	m, err = load(LoadOptions{Dir: filepath.Join(dir, "two")})
	if err != nil {
		t.Fatal(err)
	}
	if m.project.Services["web"].Image != "b" || filepath.Base(m.Files[0]) != "compose.yml" {
		t.Errorf("of two files these were taken: %v", m.Files)
	}
}

// TestWhatVariablesMean: the session's variables win over the process's, and those
// over the .env, which may be one that is still to be inherited.
func TestWhatVariablesMean(t *testing.T) {
	clean(t)
	t.Setenv("A", "process")
	t.Setenv("B", "process")
	dir := tree(t, map[string]string{
		"wt/compose.yaml": "services: {web: {image: '${A}-${B}-${C}-${D-}', profiles: [p]}, db: {image: x, env_file: later.env}}\n",
		".env":            "A=file\nB=file\nC=file\nCOMPOSE_PROFILES=p\n",
	})
	wt := filepath.Join(dir, "wt")
	opts := LoadOptions{
		Dir: wt, Project: project, Env: map[string]string{"A": "session"}, Shallow: true,
		StandIns: map[string]string{filepath.Join(wt, ".env"): filepath.Join(dir, ".env")},
	}
	m, err := Load(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.project.Services["web"].Image; got != "session-process-file-" {
		t.Errorf("the image is %q", got)
	}
	opts.Shallow = false
	if _, err := Load(t.Context(), opts); err == nil {
		t.Error("an env file that is missing was not missed")
	}
}

func TestSelect(t *testing.T) {
	clean(t)
	dir := tree(t, map[string]string{"compose.yaml": `
services:
  app: {image: a, labels: [ecluse.role=app], depends_on: [db], networks: [own], volumes: ["own:/x"]}
  inner: {image: a, network_mode: "service:app"}
  reader: {image: a, volumes_from: [inner]}
  proxy: {image: a, depends_on: {app: {condition: service_healthy}}}
  db: {image: a, volumes: ["data:/x"], depends_on: [needed]}
  needed: {image: a}
  tool: {image: a, profiles: [tools], depends_on: [db]}
networks: {own: }
volumes: {own: , data: , nobody: }
`})
	m, err := Load(t.Context(), LoadOptions{Dir: dir, Project: project})
	if err != nil {
		t.Fatal(err)
	}
	app := m.Labelled("ecluse.role", "app")
	if !slices.Equal(app, []string{"app"}) || len(m.Labelled("ecluse.role", "")) != 0 {
		t.Errorf("labelled: %v", app)
	}
	tests := map[string]struct {
		sel      Selection
		services []string
		volumes  []string
		warnings int
	}{
		"all":          {services: []string{"app", "db", "inner", "needed", "proxy", "reader"}, volumes: []string{"data", "own"}},
		"without":      {sel: Selection{Without: app}, services: []string{"db", "needed", "proxy"}, volumes: []string{"data"}, warnings: 3},
		"only":         {sel: Selection{Only: []string{"db"}}, services: []string{"db", "needed"}, volumes: []string{"data"}},
		"of a profile": {sel: Selection{Only: []string{"tool"}}, services: []string{"db", "needed", "tool"}, volumes: []string{"data"}},
		"both":         {sel: Selection{Only: []string{"proxy"}, Without: app}, services: []string{"db", "needed", "proxy"}, volumes: []string{"data"}, warnings: 1},
		"unknown left": {sel: Selection{Without: []string{"none"}}, services: []string{"app", "db", "inner", "needed", "proxy", "reader"}, volumes: []string{"data", "own"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := m.Select(test.sel)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Services(), test.services) {
				t.Errorf("services %v, want %v", got.Services(), test.services)
			}
			if names := got.project.VolumeNames(); !slices.Equal(names, test.volumes) {
				t.Errorf("volumes %v, want %v", names, test.volumes)
			}
			if len(got.Warnings) != test.warnings {
				t.Errorf("%d warnings, want %d: %q", len(got.Warnings), test.warnings, got.Warnings)
			}
		})
	}
	if len(m.Services()) != 6 || len(m.Warnings) != 0 {
		t.Errorf("the model itself was changed: %v %v", m.Services(), m.Warnings)
	}
	if _, err := m.Select(Selection{Only: []string{"none"}}); err == nil {
		t.Error("an unknown service was selected")
	}
}

func TestPublish(t *testing.T) {
	clean(t)
	dir := tree(t, map[string]string{"compose.yaml": `
services:
  db: {image: a, ports: ["5432:5432", "9000:9000", "5432:5432/udp"]}
  bare: {image: a}
`})
	m, err := Load(t.Context(), LoadOptions{Dir: dir, Project: project, Publish: []Publish{
		{Service: "db", Container: 9000, Name: "db.admin", Base: 19000},
		{Service: "db", Container: 5432, Protocol: "udp", Hidden: true},
		{Service: "bare", Container: 80, Name: "bare", Base: 8000},
		{Service: "none", Container: 80},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Published{
		{Name: "bare", Service: "bare", Container: 80, Base: 8000, Protocol: "tcp"},
		{Name: "db", Service: "db", Container: 5432, Base: 5432, Protocol: "tcp"},
		{Name: "db.admin", Service: "db", Container: 9000, Base: 19000, Protocol: "tcp"},
	}
	if got := m.Published(); !slices.Equal(got, want) {
		t.Errorf("published %+v, want %+v", got, want)
	}
	if _, err := m.Rewrite(Rewriting{Leases: map[string]int{"db": 1}}); !errors.Is(err, ErrNoLease) {
		t.Errorf("rewrite: %v, want ErrNoLease", err)
	}
}

func TestImageName(t *testing.T) {
	seen := map[string]bool{}
	for _, service := range []string{"web", "Web", "WEB", "a.b", "a_b", "a__b", "_x", "x_", "a-_b"} {
		name := imageName("p_slug_01", service)
		if !imagePattern.MatchString(name) || seen[name] {
			t.Errorf("the image of %s is %q", service, name)
		}
		seen[name] = true
	}
	if got := imageName("p_slug_01", "web"); got != "p_slug_01-web" {
		t.Errorf("the image of web is %q", got)
	}
}

// TestManyServices: a file of 500 services is read and rewritten while one waits.
func TestManyServices(t *testing.T) {
	clean(t)
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 500 {
		fmt.Fprintf(&b, "  s%d: {image: a, ports: ['%d:80'], volumes: ['v%d:/v'], depends_on: [s%d]}\n", i, 10000+i, i, i+1)
	}
	b.WriteString("  s500: {image: a}\n")
	b.WriteString("volumes:\n")
	for i := range 500 {
		fmt.Fprintf(&b, "  v%d:\n", i)
	}
	dir := tree(t, map[string]string{"compose.yaml": b.String()})
	began := time.Now()
	m := load(t, dir)
	r := rewritten(t, m)
	if len(r.Services) != 501 || len(m.Published()) != 500 {
		t.Errorf("%d services, %d ports", len(r.Services), len(m.Published()))
	}
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
}
