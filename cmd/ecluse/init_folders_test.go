package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/steps"
	"ecluse/steps/docker/dockertest"
)

// programmed is a package.json of one program.
func programmed(script string) string { return fmt.Sprintf(`{"scripts": {"dev": %q}}`, script) }

// serveAt is a program that serves at PORT, and elsewhere at a port of its own.
func serveAt(port string) string {
	return `require("http").createServer((q, r) => r.end(process.env.ECLUSE_SLUG + " " + (process.env.API_URL || ""))).listen(process.env.PORT || ` + port + ")\n"
}

// monorepos are repositories of several parts.
var monorepos = map[string]sample{
	"workspaces of npm": {
		files: map[string]string{
			"package.json": `{"workspaces": ["apps/*", "packages/**", "!**/old"], "scripts": {"dev": "turbo run dev"}, "devDependencies": {"vite": "7"}}`, "package-lock.json": "{}",
			"apps/web/package.json": programmed("vite"), "apps/web/.env.example": "API_URL=http://localhost:4000\n",
			"apps/api/package.json": programmed("node server.js"), "apps/api/server.js": serveAt("4000"),
			"apps/old/package.json": programmed("vite"), "packages/deep/er/package.json": programmed("next dev"),
			"packages/ui/package.json": programmed("tsc --watch"), "packages/web/package.json": programmed("vite"),
			"packages/node_modules/x/package.json": programmed("vite"), "packages/deep/er/too/deep/package.json": programmed("vite"), ".hidden/package.json": programmed("vite"),
			"apps/web/package-lock.json": "{}",
		}, mode: "host",
		services: []string{"api 4000", "old 5173", "web 5300", "er 3000", "packages-web 5400"},
		plan:     []string{"worktree", "env", "hook:pre_spawn", "service:api", "service:old", "service:web", "service:er", "service:packages-web"},
		commands: []string{"cd apps/api && npm run dev", "export PORT=$ECLUSE_OLD_PORT; cd apps/old && npm run dev -- --port $PORT --strictPort"},
		env:      map[string]string{"API_URL": "http://localhost:${ECLUSE_API_PORT}"}, hook: "npm ci", doubtful: []string{"web-2"},
	},
	"workspaces of pnpm, and data": {
		files: map[string]string{
			"pnpm-workspace.yaml": "packages:\n  - 'sites/*'\n  - '!sites/old'\n", "package.json": `{"scripts": {"dev": "pnpm -r dev"}}`, "pnpm-lock.yaml": "",
			"sites/shop/package.json": programmed("next dev"), "sites/old/package.json": programmed("next dev"), "sites/blog/package.json": programmed("astro dev --port 4000"),
			"docs/package.json": programmed("vite"), "compose.yaml": dataCompose,
			"sites/shop/.env.example": "DATABASE_URL=postgres://app@localhost:15432/shop\n", "sites/blog/.env.example": "DATABASE_URL='postgres://app:a`b@localhost:15432/blog'\n",
		}, mode: "hybrid",
		services: []string{"cache 6379 docker", "db 5432<15432 docker", "blog 4000", "shop 3000"},
		plan:     []string{"worktree", "ports", "env", "volumes", "compose", "hook:pre_spawn", "service:blog", "service:shop"},
		commands: []string{
			"cd sites/blog && pnpm exec astro dev --port $PORT",
			`export PORT=$ECLUSE_SHOP_PORT; export DATABASE_URL="postgres://app@localhost:${ECLUSE_DB_PORT}/shop"; cd sites/shop && pnpm run dev --port $PORT`,
		},
		env: map[string]string{"DATABASE_URL": "postgres://app:a`b@localhost:${ECLUSE_DB_PORT}/blog"}, hook: "pnpm install --frozen-lockfile",
	},
	"two projects, each with a compose file": {
		files: map[string]string{
			"shop/package.json": programmed("node server.js"), "shop/server.js": serveAt("3000"), "shop/package-lock.json": "{}",
			"shop/compose.yaml":    "services: {db: {image: 'postgres:17', ports: ['5432:5432']}}\n",
			"shop/.env.example":    "DATABASE_URL=postgres://app@localhost:5432/shop\n",
			"billing/package.json": programmed("node server.js"), "billing/server.js": serveAt("3000"), "billing/yarn.lock": "",
			"billing/docker-compose.yml": "services: {cache: {image: redis, ports: ['6379:6379']}, store: {image: 'postgres:17', ports: ['5432:5432']}}\n",
			"billing/.env.example":       "DATABASE_URL=postgres://app@localhost:5432/billing\n",
		}, mode: "hybrid",
		services: []string{"cache 6379 docker billing/docker-compose.yml", "store 5432 docker billing/docker-compose.yml", "db 5432<5600 docker shop/compose.yaml", "billing 3000", "shop 3100"},
		plan:     []string{"worktree", "ports", "env", "volumes", "compose:billing/docker-compose.yml", "compose:shop/compose.yaml", "hook:pre_spawn", "service:billing", "service:shop"},
		commands: []string{
			"cd billing && yarn run dev",
			`export PORT=$ECLUSE_SHOP_PORT; export DATABASE_URL="postgres://app@localhost:${ECLUSE_DB_PORT}/shop"; cd shop && npm run dev`,
		},
		env: map[string]string{"DATABASE_URL": "postgres://app@localhost:${ECLUSE_STORE_PORT}/billing"}, hook: "(cd billing && yarn install --frozen-lockfile) && (cd shop && npm ci)",
	},
	"backend and frontend": {
		files: map[string]string{
			"backend/manage.py": "", "backend/uv.lock": "", "backend/.env.example": "DATABASE_URL=postgres://app@localhost:15432/app\n",
			"frontend/package.json": programmed("next dev"), "frontend/yarn.lock": "", "compose.yaml": dataCompose, "website/mkdocs.yml": "",
			"backend/compose.yaml": "services: {db: {image: 'postgres:17', ports: ['15432:5432']}, mail: {image: mailhog}}\n",
		}, mode: "hybrid",
		services: []string{"cache 6379 docker", "db 5432<15432 docker", "backend 8000", "frontend 3000", "website 8100"},
		plan:     []string{"worktree", "ports", "env", "volumes", "compose", "hook:pre_spawn", "service:backend", "service:frontend", "service:website"},
		commands: []string{"cd backend && uv run python manage.py runserver $PORT"},
		env:      map[string]string{"DATABASE_URL": "postgres://app@localhost:${ECLUSE_DB_PORT}/app"}, doubtful: []string{"mail"},
	},
	"everything in containers, a file a folder": {
		files: map[string]string{
			"services/api/compose.yaml":    "services: {api: {build: ., ports: ['8080:80'], volumes: ['.:/src']}, db: {image: postgres}}\n",
			"services/api/Dockerfile":      "FROM scratch\n",
			"services/worker/compose.yaml": "services: {worker: {build: .}, db: {image: postgres}}\n",
			"services/worker/Dockerfile":   "FROM scratch\n", "compose.yaml": "services: {proxy: {image: proxy, ports: ['8080:80']}}\n",
		}, mode: "container",
		services: []string{"proxy 80<8080 docker", "api 80<8200 docker services/api/compose.yaml", "worker 0 docker services/worker/compose.yaml"},
		plan:     []string{"worktree", "ports", "env", "volumes", "compose", "compose:services/api/compose.yaml", "compose:services/worker/compose.yaml"},
	},
	"containers of the same names": {
		files: map[string]string{
			"one/compose.yaml": "services: {web: {build: .}, db: {image: postgres, ports: ['5432:5432']}}\n", "one/Dockerfile": "FROM scratch\n",
			"two/compose.yaml": "services: {web: {build: .}, db: {image: postgres, ports: ['5432:5432']}}\n", "two/Dockerfile": "FROM scratch\n",
		}, mode: "container",
		services: []string{"db 5432 docker one/compose.yaml", "web 0 docker two/compose.yaml"},
		plan:     []string{"worktree", "ports", "env", "volumes", "compose:one/compose.yaml", "compose:two/compose.yaml"},
	},
	"data of the same name": {
		files: map[string]string{
			"one/compose.yaml": "services: {db: {image: postgres, ports: ['5432:5432']}}\n", "one/package.json": programmed("next"), "one/.env.example": "URL=db://localhost:5432\n",
			"two/compose.yaml": "services: {db: {image: postgres, ports: ['5432:5432']}}\n", "two/package.json": programmed("next"), "two/.env.example": "URL=db://localhost:5432\n",
			"six/package.json": programmed("next"), "six/.env.example": "URL=file:data\n",
		}, mode: "hybrid",
		services: []string{"db 5432 docker one/compose.yaml", "one 3000", "six 3100", "two 3200"},
		plan:     []string{"worktree", "ports", "env", "volumes", "compose:one/compose.yaml", "service:one", "service:six", "service:two"},
		env:      map[string]string{"URL": "db://localhost:${ECLUSE_DB_PORT}"},
		commands: []string{
			"cd one && npm run dev -- --port $PORT",
			`export PORT=$ECLUSE_SIX_PORT; export URL="file:data"; cd six && npm run dev -- --port $PORT`,
			`export PORT=$ECLUSE_TWO_PORT; export URL="db://localhost:5432"; cd two && npm run dev -- --port $PORT`,
		}, warns: "db of two/compose.yaml",
	},
	"go, and what it serves": {
		files: map[string]string{
			"go.mod": "module x\n", "cmd/api/main.go": `import "net/http"; os.Getenv("PORT")`, "services/mail/main.go": `import "net/http"; os.Getenv("PORT")`,
			"web/package.json": programmed("vite"), "web/index.html": "", "extra/package.json": programmed("vite"), "deploy/compose.yaml": dataCompose,
		}, mode: "host",
		services: []string{"api 8080", "mail 8200", "web 5173"}, plan: []string{"worktree", "env", "service:api", "service:mail", "service:web"},
		commands: []string{"go run ./cmd/api", "export PORT=$ECLUSE_MAIL_PORT; cd services/mail && go run ."}, doubtful: []string{"extra"},
	},
}

