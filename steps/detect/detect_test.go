package detect

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/steps/settings"
)

// folder makes a folder with these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Compose files of one service each.
const (
	buildHere  = "services: {web: {build: ./app}}\n"
	buildAway  = "services: {web: {build: 'https://example.com/x.git'}}\n"
	onlyData   = "services: {db: {image: 'postgres:17'}, cache: {image: 'docker.io/bitnami/redis'}}\n"
	dataAndApp = "services: {db: {image: 'postgres:17'}, web: {image: shop}}\n"
	labelled   = "services: {web: {image: shop, labels: {ecluse.role: app}}}\n"
	mounting   = "services: {web: {image: shop, volumes: ['./src:/src']}}\n"
	watching   = "services: {web: {image: shop, develop: {watch: [{action: sync, path: ./src, target: /src}]}}}\n"
)

// TestSignals has every line of the table of signals, alone.
func TestSignals(t *testing.T) {
	const readme = "Start:\n\n    docker compose up -d\n    %s\n"
	for name, test := range map[string]struct {
		files map[string]string
		on    Machine
		want  Scores
	}{
		"no engine":         {map[string]string{}, Machine{}, Scores{-15, 4, -15}},
		"no compose file":   {map[string]string{}, Machine{Docker: true}, Scores{-5, 4, -5}},
		"compose file":      {map[string]string{"compose.yaml": buildAway}, Machine{Docker: true}, Scores{2, 0, 2}},
		"old name":          {map[string]string{"docker-compose.yml": buildAway}, Machine{Docker: true}, Scores{2, 0, 2}},
		"broken":            {map[string]string{"compose.yaml": "services: ["}, Machine{Docker: true}, Scores{2, 0, 2}},
		"builds here":       {map[string]string{"compose.yaml": buildHere}, Machine{Docker: true}, Scores{5, 0, 2}},
		"only data":         {map[string]string{"compose.yaml": onlyData}, Machine{Docker: true}, Scores{0, 0, 7}},
		"data and app":      {map[string]string{"compose.yaml": dataAndApp}, Machine{Docker: true}, Scores{2, 0, 2}},
		"label":             {map[string]string{"compose.yaml": labelled}, Machine{Docker: true}, Scores{2, 0, 12}},
		"bind mount":        {map[string]string{"compose.yaml": mounting}, Machine{Docker: true}, Scores{4, 0, 2}},
		"develop.watch":     {map[string]string{"compose.yaml": watching}, Machine{Docker: true}, Scores{4, 0, 3}},
		"devcontainer":      {map[string]string{".devcontainer/devcontainer.json": "{}"}, Machine{Docker: true}, Scores{-1, 4, -5}},
		"bin/dev":           {map[string]string{"bin/dev": ""}, Machine{Docker: true}, Scores{-5, 7, -3}},
		"Procfile.dev":      {map[string]string{"Procfile.dev": ""}, Machine{Docker: true}, Scores{-5, 7, -3}},
		"script dev":        {map[string]string{"package.json": `{"scripts":{"dev":"vite"}}`}, Machine{Docker: true}, Scores{-5, 6, -3}},
		"script of Docker":  {map[string]string{"package.json": `{"scripts":{"dev":"docker compose up"}}`}, Machine{Docker: true}, Scores{-5, 4, -5}},
		"script that is no": {map[string]string{"package.json": `{"scripts":{"dev":1}}`}, Machine{Docker: true}, Scores{-5, 4, -5}},
		"rails":             {map[string]string{"Gemfile": "", "bin/rails": ""}, Machine{Docker: true}, Scores{-5, 6, -3}},
		"gems":              {map[string]string{"Gemfile": ""}, Machine{Docker: true}, Scores{-5, 4, -5}},
		"versions":          {map[string]string{".nvmrc": "", "mise.toml": ""}, Machine{Docker: true}, Scores{-5, 5, -4}},
		"README":            {map[string]string{"README.md": strings.Replace(readme, "%s", "bin/dev", 1)}, Machine{Docker: true}, Scores{-5, 4, -2}},
		"README, far apart": {map[string]string{"README.md": strings.Replace(readme, "%s", strings.Repeat("\n", 9)+"yarn dev", 1)}, Machine{Docker: true}, Scores{-5, 4, -5}},
		"PostgreSQL":        {map[string]string{}, Machine{Docker: true, Postgres: true}, Scores{-5, 5, -5}},
	} {
		t.Run(name, func(t *testing.T) {
			root := folder(t, test.files)
			d := Detect(root, Examine(t.Context(), root), test.on)
			if diff := cmp.Diff(test.want, d.Scores); diff != "" {
				t.Errorf("scores (-want +got):\n%s%+v", diff, d.Signals)
			}
			var sum Scores
			for _, s := range d.Signals {
				sum = Scores{sum.Container + s.Container, sum.Host + s.Host, sum.Hybrid + s.Hybrid}
			}
			if sum != d.Scores {
				t.Errorf("the signals add up to %+v", sum)
			}
		})
	}
}

