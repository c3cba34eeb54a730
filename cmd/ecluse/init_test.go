package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/steps"
	"ecluse/steps/docker/dockertest"
)

// sample is a repository as there are many, and what init must make of it.
type sample struct {
	files map[string]string
	mode  string
	// services are "name base_port" of those in force, with " docker" or "<host_port
	// docker" behind those that run there.
	services []string
	// plan are the steps of an up.
	plan []string
	// serves is what the first service answers when it is brought up for real; empty
	// if it is not.
	serves string
	// needs is the program that it needs for that.
	needs string
	// commands are those of native services, env the variables, hook is what prepares a
	// worktree, and doubtful are names that are only suggested. They are looked at where
	// there is one.
	commands []string
	env      map[string]string
	hook     string
	doubtful []string
	// warns is in a warning of init; empty if there is to be none.
	warns string
}

const (
	dataCompose = `services:
  db:
    image: postgres:17
    ports: ["15432:5432"]
  cache:
    image: redis
    ports: ["6379:6379"]
`
	appCompose = dataCompose + `  web:
    build: .
    ports: ["80:3000"]
    volumes: ["./src:/src"]
    depends_on: [db, cache]
`
	serveJS = `require("http").createServer((q, r) => r.end("node " + process.env.ECLUSE_SLUG)).listen(process.env.PORT)` + "\n"
)

