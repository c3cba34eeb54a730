package steps

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// modelsOf reads these files of a worktree, for which no engine is needed.
func modelsOf(t *testing.T, cfg settings.Config, files map[string]string) ([]*docker.Model, error) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := &composeRig{s: session.Session{Key: session.Key{Repo: root, Slug: "feat"}, Root: root, Worktree: root, Slot: 1, Ports: map[string]int{}}}
	r.Target = &Target{Handle: r, Config: cfg, Dir: filepath.Join(root, "private")}
	return r.models(t.Context(), true)
}

// TestMergedFiles: the files of compose.file are merged, and their paths count from
// the folder of the first.
func TestMergedFiles(t *testing.T) {
	cfg := composeConfig(settings.ModeContainer)
	cfg.Compose.File = []string{"deploy/base.yaml", "dev.yaml"}
	models, err := modelsOf(t, cfg, map[string]string{
		"deploy/base.yaml": "services: {web: {image: none, ports: [\"80\"]}}", "dev.yaml": "services: {web: {ports: [\"81\"]}, mail: {image: none}}",
		"compose.yaml": "services: {other: {image: none}}",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(models) != 1 || !slices.Equal(models[0].Services(), []string{"mail", "web"}) || len(models[0].Published()) != 2 {
		t.Errorf("got %v", models)
	}
}

// TestLeasesOfTwoFiles: no two services of a session have one lease, be it one of a
// profile that is chosen only now and then.
func TestLeasesOfTwoFiles(t *testing.T) {
	cfg := composeConfig(settings.ModeContainer)
	cfg.Services = []settings.Service{contained("web", ""), contained("job", "worker/compose.yaml")}
	files := map[string]string{
		"compose.yaml":        "services: {web: {image: none}, db: {image: none, ports: [\"80\", \"81\"], profiles: [data]}}",
		"worker/compose.yaml": "services: {job: {image: none}, db: {image: none, ports: [\"80\", \"81\"]}}",
	}
	for _, profiles := range [][]string{nil, {"data"}} {
		cfg.Compose.Profiles = profiles
		models, err := modelsOf(t, cfg, files)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range models[1].Published() {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, []string{"worker-db", "worker-db.81", "job"}) {
			t.Errorf("with profiles %v the second file has %v", profiles, got)
		}
		if names := models[0].Published(); (len(names) == 3) != (len(profiles) > 0) {
			t.Errorf("with profiles %v the first file has %+v", profiles, names)
		}
	}
}

// TestPlacelessServices: a service that is not where the configuration says is
// reported with the file that lacks it, and what that has.
func TestPlacelessServices(t *testing.T) {
	files := map[string]string{
		"compose.yaml":        "services: {web: {image: none}, extra: {image: none, profiles: [extra]}}",
		"docker-compose.yml":  "services: {old: {image: none}}",
		"worker/compose.yaml": "services: {job: {image: none}}",
	}
	for name, test := range map[string]struct {
		services []settings.Service
		want     []string // in the error; none means that there is none
	}{
		"all there":           {[]settings.Service{contained("web", ""), contained("job", "worker/compose.yaml")}, nil},
		"of a profile":        {[]settings.Service{contained("extra", "")}, nil},
		"in the other":        {[]settings.Service{contained("web", ""), contained("db", "worker/compose.yaml")}, []string{"service db", "worker/compose.yaml", "job"}},
		"not in the root's":   {[]settings.Service{contained("job", "")}, []string{"service job", "compose.yaml", "web"}},
		"not the file found":  {[]settings.Service{contained("web", ""), contained("old", "docker-compose.yml")}, []string{"service old", "docker-compose.yml", "compose.yaml"}},
		"file not there":      {[]settings.Service{contained("web", "none/compose.yaml")}, []string{"none/compose.yaml"}},
		"found, and named so": {[]settings.Service{contained("web", ""), contained("extra", "./compose.yaml")}, nil},
	} {
		cfg := composeConfig(settings.ModeHybrid)
		cfg.Services = test.services
		_, err := modelsOf(t, cfg, files)
		switch {
		case len(test.want) == 0 && err != nil:
			t.Errorf("%s: %v", name, err)
		case len(test.want) > 0 && err == nil:
			t.Errorf("%s: no error", name)
		case len(test.want) > 0 && !containsAll(err.Error(), test.want):
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
}

// TestDoubtfulBasePort: a port that is published where, as the file says, nothing
// listens is published all the same, with a warning.
func TestDoubtfulBasePort(t *testing.T) {
	for name, test := range map[string]struct {
		service string // in the file
		port    int
		hidden  bool
		want    string
	}{
		"published":         {`ports: ["8080:80"]`, 80, false, ""},
		"host port meant":   {`ports: ["8080:80"]`, 8080, false, "host_port = 8080 with base_port = 80"},
		"exposed":           {`ports: ["80"], expose: ["9000"]`, 9000, false, ""},
		"in a range":        {`expose: ["9000-9010/tcp"]`, 9005, false, ""},
		"beyond the range":  {`expose: ["9000-9010"]`, 9011, false, "exposes 9000, 9001, 9002, 9003, 9004, ...;"},
		"nothing is said":   {`restart: always`, 5432, false, ""},
		"it is not wanted":  {`ports: ["8080:80"]`, 8080, true, ""},
		"one of two ranges": {`ports: ["80-81", "90"]`, 90, false, ""},
	} {
		cfg := composeConfig(settings.ModeContainer)
		hidden := !test.hidden
		cfg.Services = []settings.Service{{Name: "web", Run: settings.RunDocker, BasePort: test.port, PublishPrimary: &hidden}}
		models, err := modelsOf(t, cfg, map[string]string{"compose.yaml": "services: {web: {image: none, " + test.service + "}}"})
		if err != nil {
			t.Fatal(err)
		}
		warnings := strings.Join(models[0].Warnings, "\n")
		if (test.want == "") != (warnings == "") || !strings.Contains(warnings, test.want) {
			t.Errorf("%s: got %q, want %q", name, warnings, test.want)
		}
		here := slices.ContainsFunc(models[0].Published(), func(p docker.Published) bool { return p.Container == test.port && p.Name == "web" })
		if here == test.hidden {
			t.Errorf("%s: it publishes %+v", name, models[0].Published())
		}
	}
}

// TestLeftOut: once a service of a file is named, those that are not do not start, and
// that is said: not of what runs natively, of what starts as a dependency, or of what
// was chosen away.
func TestLeftOut(t *testing.T) {
	files := map[string]string{"compose.yaml": `services:
  db: {image: none}
  web: {image: none, depends_on: [cache]}
  cache: {image: none}
  worker: {image: none}
  mailer: {image: none, profiles: [mail]}
  app: {image: none, labels: {ecluse.role: app}}
`}
	named := func(names ...string) (list []settings.Service) {
		for _, name := range names {
			list = append(list, settings.Service{Name: name, Run: settings.RunDocker})
		}
		return list
	}
	for name, test := range map[string]struct {
		mode     string
		services []settings.Service
		profiles []string
		choice   settings.Choice
		want     []string // in the warning; none means that there is none
		part     string   // in the plan
	}{
		"none named":         {settings.ModeHybrid, nil, nil, settings.Choice{}, nil, "data services"},
		"in containers":      {settings.ModeContainer, named("db"), nil, settings.Choice{}, nil, "all services"},
		"one named":          {settings.ModeHybrid, named("db"), nil, settings.Choice{}, []string{"cache, web, worker are in compose.yaml"}, "db"},
		"with a dependency":  {settings.ModeHybrid, named("db", "web"), nil, settings.Choice{}, []string{"worker is in compose.yaml"}, "db, web"},
		"of a profile":       {settings.ModeHybrid, named("db", "web", "worker"), []string{"mail"}, settings.Choice{}, []string{"mailer is in"}, "db, web, worker"},
		"not of the profile": {settings.ModeHybrid, named("db", "web", "worker"), nil, settings.Choice{}, nil, "db, web, worker"},
		"native":             {settings.ModeHybrid, append(named("db", "web"), settings.Service{Name: "worker", Command: "x"}), nil, settings.Choice{}, nil, "db, web"},
		"chosen":             {settings.ModeHybrid, named("db", "web"), nil, settings.Choice{Only: []string{"worker", "db"}}, nil, "data services"},
		"chosen away":        {settings.ModeHybrid, named("db", "web"), nil, settings.Choice{Skip: []string{"web"}}, []string{"worker is in"}, "db"},
	} {
		cfg := composeConfig(test.mode)
		cfg.Services, cfg.Choice, cfg.Compose.Profiles = test.services, test.choice, test.profiles
		models, err := modelsOf(t, cfg, files)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := strings.Join(slices.DeleteFunc(models[0].Warnings, func(w string) bool { return !strings.Contains(w, "not started") }), "; ")
		if len(test.want) == 0 && got != "" || !containsAll(got, test.want) {
			t.Errorf("%s: the warning is %q", name, got)
		}
		if part := partOf(cfg, groups(cfg)[0]); part != test.part {
			t.Errorf("%s: the plan names %q", name, part)
		}
	}
}

// containsAll reports whether a text has every word.
func containsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}
