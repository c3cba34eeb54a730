package steps

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"ecluse/saga/session"
	"ecluse/steps/config"
	"ecluse/steps/postgres"
	"ecluse/steps/settings"
)

func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func TestDatabaseConfiguration(t *testing.T) {
	const good = "mode = \"hybrid\"\n[[databases]]\nname = \"main\"\nengine = \"postgres\"\nurl = \"postgres://app:s3cr3t@localhost:${ECLUSE_DB_PORT}/app\"\n"
	second := "[[databases]]\nname = \"other\"\nengine = \"postgres\"\nurl = \"postgres://localhost/other\"\n"
	for text, wrong := range map[string]string{
		"": "",
		"template = \"t\"\nmigrate = \"m\"\ninputs = \"db\"\n": "",
		"url_env = [\"A\", \"B\"]\n" + second:                  "",
		second:                                                 "url_env",
		"url_env = \"ECLUSE_SLUG\"\n":                          "url_env",
		"template = \"t\"\nmigrate = \"m\"\n":                  "inputs",
		"inputs = [\"../x\"]\n":                                "inputs",
		"inputs = [\".\"]\n":                                   "inputs",
		"inputs = [\"[\"]\n":                                   "inputs",
		"migrate = \" \"\n":                                    "migrate",
		"migrate = {run = \"m\", inputs = [\"x\"]}\n":          "inputs",
		"[env]\nDATABASE_URL = \"x\"\n":                        "DATABASE_URL",
		"[env]\nDATABASE_URL = \"${DATABASE_URL}?sslmode=disable\"\nA = \"${DATABASE_URL}\"\n":                  "",
		"[[databases]]\nname = \"main\"\nengine = \"postgres\"\nurl = \"postgres://h/x\"\nurl_env = \"X\"\n":    "two databases are named",
		"[[databases]]\nname = \"b\"\nengine = \"mysql\"\nurl = \"postgres://h/x\"\nurl_env = \"X\"\n":          "engine",
		"[[databases]]\nname = \"b\"\nengine = \"postgres\"\nurl = \"mysql://h/x\"\nurl_env = \"X\"\n":          "scheme",
		"[[databases]]\nname = \"b\"\nengine = \"postgres\"\nurl_env = \"X\"\n":                                 "url",
		"[[databases]]\nname = \"b\"\nengine = \"postgres\"\nurl = \"postgres://h/${NOPE}\"\nurl_env = \"X\"\n": "NOPE",
		"[[services]]\nname = \"web\"\nbase_port = 3000\ncommand = \"x\"\nport_env = \"DATABASE_URL\"\n":        "DATABASE_URL",
	} {
		_, err := loadText(t, good+text)
		switch {
		case wrong == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)):
			t.Errorf("%s: %v, want something about %s", text, err, wrong)
		}
	}
}

// TestDatabaseProblemsTellNoPassword: neither those of the URL, nor those that stand
// beside it.
func TestDatabaseProblemsTellNoPassword(t *testing.T) {
	for _, text := range []string{
		`url = "postgres://app:s3cr3t%zz@host/app"`, `url = "postgres://app:s3cr3t@host:notaport/app"`, `url = "postgres:s3cr3t"`,
		`url = "postgres://app:s3cr3t@host/app?sslmode=bogus"`, `url = "postgres://app@host/app?sslmode=bogus&password=s3cr3t"`,
		`url = "mysql://app:s3cr3t@host/app"`, `url = "postgres://app:s3cr3t@h/${NOPE}"`, `url = ["postgres://app:s3c/r3t@h/app"]`,
		`ulr = "postgres://app:s3cr3t@h/app"`, `url = "postgres://app:s3cr3t@h/app`, `url = "postgres://app@h/app?password=s3cr3t`,
	} {
		_, err := loadText(t, "mode = \"hybrid\"\n[[databases]]\nname = \"main\"\nengine = \"postgres\"\n"+text+"\n")
		var problems *config.Error
		if !errors.As(err, &problems) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, p := range problems.Problems {
			if shown := p.Message + p.Excerpt; strings.Contains(shown, "s3c") || strings.Contains(shown, "r3t") || p.Line == 0 {
				t.Errorf("%s: %+v", text, p)
			}
		}
	}
}