var samples = map[string]sample{
	"pages": {
		files: map[string]string{"index.html": "pages\n"}, mode: "host",
		services: []string{"web 8000"}, plan: []string{"worktree", "env", "service:web"}, serves: "pages\n", needs: "python3",
	},
	"node": {
		files: map[string]string{"package.json": `{"scripts": {"start": "node server.js"}}`, "server.js": serveJS}, mode: "host",
		services: []string{"web 3000"}, plan: []string{"worktree", "env", "service:web"}, serves: "node feat-x", needs: "npm",
	},
	"procfile": {
		files: map[string]string{
			"Procfile.dev": "worker: exec sleep 1000\napi: exec webapp\nweb: exec webapp\n", "package.json": `{"scripts": {"dev": "vite"}}`,
		}, mode: "host",
		services: []string{"web 3000", "worker 0", "api 3100"}, plan: []string{"worktree", "env", "service:web", "service:worker", "service:api"}, serves: "*",
	},
	"a procfile whose programs have ports of their own": {
		files: map[string]string{
			"Procfile.dev": "mail: node mail.js\napi: PORT=4000 exec webapp\ndocs: NODE_ENV=x PORT=4000 node mail.js --port 4100\ncss: node css.js\n",
			"mail.js":      serveAt("5175"), "css.js": "watch()",
		}, mode: "host",
		services: []string{"mail 5175", "api 4000", "docs 4100", "css 0"}, plan: []string{"worktree", "env", "service:mail", "service:api", "service:docs", "service:css"},
		commands: []string{"node mail.js", "export PORT=$ECLUSE_API_PORT; exec webapp", "export PORT=$ECLUSE_DOCS_PORT; NODE_ENV=x node mail.js --port $PORT", "node css.js"},
	},
	"node, with its port written before it": {
		files: map[string]string{"package.json": `{"scripts": {"dev": "NODE_ENV=x PORT=4000 node server.js"}}`, "server.js": serveJS}, mode: "host",
		services: []string{"web 4000"}, plan: []string{"worktree", "env", "service:web"}, serves: "node feat-x", needs: "npm",
		commands: []string{"NODE_ENV=x npm exec -- node server.js"},
	},
	"vite, with a lock file": {
		files: map[string]string{"package.json": `{"scripts": {"dev": "vite"}, "devDependencies": {"vite": "7"}}`, "package-lock.json": "{}"}, mode: "host",
		services: []string{"web 5173"}, plan: []string{"worktree", "env", "hook:pre_spawn", "service:web"},
	},
	"next and its data": {
		files: map[string]string{"package.json": `{"scripts": {"dev": "next dev"}}`, "compose.yaml": dataCompose, "yarn.lock": "", ".env.example": "DATABASE_URL=postgres://app@localhost:15432/app\n"}, mode: "hybrid",
		services: []string{"cache 6379 docker", "db 5432<15432 docker", "web 3000"},
		plan:     []string{"worktree", "ports", "env", "volumes", "compose", "hook:pre_spawn", "service:web"},
	},
	"rails and its data": {
		files: map[string]string{"Gemfile": "", "Gemfile.lock": "", "bin/rails": "", "bin/dev": "exec foreman", "docker-compose.yml": dataCompose}, mode: "hybrid",
		services: []string{"cache 6379 docker", "db 5432<15432 docker", "web 3000"},
		plan:     []string{"worktree", "ports", "env", "volumes", "compose", "hook:pre_spawn", "service:web"},
	},
	"all in containers": {
		files: map[string]string{"compose.yaml": appCompose, "Dockerfile": "FROM scratch\n"}, mode: "container",
		plan: []string{"worktree", "ports", "env", "volumes", "compose"},
	},
	"only data": {
		files: map[string]string{"compose.yml": dataCompose}, mode: "hybrid",
		services: []string{"cache 6379 docker", "db 5432<15432 docker"}, plan: []string{"worktree", "ports", "env", "volumes", "compose"},
	},
	"an application that is built, and run by hand": {
		files: map[string]string{
			"compose.yaml": strings.Replace(appCompose, "build: .", "build: .\n    labels: {ecluse.role: app}", 1), "manage.py": "", "requirements.txt": "django",
		}, mode: "hybrid",
		services: []string{"cache 6379 docker", "db 5432<15432 docker", "web 8000"}, plan: []string{"worktree", "ports", "env", "volumes", "compose", "service:web"},
	},
	"django": {
		files: map[string]string{"manage.py": "", "uv.lock": ""}, mode: "host",
		services: []string{"web 8000"}, plan: []string{"worktree", "env", "hook:pre_spawn", "service:web"},
	},
	"fastapi": {
		files: map[string]string{"main.py": "app = FastAPI()\n"}, mode: "host",
		services: []string{"web 8000"}, plan: []string{"worktree", "env", "service:web"},
	},
	"go, of two programs": {
		files: map[string]string{"go.mod": "module x\n", "cmd/api/main.go": `import "net/http"; os.Getenv("PORT")`, "cmd/admin/main.go": `import "net/http"; os.Getenv("PORT")`}, mode: "host",
		services: []string{"admin 8080", "api 8200"}, plan: []string{"worktree", "env", "service:admin", "service:api"},
	},
	"go, with its port written down": {
		files: map[string]string{"go.mod": "module x\n", "main.go": `import "net/http"; http.ListenAndServe(":8080", nil)`}, mode: "host",
		plan: []string{"worktree", "env"},
	},
	"rust": {
		files: map[string]string{"Cargo.toml": "[dependencies]\naxum = \"1\"\n", "src/main.rs": `env::var("PORT")`}, mode: "host",
		services: []string{"web 8080"}, plan: []string{"worktree", "env", "service:web"},
	},
	"phoenix and postgres at odd ports": {
		files: map[string]string{
			"mix.exs": "{:phoenix, 1}", "mix.lock": "", "config/dev.exs": `System.get_env("PORT")`, "Procfile.dev": "",
			"compose.yaml": "services: {pg: {image: 'postgres:17', ports: ['54321:5432', '9999:9999']}, mail: {image: mailhog, ports: ['25:1025', '4001:8025']}}\n",
		}, mode: "hybrid",
		services: []string{"mail 1025<1100 docker", "pg 5432<10000 docker", "web 4000"}, plan: []string{"worktree", "ports", "env", "volumes", "compose", "hook:pre_spawn", "service:web"},
	},
	"a compose file that is broken": {
		files: map[string]string{"compose.yaml": "services: [\n", "bin/dev": "exec thing $PORT\n"}, mode: "hybrid", warns: "compose.yaml cannot be read",
		services: []string{"app 3000"}, plan: []string{"worktree", "ports", "env", "volumes", "compose", "service:app"},
	},
	"nothing": {files: map[string]string{"README": "x\n"}, mode: "host", plan: []string{"worktree", "env"}},
}

// TestInit: what init writes, asked for nothing, is valid, warns of nothing, and is
// planned; where what runs is here, it is brought up.
func TestInit(t *testing.T) {
	t.Parallel()
	testSamples(t, samples)
}