// TestInitFolders: what init writes for a repository of several parts works as it is, too.
func TestInitFolders(t *testing.T) {
	t.Parallel()
	testSamples(t, monorepos)
}

// suggestion is the name of a service that is not in force.
var suggestion = regexp.MustCompile(`(?m)^#\[\[services]]\n#name = "([^"]+)"`)

// detailed checks what only some samples say.
func (w *world) detailed(s sample) {
	w.t.Helper()
	cfg, err := steps.LoadConfig(w.root)
	if err != nil {
		w.t.Fatal(err)
	}
	var commands []string
	for _, one := range cfg.Services {
		if one.Native() {
			commands = append(commands, one.Command)
		}
	}
	if diff := cmp.Diff(s.commands, commands[:min(len(commands), len(s.commands))]); s.commands != nil && diff != "" {
		w.t.Errorf("the commands (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(s.env, cfg.Env); s.env != nil && diff != "" {
		w.t.Errorf("the variables (-want +got):\n%s", diff)
	}
	if s.hook != "" && (cfg.Hooks.PreSpawn == nil || cfg.Hooks.PreSpawn.Value.Run != s.hook) {
		w.t.Errorf("pre_spawn is %+v", cfg.Hooks.PreSpawn)
	}
	var doubtful []string
	for _, match := range suggestion.FindAllStringSubmatch(w.read(".ecluse.toml"), -1) {
		doubtful = append(doubtful, match[1])
	}
	if diff := cmp.Diff(s.doubtful, slices.DeleteFunc(doubtful, func(name string) bool { return name == "web" || name == "postgres" })); s.doubtful != nil && diff != "" {
		w.t.Errorf("what is suggested (-want +got):\n%s", diff)
	}
}

// Parts of a repository whose ports are the test's own, so that what init writes can be
// brought up as it is.
var (
	nodeParts = map[string]string{
		"package.json": `{"workspaces": {"packages": ["apps/*"]}}`, "apps/web/package.json": programmed("node server.js"), "apps/web/server.js": serveAt("@0"),
		"apps/api/package.json": programmed("node server.js"), "apps/api/server.js": serveAt("@23"), "apps/web/.env.example": "API_URL=http://localhost:@23\n",
	}
	procfileParts = map[string]string{
		"backend/Procfile.dev": "web: exec webapp --port @0\nworker: exec sleep 1000\n", "services/backend/Procfile.dev": "web: exec webapp --port=@0\n",
		"docs/package.json": programmed("vite"),
	}
)

// TestInitFoldersUp: two sessions are brought up with the file as it was written.
func TestInitFoldersUp(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{"npm": nodeParts, "webapp": procfileParts} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(name); err != nil {
				t.Skip(err)
			}
			w := newSample(t, sample{})
			for file, text := range files {
				w.write(file, withPorts(text, w.base))
			}
			w.commit("parts")
			w.ecluse(0, "init", "--max-slots", "2")
			w.commit("configuration")
			w.ecluse(0, "up", "feat-x")
			w.ecluse(0, "up", "feat-y")
			for _, slug := range []string{"feat-x", "feat-y"} {
				w.ecluse(0, "status", slug)
				w.servesItself(slug)
			}
			w.ecluse(0, "down", "feat-x", "feat-y")
			w.mustBeClean("down")
		})
	}
}

