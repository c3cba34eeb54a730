package detect

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// nodeServers are programs that serve what a package is: the port that they take when
// they are given none, and the flag that gives it, empty if PORT does. One is found by
// the word in a script, else by the dependency.
var nodeServers = []nodeServer{
	{"next", "next", 3000, "--port $PORT"}, {"nuxt", "nuxt", 3000, "--port $PORT"}, {"nuxi", "nuxt", 3000, "--port $PORT"},
	{"remix", "@remix-run/dev", 3000, ""}, {"astro", "astro", 4321, "--port $PORT"},
	{"ng", "@angular/cli", 4200, "--port $PORT"}, {"gatsby", "gatsby", 8000, "--port $PORT"},
	{"react-scripts", "react-scripts", 3000, ""}, {"vue-cli-service", "@vue/cli-service", 8080, "--port $PORT"},
	{"vite", "vite", 5173, "--port $PORT --strictPort"}, {"webpack", "webpack-dev-server", 8080, "--port $PORT"},
	{"parcel", "parcel", 1234, "--port $PORT"}, {"eleventy", "@11ty/eleventy", 8080, "--port=$PORT"},
	{"serve", "serve", 3000, "--listen $PORT"}, {"http-server", "http-server", 8080, "--port $PORT"},
	{"nest", "@nestjs/cli", 3000, ""},
}

// nodeServer is one of them.
type nodeServer struct {
	word, dependency string
	port             int
	flag             string
}

var (
	// nodeProgram is a program of its own that node, or one like it, runs.
	nodeProgram = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:node|nodemon|tsx|ts-node|bun|deno run)\b.*?([\w./-]+\.(?:js|mjs|cjs|ts|mts))\b`)
	// nodeDefault is the port that a program takes when it is given none.
	nodeDefault = regexp.MustCompile(`\bPORT\s*(?:\|\||\?\?)\s*["']?(\d{4,5})\b`)
	// nodeBuilds is a program that makes something and serves nothing; of a library it
	// is what dev and start mostly are.
	nodeBuilds = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:npx |pnpm exec |yarn )?(?:tsc|tsup|tsdown|rollup|swc|babel|unbuild|microbundle|vite build|webpack (?:-w|--watch|build)|tailwindcss|sass|jest|vitest|eslint|echo)\b`)
	// nodeOthers is a program that starts what other packages have.
	nodeOthers  = regexp.MustCompile(`\b(?:turbo|nx|lerna|concurrently|wsrun|run-p|npm-run-all|--workspaces?|--recursive|--filter|--parallel)\b|\bpnpm -r\b|\s-w\s|\byarn workspaces?\b`)
	assignments = regexp.MustCompile(`^(?:[A-Za-z_]\w*=\S*\s+)*`)
	separators  = regexp.MustCompile(`[&|;]+`)
)

// nodePackage is what of a package.json is looked at.
type nodePackage struct {
	Scripts         map[string]string `json:"scripts"`
	Dependencies    map[string]any    `json:"dependencies"`
	DevDependencies map[string]any    `json:"devDependencies"`
}

// readPackage reads package.json. One that cannot be read is empty.
func readPackage(root string) nodePackage {
	var p nodePackage
	if json.Unmarshal([]byte(readText(root, "package.json")), &p) != nil {
		return nodePackage{}
	}
	for name, script := range p.Scripts {
		p.Scripts[name] = strings.Join(strings.Fields(script), " ")
	}
	return p
}

// has reports whether a package depends on another.
func (p nodePackage) has(name string) bool {
	return p.Dependencies[name] != nil || p.DevDependencies[name] != nil
}

// serving is the script that serves the package, empty if none does.
func (p nodePackage) serving() (name, script string) {
	for _, name := range []string{"dev", "start", "serve"} {
		if script := p.Scripts[name]; script != "" && !dockerScript(script) && !buildsOnly(script) {
			return name, script
		}
	}
	return "", ""
}

// buildsOnly reports whether none of a script's programs serves anything.
func buildsOnly(script string) bool {
	for _, program := range separators.Split(script, -1) {
		if !nodeBuilds.MatchString(strings.TrimSpace(program)) {
			return false
		}
	}
	return true
}

// node takes the script of a package.json that serves it, and gives its program the
// port.
func (s *Survey) node(root string) {
	p := readPackage(root)
	name, script := p.serving()
	if script == "" {
		return
	}
	lock := nodeLock(root)
	if lock == "" && s.above != "" {
		lock = nodeLock(s.above) // of a workspace it is the root's
	}
	run, pass, exec := packageManager(lock)
	f := one("web", 3000, run+name, "package.json, script "+name)
	switch command, port := freed(script); {
	case nodeOthers.MatchString(script):
		f.doubt("the script starts what other packages have")
	case port != 0: // more of them would not be one more
		settings := assignments.FindString(command) // a shell's, and no program
		f.BasePort, f.Command = port, settings+exec+command[len(settings):]
		if strings.ContainsAny(script, "&|;<>") {
			f.Command = run + name
			f.doubt("its port is written into the script")
		}
	case portName.MatchString(script):
	default:
		p.ported(root, script, pass, &f)
	}
	s.add(f)
}

// ported gives the port to the program of a script that does not name it.
func (p nodePackage) ported(root, script, pass string, f *Found) {
	if match := nodeProgram.FindStringSubmatch(script); match != nil {
		text := readText(root, match[1])
		if !portName.MatchString(text) {
			f.doubt(match[1] + " does not take its port from PORT")
		}
		if port := usualPort(text); port != 0 {
			f.BasePort = port
		}
		return
	}
	server, ok := p.server(script)
	if !ok {
		f.doubt("nothing tells how its program takes a port")
		return
	}
	f.BasePort = server.port
	if server.flag != "" {
		f.Command += pass + server.flag
	}
	if separators.MatchString(strings.Trim(script, "&|; ")) {
		f.doubt("the script runs more than one program, and the last of them gets the port")
	}
}

// usualPort is the one that a program takes when it is given none, 0 if that is not seen.
func usualPort(text string) int {
	port := 0
	if usual := nodeDefault.FindStringSubmatch(text); usual != nil {
		port, _ = strconv.Atoi(usual[1])
	}
	return port
}

// server is the program that a script serves the package with.
func (p nodePackage) server(script string) (nodeServer, bool) {
	words := strings.FieldsFunc(script, func(r rune) bool { return strings.ContainsRune(" &|;'\"", r) })
	for _, one := range nodeServers {
		if contains(words, one.word) {
			return one, true
		}
	}
	for _, one := range nodeServers {
		if p.has(one.dependency) {
			return one, true
		}
	}
	return nodeServer{}, false
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if filepath.Base(w) == word {
			return true
		}
	}
	return false
}

// packageManager is how a script is run, what is put before the flags that its program
// is to get, and how a program is run that no script names.
func packageManager(lock string) (run, pass, exec string) {
	switch lock {
	case "pnpm-lock.yaml":
		return "pnpm run ", " ", "pnpm exec "
	case "yarn.lock":
		return "yarn run ", " ", "yarn exec "
	case "bun.lock", "bun.lockb":
		return "bun run ", " ", "bunx "
	default:
		return "npm run ", " -- ", "npm exec -- "
	}
}

// nodeLock is the lock file of a package's manager.
func nodeLock(root string) string {
	for _, lock := range lockFiles {
		if lock.language == "node" && isFile(filepath.Join(root, lock.file)) {
			return lock.file
		}
	}
	return ""
}
