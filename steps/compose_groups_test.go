package steps

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/settings"
)

// contained is a service of a compose file; without a file of the root's.
func contained(name, file string) settings.Service {
	return settings.Service{Name: name, Run: settings.RunDocker, BasePort: 80, Compose: file}
}

func TestGroups(t *testing.T) {
	native := settings.Service{Name: "web", BasePort: 3000, Compose: "ignored.yaml"}
	for name, test := range map[string]struct {
		mode     string
		files    []string
		services []settings.Service
		want     string // step: services; ...
	}{
		"none in host mode":         {settings.ModeHost, nil, nil, ""},
		"no services":               {settings.ModeContainer, nil, nil, "compose:"},
		"native alone":              {settings.ModeHybrid, nil, []settings.Service{native}, "compose:"},
		"file named":                {settings.ModeContainer, []string{"a.yaml"}, nil, "compose:a.yaml:"},
		"files merged":              {settings.ModeContainer, []string{"x/a.yaml", "b.yaml"}, nil, "compose:x/a.yaml:"},
		"one elsewhere":             {settings.ModeHybrid, nil, []settings.Service{native, contained("db", "./worker//compose.yaml")}, "compose:worker/compose.yaml: db"},
		"root first":                {settings.ModeHybrid, nil, []settings.Service{contained("db", "w/c.yaml"), contained("web", "")}, "compose: web; compose:w/c.yaml: db"},
		"root for its file":         {settings.ModeHybrid, []string{"a.yaml"}, []settings.Service{contained("db", "w/c.yaml")}, "compose:a.yaml:; compose:w/c.yaml: db"},
		"in the order of services":  {settings.ModeHybrid, nil, []settings.Service{contained("a", "z/c.yaml"), contained("b", "y/c.yaml"), contained("c", "z/./c.yaml")}, "compose:z/c.yaml: a c; compose:y/c.yaml: b"},
		"one of the root's files":   {settings.ModeHybrid, []string{"a.yaml", "b.yaml"}, []settings.Service{contained("db", "./b.yaml"), contained("web", "")}, "compose:a.yaml: db web"},
		"what Compose finds, named": {settings.ModeHybrid, nil, []settings.Service{contained("db", "compose.yaml"), contained("web", "")}, "compose: db web"},
		"the same, always named":    {settings.ModeHybrid, nil, []settings.Service{contained("db", "compose.yaml")}, "compose:compose.yaml: db"},
	} {
		cfg := composeConfig(test.mode)
		cfg.Compose.File, cfg.Services = test.files, test.services
		var got []string
		for _, g := range groups(cfg) {
			text := g.Step + ":"
			if g.Step == composeStep {
				text = g.Step + ":"
			}
			for _, s := range g.Services {
				text += " " + s.Name
			}
			got = append(got, text)
			if diff := cmp.Diff(g, groupOf(cfg, g.Step)); diff != "" {
				t.Errorf("%s: the group of %s is another: %s", name, g.Step, diff)
			}
		}
		if text := strings.Join(got, "; "); text != test.want {
			t.Errorf("%s: got %q, want %q", name, text, test.want)
		}
	}
}