// testSamples has init write a configuration for each, and tries it.
func testSamples(t *testing.T, samples map[string]sample) {
	t.Helper()
	for name, s := range samples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s.mode != "host" {
				dockertest.Require(t)
			}
			w := newSample(t, s)
			var made struct {
				Mode      string   `json:"mode"`
				Gitignore bool     `json:"gitignore"`
				Services  []string `json:"services"`
				Warnings  []string `json:"warnings"`
			}
			w.decode(w.ecluse(0, "init", "--json").stdout, &made)
			if warned := strings.Join(made.Warnings, "\n"); (warned != "") != (s.warns != "") || !strings.Contains(warned, s.warns) {
				t.Errorf("init warns of %q", warned)
			}
			if made.Mode != s.mode || !made.Gitignore || len(made.Services) != len(s.services) {
				t.Errorf("init says %+v", made)
			}
			w.configured(s)
			var plan struct {
				Steps []struct{ Name string } `json:"steps"`
			}
			w.decode(w.ecluse(0, "up", "feat-x", "--dry-run", "--json").stdout, &plan)
			var steps []string
			for _, step := range plan.Steps {
				steps = append(steps, step.Name)
			}
			if diff := cmp.Diff(s.plan, steps); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
			if s.needs != "" {
				if _, err := exec.LookPath(s.needs); err != nil {
					t.Logf("not brought up: %v", err)
					return
				}
			}
			if s.serves != "" {
				w.servesAsWritten(s)
			}
		})
	}
}

// newSample makes a repository of a sample.
func newSample(t *testing.T, s sample) *world {
	t.Helper()
	w := newWorld(t, "")
	w.must(exec.Command("git", "-C", w.root, "rm", "-q", ".ecluse.toml", "README"))
	for name, text := range s.files {
		w.write(name, text)
	}
	w.commit("sample")
	return w
}

func (w *world) decode(text string, into any) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
}

// configured checks the configuration that was written.
func (w *world) configured(s sample) {
	w.t.Helper()
	var valid struct {
		Valid    bool     `json:"valid"`
		Warnings []string `json:"warnings"`
	}
	w.decode(w.ecluse(0, "validate", "--json").stdout, &valid)
	if !valid.Valid || len(valid.Warnings) > 0 && s.files["compose.yaml"] != "services: [\n" {
		w.t.Errorf("validate says %+v", valid)
	}
	cfg, err := steps.LoadConfig(w.root)
	if err != nil {
		w.t.Fatal(err)
	}
	var services []string
	for _, one := range cfg.Services {
		text := fmt.Sprintf("%s %d", one.Name, one.BasePort)
		if one.HostPort != 0 {
			text += fmt.Sprintf("<%d", one.HostPort)
		}
		if one.Run == "docker" {
			text = strings.TrimSpace(text + " docker " + one.Compose)
		}
		services = append(services, text)
	}
	if diff := cmp.Diff(s.services, services); diff != "" {
		w.t.Errorf("the services (-want +got):\n%s", diff)
	}
	w.detailed(s)
	if s.files[".env.example"] != "" && cfg.Env["DATABASE_URL"] != "postgres://app@localhost:${ECLUSE_DB_PORT}/app" {
		w.t.Errorf("the variables are %v", cfg.Env)
	}
}

// servesAsWritten brings a session up and asks its first service. Others use the
// ports of people, so the bases are moved first.
func (w *world) servesAsWritten(s sample) {
	w.t.Helper()
	path := filepath.Join(w.root, ".ecluse.toml")
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	n := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "base_port = ") {
			lines[i] = fmt.Sprintf("base_port = %d", w.base+10*n)
			n++
		}
	}
	text := strings.Join(append([]string{"port_search_range = 0", "strict_port = true"}, lines...), "\n")
	w.write(".ecluse.toml", text)
	w.commit("configuration")
	if o := w.ecluse(0, "up", "feat-x"); o.status != 0 {
		return
	}
	answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", w.ports("feat-x")["web"]))
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || s.serves != "*" && string(body) != s.serves || len(body) == 0 {
		w.t.Errorf("it serves %q, %v", body, err)
	}
	w.ecluse(0, "down", "feat-x")
	w.mustBeClean("down")
}