func TestDatabaseEnvironment(t *testing.T) {
	cfg, err := loadText(t, `mode = "hybrid"
[env]
JDBC = "jdbc:${DATABASE_URL}"
[[databases]]
name = "main"
engine = "postgres"
url = "postgres://app:p%40ss$$@localhost:${ECLUSE_DB_PORT}/shop?sslmode=disable"
[[databases]]
name = "events"
engine = "postgres"
url = "postgres://localhost/events"
url_env = ["EVENTS_URL", "AUDIT_URL"]
`)
	if err != nil {
		t.Fatal(err)
	}
	s := session.Session{Key: session.Key{Repo: "/r/.git", Slug: "feat-a-b"}, Mode: settings.ModeHybrid, Ports: map[string]int{"db": 15433}}
	vars, err := Environment(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	name := "shop_feat_a_b_" + mark(s.Repo+"\x00shop\x00"+s.Slug)
	want := "postgres://app:p%40ss$@localhost:15433/" + name + "?sslmode=disable"
	if vars["DATABASE_URL"] != want || vars["JDBC"] != "jdbc:"+want {
		t.Errorf("got %s and %s, want %s", vars["DATABASE_URL"], vars["JDBC"], want)
	}
	if vars["EVENTS_URL"] != "postgres://localhost/events_feat_a_b_"+mark(s.Repo+"\x00events\x00"+s.Slug) || vars["AUDIT_URL"] != vars["EVENTS_URL"] {
		t.Errorf("got %s and %s", vars["EVENTS_URL"], vars["AUDIT_URL"])
	}
	if vars, err = environment(cfg, s, map[string]string{"main": strings.Replace(want, name, "making", 1)}); err != nil || vars["JDBC"] != "jdbc:"+strings.Replace(want, name, "making", 1) {
		t.Errorf("instead: %s, %v", vars["JDBC"], err)
	}
	// Before the port is leased nobody who is early may stumble.
	s.Ports = nil
	if _, err := Environment(cfg, s); err == nil {
		t.Error("a URL without its port is told")
	}
	if _, err := (&Target{Handle: &rig{s: s}, Config: cfg}).composeVars(); err != nil {
		t.Error(err)
	}
}

func TestDatabaseNames(t *testing.T) {
	server, err := postgres.Parse("postgres://h/" + strings.Repeat("x", 40))
	if err != nil {
		t.Fatal(err)
	}
	part, err := postgres.Parse("postgres://h/" + strings.Repeat("x", 40) + "_two")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{
		databaseName(part, session.Session{Key: session.Key{Repo: "a", Slug: "one"}}): true,
	}
	for _, key := range []session.Key{{Repo: "a", Slug: "one"}, {Repo: "b", Slug: "one"}, {Repo: "a", Slug: "two-one"}, {Repo: "a", Slug: strings.Repeat("s", 60) + "1"}, {Repo: "a", Slug: strings.Repeat("s", 60) + "2"}} {
		name := databaseName(server, session.Session{Key: key})
		if seen[name] || len(name) > postgres.MaxName {
			t.Errorf("%+v gets %s", key, name)
		}
		seen[name] = true
	}
}

func TestDatabasePlan(t *testing.T) {
	cfg := settings.Defaults()
	cfg.Mode = settings.ModeContainer
	cfg.Hooks.PreSpawn = hookOf("true")
	cfg.Databases = []settings.Database{{Name: "a"}, {Name: "b"}}
	plan, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"database:a", "database:b"} {
		spec := plan.Steps[plan.Index(name)]
		if !spec.Data || plan.Index(name) < plan.Index("compose") || plan.Index("hook:pre_spawn") < plan.Index(name) || strings.Contains(strings.Join(spec.Needs, " "), "database") {
			t.Errorf("got %+v in\n%s", spec, plan)
		}
	}
}

// TestInputsWithoutATemplate: the warning says what is missing.
func TestInputsWithoutATemplate(t *testing.T) {
	const database = "mode = \"host\"\n[[databases]]\nname = \"main-db\"\nengine = \"postgres\"\nurl = \"postgres://a@localhost/b\"\ninputs = [\"db\"]\n"
	for lines, want := range map[string][]string{
		"":                                    {`template = "main_db_template"`, "migrate,"},
		"migrate = \"x\"\n":                   {`template = "main_db_template"`},
		"template = \"t\"\n":                  {"give it migrate,"},
		"template = \"t\"\nmigrate = \"x\"\n": nil,
	} {
		cfg, err := loadText(t, database+lines)
		if err != nil {
			t.Errorf("%q: %v", lines, err)
			continue
		}
		var got []string
		for _, warning := range cfg.Warnings() {
			if strings.Contains(warning, "inputs of database main-db") {
				got = append(got, warning)
			}
		}
		if len(want) == 0 && len(got) > 0 || len(want) > 0 && (len(got) != 1 || !containsAll(got[0], want)) {
			t.Errorf("%q: got %q; want %q", lines, got, want)
		}
	}
}