func TestComposeProjects(t *testing.T) {
	cfg := composeConfig(settings.ModeHybrid)
	s := session.Session{Key: session.Key{Repo: "/r", Slug: "feat"}}
	m := mark("/r")
	cfg.Services = []settings.Service{contained("root", "")}
	for i, file := range []string{"worker/compose.yaml", "compose.db.yaml", "a/Übung 1/c.yaml", "---/c.yaml", "x/api/c.yaml", "y/api/c.yaml", strings.Repeat("n", 60) + "/c.yaml"} {
		cfg.Services = append(cfg.Services, contained(fmt.Sprint("s", i), file))
	}
	got := projects(cfg, s)
	for i, project := range got {
		if i > 1 { // the folder does not say it all
			got[i] = regexp.MustCompile("-[0-9a-f]{6}_"+m+"$").ReplaceAllString(project, "-HASH")
		}
		if i > 0 { // and it is the same without the others
			alone := cfg
			alone.Services = cfg.Services[i : i+1]
			if have := projects(alone, s); !slices.Equal(have, []string{project}) {
				t.Errorf("alone it is %v, not %s", have, project)
			}
		}
	}
	want := []string{
		"ecluse_feat_" + m, "ecluse_feat_worker_" + m, "ecluse_feat_compose-db-HASH", "ecluse_feat_bung-1-HASH", "ecluse_feat_compose-HASH",
		"ecluse_feat_api-HASH", "ecluse_feat_api-HASH", "ecluse_feat_" + strings.Repeat("n", maxLabel) + "-HASH",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if vars, err := Environment(cfg, s); err != nil || vars["COMPOSE_PROJECT_NAME"] != got[0] {
		t.Errorf("environment %v, %v", vars, err)
	}
	other := s
	other.Slug = "feat-worker"
	if slices.Contains(projects(cfg, s), Project(cfg, other)) {
		t.Error("it is the project of another session")
	}
}

// TestComposeProjectsDiffer: whatever the files are called, no two projects, private
// files or steps of a session are the same, and none is another session's.
func TestComposeProjectsDiffer(t *testing.T) {
	file := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.StringMatching(`[aAbB_. -]{1,3}`), 1, 3).Draw(t, "parts")
		return filepath.Join(parts...)
	})
	slug := rapid.StringMatching(`[ab][ab-]{0,4}[ab]`)
	rapid.Check(t, func(t *rapid.T) {
		cfg := composeConfig(settings.ModeHybrid)
		for i, f := range rapid.SliceOf(file).Draw(t, "files") {
			if filepath.IsLocal(f) {
				cfg.Services = append(cfg.Services, contained(fmt.Sprint("s", i), f))
			}
		}
		one := session.Session{Key: session.Key{Repo: "/r", Slug: slug.Draw(t, "slug")}}
		two := session.Session{Key: session.Key{Repo: "/r", Slug: slug.Draw(t, "other slug")}}
		seen := map[string]bool{}
		add := func(name string) {
			if seen[name] {
				t.Fatalf("two are called %s: %+v", name, groups(cfg))
			}
			seen[name] = true
		}
		for _, g := range groups(cfg) {
			add(g.Step)
			add(g.private("/private"))
			add(g.project(cfg, one))
			if one.Slug != two.Slug {
				add(g.project(cfg, two))
			}
		}
	})
}

func TestLeaseNames(t *testing.T) {
	cfg := composeConfig(settings.ModeHybrid)
	cfg.Services = []settings.Service{
		{Name: "api", BasePort: 3000, Command: "x"}, {Name: "port", BasePort: 4000},
		contained("web", ""), contained("queue", "worker/c.yaml"), contained("last", "cron/c.yaml"),
	}
	groups := groups(cfg)
	names := namesOfLeases(cfg)
	for i, test := range []struct {
		services []string
		want     map[string]string
	}{
		// The root's keep their names, but for one that a native service answers
		// at, and one that another group's service has by the configuration.
		{[]string{"api", "db", "my-db", "port", "queue", "web"}, map[string]string{"api": "compose-api", "queue": "compose-queue"}},
		// my_db would be in the variable of my-db; worker-db is there.
		{[]string{"api", "db", "my_db", "port", "queue", "worker-db", "own"}, map[string]string{
			"api": "worker-api", "db": "worker-db-2", "my_db": "worker-my_db", "port": "worker-port",
		}},
		{[]string{"own", "db", "last", "worker-api"}, map[string]string{"own": "cron-own", "db": "cron-db", "worker-api": "cron-worker-api"}},
	} {
		if diff := cmp.Diff(test.want, names.of(groups[i], test.services)); diff != "" {
			t.Errorf("group %d: %s", i, diff)
		}
	}
}

// TestHiddenPrimary: a service whose own port is not published is known by its
// first other one.
func TestHiddenPrimary(t *testing.T) {
	cfg := composeConfig(settings.ModeHybrid)
	s := contained("db", "")
	s.PortEnv = config.Strings{"DB"}
	s.ExtraPorts = []settings.ExtraPort{{BasePort: 8080, ContainerPort: 81, PortEnv: config.Strings{"ADMIN"}}, {BasePort: 9090}}
	cfg.Services = []settings.Service{s}
	vars, err := Environment(cfg, session.Session{Ports: map[string]int{"db.admin": 1, "db.2": 2}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ECLUSE_DB_PORT", "DB", "ADMIN"} {
		if vars[name] != "1" {
			t.Errorf("%s is %q", name, vars[name])
		}
	}
	yes := true
	cfg.Services[0].PublishPrimary = &yes
	if vars, err = Environment(cfg, session.Session{Ports: map[string]int{"db": 3, "db.admin": 1}}); err != nil || vars["ECLUSE_DB_PORT"] != "3" || vars["DB"] != "3" {
		t.Errorf("published, it is %v, %v", vars, err)
	}
}