// servesItself asks every service of a session that has a port. Each says whose it is,
// and where the session's api is, if there is one.
func (w *world) servesItself(slug string) {
	w.t.Helper()
	ports := w.ports(slug)
	if len(ports) != 2 {
		w.t.Errorf("%s has the ports %v", slug, ports)
	}
	for name, port := range ports {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			w.t.Error(err)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || !strings.HasPrefix(string(body), slug+" ") {
			w.t.Errorf("%s serves %q, %v", name, body, err)
		}
		if api := ports["api"]; api != 0 && !strings.Contains(string(body), fmt.Sprintf(":%d", api)) {
			w.t.Errorf("%s does not know where api is: %q", name, body)
		}
	}
}

// TestInitFoldersInDocker: compose files of folders are brought up as init found them.
func TestInitFoldersInDocker(t *testing.T) {
	t.Parallel()
	dockertest.Require(t)
	w := newSample(t, sample{})
	t.Cleanup(w.sweepDocker)
	for file, text := range map[string]string{
		"shop/Procfile.dev": "web: exec webapp --port @0\n", "shop/compose.yaml": "services: {data: {image: IMAGE, command: [-serve, ':8080'], ports: ['@11:8080']}}\n",
		"billing/Procfile.dev": "web: exec webapp --port @22\n", "billing/compose.yaml": "services: {queue: {image: IMAGE, command: [-serve, ':8080'], ports: ['@33:8080']}}\n",
	} {
		w.write(file, w.fill(text))
	}
	w.commit("two projects")
	w.ecluse(0, "init", "--mode", "hybrid", "--max-slots", "1")
	w.commit("configuration")
	w.ecluse(0, "validate")
	w.ecluse(0, "up", "feat-x")
	for _, name := range []string{"data", "queue", "shop", "billing"} {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", w.ports("feat-x")[name]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = answer.Body.Close()
	}
	w.ecluse(0, "status", "feat-x")
	w.ecluse(0, "down", "feat-x")
	w.mustBeClean("down")
}

