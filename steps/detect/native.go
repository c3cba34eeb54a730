package detect

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecluse/steps/config"
	"ecluse/steps/settings"
)

// natives finds the services that run without Docker. Their commands take their port
// from $PORT; of those that are not the first that is changed later.
func (s *Survey) natives(root string) {
	for _, find := range []func(*Survey, string){
		(*Survey).rails, (*Survey).python, (*Survey).phoenix, (*Survey).laravel, (*Survey).spring, (*Survey).golang, (*Survey).rust,
		(*Survey).node,
	} {
		find(s, root)
	}
}

// add adds a service, with a name that is free.
func (s *Survey) add(f Found) {
	name := f.Name
	for i := 2; s.taken(f.Name); i++ {
		f.Name = fmt.Sprintf("%s-%d", name, i)
	}
	s.Natives = append(s.Natives, f)
}

// container reports whether a service of the compose files that will run in Docker has
// a name.
func (s *Survey) container(name string) bool {
	for _, c := range s.contained() {
		if settings.EnvKey(c.Name) == settings.EnvKey(name) && !c.Built && !appLabelled(c) {
			return true
		}
	}
	return false
}

// one is a service of one command.
func one(name string, port int, command, from string) Found {
	return Found{Service: settings.Service{Name: name, BasePort: port, Command: command}, From: from}
}

// slow gives a service that is compiled first the time for it.
func (f Found) slow() Found {
	limit := config.Duration(10 * time.Minute)
	f.Ready = settings.Ready{TCP: true, Timeout: &limit}
	return f
}

var (
	procLine = regexp.MustCompile(`^([A-Za-z0-9_-]+):\s*(\S.*)$`)
	// portFlag is a port that is written out in a command.
	portFlag = regexp.MustCompile(`(^|\s)(-p|--port|-P)([= ]?)(\d{2,5})\b`)
	// portSet is one that a command sets for its program.
	portSet = regexp.MustCompile(`\bPORT=["']?(\d{2,5})["']?\s+()\S`)
	// portName is how a command, or a program, takes its port from outside.
	portName = regexp.MustCompile(`\$\{?PORT\b|\bPORT\b`)
)

// freed is a command whose port is not written out any more, and that port; 0 if none
// was.
func freed(command string) (string, int) {
	port := 0
	if at := portSet.FindStringSubmatchIndex(command); at != nil {
		port, _ = strconv.Atoi(command[at[2]:at[3]])
		command = command[:at[0]] + command[at[4]:] // PORT is in its environment
	}
	match := portFlag.FindStringSubmatch(command)
	if match == nil {
		return command, port
	}
	port, _ = strconv.Atoi(match[4])
	return portFlag.ReplaceAllString(command, "${1}${2}${3}$$PORT"), port
}

// serverNames are lines of a Procfile that listen, also when they name no port: who
// runs a Procfile gives each line one in PORT.
var serverNames = []string{"web", "app", "api", "server", "backend", "frontend", "admin", "rails", "vite"}

// procfile takes the lines of Procfile.dev, and reports whether there are any. The web
// line comes first; lines that listen nowhere are workers.
func (s *Survey) procfile(root string) bool {
	const file = "Procfile.dev"
	var others []Found
	for line := range strings.Lines(readText(root, file)) {
		match := procLine.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil || match[1] == "release" {
			continue
		}
		command, port := freed(match[2])
		name := strings.Trim(strings.ToLower(match[1]), "-_")
		if !settings.NamePattern.MatchString(name) {
			continue
		}
		f := one(name, port, command, file)
		listens := port != 0 || portName.MatchString(command) || slices.Contains(serverNames, name)
		if match := nodeProgram.FindStringSubmatch(command); match != nil && port == 0 {
			text := readText(root, match[1])
			listens = listens || portName.MatchString(text)
			f.BasePort = usualPort(text)
		}
		if f.BasePort == 0 && listens {
			f.BasePort = 3000
		}
		if name == "web" {
			s.add(f)
		} else {
			others = append(others, f)
		}
	}
	for _, f := range others {
		s.add(f)
	}
	return len(s.Natives) > 0
}

func (s *Survey) rails(root string) {
	if isFile(filepath.Join(root, "Gemfile")) && isFile(filepath.Join(root, "bin/rails")) {
		s.add(one("web", 3000, "bin/rails server -p $PORT", "Gemfile and bin/rails"))
		s.After = append(s.After, "bin/rails db:prepare")
	}
}

// appObject is where a Python web framework's application is made.
var appObject = regexp.MustCompile(`(?m)^(\w+)\s*(?::[^=]*)?=\s*(FastAPI|Flask|Starlette|Litestar)\(`)