func TestDecision(t *testing.T) {
	for _, test := range []struct {
		scores           Scores
		mode, confidence string
	}{
		{Scores{5, 0, 2}, settings.ModeContainer, ConfidenceMedium}, {Scores{2, 0, 2}, settings.ModeContainer, ConfidenceLow},
		{Scores{0, 2, 2}, settings.ModeHybrid, ConfidenceLow}, {Scores{-5, 4, -5}, settings.ModeHost, ConfidenceHigh}, {Scores{1, 1, 12}, settings.ModeHybrid, ConfidenceHigh},
		{Scores{-8, 0, -8}, "", ConfidenceNone}, {Scores{-8, 1, -8}, settings.ModeHost, ConfidenceHigh}, {Scores{3, 4, 0}, settings.ModeHost, ConfidenceLow},
		{Scores{1, 4, 0}, settings.ModeHost, ConfidenceMedium}, {Scores{0, 4, 0}, settings.ModeHost, ConfidenceHigh},
	} {
		d := Detection{Scores: test.scores, Confidence: ConfidenceNone}
		if d.decide(); d.Mode != test.mode || d.Confidence != test.confidence {
			t.Errorf("%+v: %s, %s", test.scores, d.Mode, d.Confidence)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for _, name := range []string{"flake.nix", "WORKSPACE", "BUILD.bazel", "MODULE.bazel"} {
		root := folder(t, map[string]string{name: "", "compose.yaml": buildHere})
		if d := Detect(root, Survey{}, Machine{Docker: true}); d.Unsupported != name || d.Mode != "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestDetectLooksAtFilesOnly(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "compose.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "Procfile.dev", "README.md", ".env.example"} {
		if err := syscall.Mkfifo(filepath.Join(root, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if d := Detect(root, Examine(t.Context(), root), Machine{Docker: true}); d.Mode != settings.ModeHost {
		t.Errorf("got %+v", d)
	}
}

// found is the native services of a repository: "name port command".
func found(t *testing.T, files map[string]string) (sure, doubtful []Found) {
	t.Helper()
	for _, f := range Examine(t.Context(), folder(t, files)).Natives {
		if f.Doubt == "" {
			sure = append(sure, f)
		} else {
			doubtful = append(doubtful, f)
		}
	}
	return sure, doubtful
}

func TestNatives(t *testing.T) {
	script := func(script, rest string) map[string]string {
		return map[string]string{"package.json": `{"scripts":{"dev":"` + script + `"}` + rest + `}`}
	}
	with := func(files map[string]string, name string) map[string]string {
		files[name] = ""
		return files
	}
	for name, test := range map[string]struct {
		files   map[string]string
		port    int
		command string // empty if it is in doubt
	}{
		"vite":             {script("vite", ""), 5173, "npm run dev -- --port $PORT --strictPort"},
		"vite, yarn":       {with(script("vite", ""), "yarn.lock"), 5173, "yarn run dev --port $PORT --strictPort"},
		"vite, port":       {script("vite --port 4000", ""), 4000, "npm exec -- vite --port $PORT"},
		"port and more":    {script("gen && vite --port 4000", ""), 4000, ""},
		"next":             {script("next dev", ""), 3000, "npm run dev -- --port $PORT"},
		"by dependency":    {script("run-it", `,"devDependencies":{"astro":"1"}`), 4321, "npm run dev -- --port $PORT"},
		"angular":          {with(script("ng serve", ""), "pnpm-lock.yaml"), 4200, "pnpm run dev --port $PORT"},
		"two programs":     {script("tailwind & next dev", ""), 3000, ""},
		"takes PORT":       {script("PORT=${PORT:-3000} thing", ""), 3000, "npm run dev"},
		"nothing known":    {script("thing", ""), 3000, ""},
		"node, fixed":      {map[string]string{"package.json": `{"scripts":{"start":"node server.js"}}`, "server.js": "listen(3000)"}, 3000, ""},
		"node":             {map[string]string{"package.json": `{"scripts":{"start":"node server.js"}}`, "server.js": "process.env.PORT"}, 3000, "npm run start"},
		"Docker":           {script("docker compose up", ""), 0, ""},
		"rails":            {map[string]string{"Gemfile": "", "bin/rails": ""}, 3000, "bin/rails server -p $PORT"},
		"django":           {map[string]string{"manage.py": "", "uv.lock": ""}, 8000, "uv run python manage.py runserver $PORT"},
		"fastapi":          {map[string]string{"app/main.py": "x = 1\nrun: FastAPI = FastAPI()\n"}, 8000, "python3 -m uvicorn app.main:run --reload --port $PORT"},
		"flask":            {map[string]string{"app.py": "app = Flask(__name__)"}, 5000, "python3 -m flask --app app:app run --debug --port $PORT"},
		"phoenix, fixed":   {map[string]string{"mix.exs": "{:phoenix, 1}", "config/dev.exs": "port: 4000"}, 4000, ""},
		"phoenix":          {map[string]string{"mix.exs": "{:phoenix, 1}", "config/dev.exs": `System.get_env("PORT")`}, 4000, "mix phx.server"},
		"laravel":          {map[string]string{"artisan": ""}, 8000, "php artisan serve --port=$PORT"},
		"spring":           {map[string]string{"pom.xml": "org.springframework.boot", "mvnw": ""}, 8080, "SERVER_PORT=$PORT ./mvnw spring-boot:run"},
		"go":               {map[string]string{"go.mod": "", "main.go": `"net/http" os.Getenv("PORT")`}, 8080, "go run ."},
		"go, fixed":        {map[string]string{"go.mod": "", "main.go": `"net/http" ":8080"`}, 8080, ""},
		"go, no server":    {map[string]string{"go.mod": "", "main.go": `"fmt" os.Getenv("PORT")`}, 0, ""},
		"go, cmd":          {map[string]string{"go.mod": "", "cmd/api/main.go": `"net/http" os.Getenv("PORT")`}, 8080, "go run ./cmd/api"},
		"rust":             {map[string]string{"Cargo.toml": "[dependencies]\naxum = '1'", "src/main.rs": `env::var("PORT")`}, 8080, "cargo run"},
		"bin/dev":          {map[string]string{"bin/dev": "exec thing ${PORT}"}, 3000, "bin/dev"},
		"bin/dev, fixed":   {map[string]string{"bin/dev": "exec thing"}, 3000, ""},
		"pages":            {map[string]string{"index.html": ""}, 8000, "python3 -m http.server $PORT"},
		"pages, and more":  {map[string]string{"index.html": "", "package.json": `{"scripts":{"dev":"vite"}}`}, 5173, "npm run dev -- --port $PORT --strictPort"},
		"nothing":          {map[string]string{"README": ""}, 0, ""},
		"name of a folder": {map[string]string{"go.mod": "", "cmd/Ä pi/main.go": `"net/http" os.Getenv("PORT")`}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sure, doubtful := found(t, test.files)
			all := slices.Concat(sure, doubtful)
			switch {
			case test.port == 0:
				if len(all) > 0 {
					t.Errorf("found %+v", all)
				}
			case len(all) != 1 || all[0].BasePort != test.port:
				t.Errorf("found %+v", all)
			case test.command == "" && len(sure) > 0:
				t.Errorf("there is no doubt about %+v", sure)
			case test.command != "" && (len(sure) == 0 || sure[0].Command != test.command):
				t.Errorf("found %+v", all)
			}
		})
	}
}

func TestProcfile(t *testing.T) {
	sure, _ := found(t, map[string]string{"Procfile.dev": "css: yarn build --watch\nrelease: x\napi: api -p 4100\nweb: env X=1 bin/rails server -p 3000\nnonsense\n", "Gemfile": "", "bin/rails": ""})
	var got []string
	for _, f := range sure {
		got = append(got, fmt.Sprint(f.Name, " ", f.BasePort, " ", f.Command))
	}
	want := []string{"web 3000 env X=1 bin/rails server -p $PORT", "css 0 yarn build --watch", "api 4100 api -p $PORT"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestVariables(t *testing.T) {
	root := folder(t, map[string]string{
		"compose.yaml": "services: {db: {image: postgres, ports: ['6000:5432']}, shop: {build: ., ports: ['7000:7000']}}\n",
		".env.example": "# x\nexport A='postgres://u:p$w@localhost:6000/x'\nB=http://127.0.0.1:7000\nC=localhost:60001\nECLUSE_SLUG=localhost:6000\nA=2\n",
		".env":         "SECRET=postgres://u:p@localhost:6000/x\n",
	})
	want := []Variable{
		{Name: "A", Value: "postgres://u:p$$w@localhost:${ECLUSE_DB_PORT}/x", From: ".env.example", Docker: true},
		{
			Name: "SECRET", Value: "postgres://u:PASSWORD@localhost:${ECLUSE_DB_PORT}/x", From: ".env", Docker: true,
			Leads: "localhost:6000, the port of db outside of sessions", Doubt: "its value has a password",
		},
	}
	if diff := cmp.Diff(want, Examine(t.Context(), root).Env); diff != "" {
		t.Error(diff)
	}
}