// TestInitFoldersExplains: where everything was found is told, for people and machines,
// and nothing beyond the repository was looked at.
func TestInitFoldersExplains(t *testing.T) {
	t.Parallel()
	w := newSample(t, sample{})
	elsewhere := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "package.json"), []byte(programmed("vite")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.write("apps/api/Procfile.dev", "web: exec webapp\n")
	w.write("apps/dash dash/package.json", programmed("vite"))
	w.write("apps/inner/.git", "gitdir: x\n")
	w.write("apps/inner/package.json", programmed("vite"))
	w.write("apps/very/deep/down/there/package.json", programmed("vite"))
	w.write("other/package.json", programmed("vite"))
	if err := os.Symlink(elsewhere, filepath.Join(w.root, "apps", "away")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(w.root, filepath.Join(w.root, "apps", "round")); err != nil {
		t.Fatal(err)
	}
	var made struct {
		Found    []struct{ What, Name, From, Doubt string } `json:"found"`
		Warnings []string                                   `json:"warnings"`
	}
	o := w.ecluse(0, "init", "--json", "--explain")
	w.decode(o.stdout, &made)
	var names []string
	for _, f := range made.Found {
		names = append(names, fmt.Sprint(f.What, " ", f.Name, " ", f.Doubt == ""))
	}
	if diff := cmp.Diff([]string{"service api true", "service other false"}, names); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if len(made.Warnings) != 1 || !strings.Contains(made.Warnings[0], "dash dash") {
		t.Errorf("warnings: %q", made.Warnings)
	}
	o = w.ecluse(0, "init", "--force", "--explain")
	if !regexp.MustCompile(`(?m)^service +api +apps/api/Procfile\.dev.* yes`).MatchString(o.stderr) ||
		!regexp.MustCompile(`(?m)^service +other +other/package\.json.* no: `).MatchString(o.stderr) {
		t.Errorf("--explain shows %s", o.stderr)
	}
}