func (s *Survey) python(root string) {
	run := "python3 "
	for lock, prefix := range map[string]string{"uv.lock": "uv run python ", "poetry.lock": "poetry run python "} {
		if isFile(filepath.Join(root, lock)) || s.above != "" && isFile(filepath.Join(s.above, lock)) {
			run = prefix
		}
	}
	if isFile(filepath.Join(root, "manage.py")) {
		s.add(one("web", 8000, run+"manage.py runserver $PORT", "manage.py"))
		s.After = append(s.After, run+"manage.py migrate")
		return
	}
	for _, file := range []string{"main.py", "app.py", "app/main.py", "src/main.py"} {
		match := appObject.FindStringSubmatch(readText(root, file))
		if match == nil {
			continue
		}
		module := strings.ReplaceAll(strings.TrimSuffix(file, ".py"), "/", ".")
		command, port := run+"-m uvicorn "+module+":"+match[1]+" --reload --port $PORT", 8000
		if match[2] == "Flask" {
			command, port = run+"-m flask --app "+module+":"+match[1]+" run --debug --port $PORT", 5000
		}
		s.add(one("web", port, command, file))
		return
	}
}

func (s *Survey) phoenix(root string) {
	if !strings.Contains(readText(root, "mix.exs"), ":phoenix") {
		return
	}
	f := one("web", 4000, "mix phx.server", "mix.exs").slow()
	if !portName.MatchString(readText(root, "config/dev.exs") + readText(root, "config/runtime.exs")) {
		f.Doubt = "config/dev.exs does not take the port from PORT"
	}
	s.add(f)
	s.After = append(s.After, "mix ecto.setup")
}

func (s *Survey) laravel(root string) {
	if isFile(filepath.Join(root, "artisan")) {
		s.add(one("web", 8000, "php artisan serve --port=$PORT", "artisan"))
		s.After = append(s.After, "php artisan migrate")
	}
}

func (s *Survey) spring(root string) {
	for build, command := range map[string]string{"pom.xml": "./mvnw spring-boot:run", "build.gradle": "./gradlew bootRun", "build.gradle.kts": "./gradlew bootRun"} {
		program, _, _ := strings.Cut(command, " ")
		if strings.Contains(readText(root, build), "springframework.boot") && isFile(filepath.Join(root, program)) {
			s.add(one("web", 8080, "SERVER_PORT=$PORT "+command, build).slow())
			return
		}
	}
}

// plainPath is a path that needs no quotes in a command.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

// serves is what a Go program that serves has in its main file.
var serves = regexp.MustCompile(`"net/http"|ListenAndServe|\.Listen\(|gin\.|echo\.|fiber\.`)

func (s *Survey) golang(root string) {
	if !isFile(filepath.Join(root, "go.mod")) && (s.above == "" || !isFile(filepath.Join(s.above, "go.mod"))) {
		return
	}
	mains, _ := filepath.Glob(filepath.Join(root, "cmd", "*", "main.go")) // the pattern is sound
	for _, path := range append([]string{filepath.Join(root, "main.go")}, mains...) {
		file, err := filepath.Rel(root, path)
		text := readText(root, file)
		if err != nil || !serves.MatchString(text) || !plainPath.MatchString(file) {
			continue
		}
		name, command := "web", "go run ."
		if dir := filepath.Dir(file); dir != "." {
			name, command = filepath.Base(dir), "go run ./"+dir
		}
		s.add(program(name, 8080, command, file, text))
	}
}

// program is a service that is compiled, which takes its port from PORT or not at all.
func program(name string, port int, command, file, text string) Found {
	name = strings.ToLower(name)
	if !settings.NamePattern.MatchString(name) {
		name = "web"
	}
	f := one(name, port, command, file).slow()
	if !portName.MatchString(text) {
		f.Doubt = file + " does not take its port from PORT"
	}
	return f
}

func (s *Survey) rust(root string) {
	manifest := readText(root, "Cargo.toml")
	if regexp.MustCompile(`(?m)^(axum|actix-web|rocket|warp|hyper|tide|poem)\b`).MatchString(manifest) {
		s.add(program("web", 8080, "cargo run", "src/main.rs", readText(root, "src/main.rs")))
	}
}

// script takes bin/dev, where nothing else is known.
func (s *Survey) script(root string) {
	if !isFile(filepath.Join(root, "bin/dev")) {
		return
	}
	f := one("app", 3000, "bin/dev", "bin/dev")
	if !portName.MatchString(readText(root, "bin/dev")) {
		f.Doubt = "bin/dev does not name PORT"
	}
	s.add(f)
}

// static serves a folder of pages, where nothing else is known.
func (s *Survey) static(root string) {
	for _, site := range []struct {
		file, command string
		port          int
	}{
		{"hugo.toml", "hugo server --port $PORT", 1313}, {"mkdocs.yml", "mkdocs serve -a 127.0.0.1:$PORT", 8000},
		{"_config.yml", "bundle exec jekyll serve --port $PORT", 4000}, {"index.html", "python3 -m http.server $PORT", 8000},
	} {
		if len(s.Natives) == 0 && isFile(filepath.Join(root, site.file)) {
			s.add(one("web", site.port, site.command, site.file))
		}
	}
}
