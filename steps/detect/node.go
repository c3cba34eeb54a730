package detect

import (
	"path/filepath"
	"regexp"
	"strings"
)

// nodeServers are programs that serve what a package is: the port that they take when
// they are given none, and the flag that gives it, empty if PORT does. One is found by
// the word in a script, else by the dependency.
var nodeServers = []struct {
	word, dependency string
	port             int
	flag             string
}{
	{"next", "next", 3000, "--port $PORT"}, {"nuxt", "nuxt", 3000, "--port $PORT"}, {"nuxi", "nuxt", 3000, "--port $PORT"},
	{"remix", "@remix-run/dev", 3000, ""}, {"astro", "astro", 4321, "--port $PORT"},
	{"ng", "@angular/cli", 4200, "--port $PORT"}, {"gatsby", "gatsby", 8000, "--port $PORT"},
	{"react-scripts", "react-scripts", 3000, ""}, {"vue-cli-service", "@vue/cli-service", 8080, "--port $PORT"},
	{"vite", "vite", 5173, "--port $PORT --strictPort"}, {"webpack", "webpack-dev-server", 8080, "--port $PORT"},
	{"parcel", "parcel", 1234, "--port $PORT"}, {"eleventy", "@11ty/eleventy", 8080, "--port=$PORT"},
	{"serve", "serve", 3000, "--listen $PORT"}, {"http-server", "http-server", 8080, "--port $PORT"},
	{"nest", "@nestjs/cli", 3000, ""},
}

// nodeProgram is a program of its own that node, or one like it, runs.
var nodeProgram = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:node|nodemon|tsx|ts-node|bun|deno run)\b.*?([\w./-]+\.(?:js|mjs|cjs|ts|mts))\b`)

// node takes the script of a package.json that serves it, and gives its program the
// port.
func (s *Survey) node(root string) {
	p := readPackage(root)
	name, script := "", ""
	for _, candidate := range []string{"dev", "start", "serve"} {
		if script == "" && p.Scripts[candidate] != "" && !dockerScript(p.Scripts[candidate]) {
			name, script = candidate, p.Scripts[candidate]
		}
	}
	if script == "" {
		return
	}
	run, pass := packageManager(root)
	f := one("web", 3000, run+name, "package.json, script "+name)
	defer func() { s.add(f) }()
	if command, port := freed(script); port != 0 { // more of them would not be one more
		f.BasePort, f.Command = port, nodeExec(root)+command
		if strings.ContainsAny(script, "&|;<>") {
			f.Command, f.Doubt = run+name, "its port is written into the script"
		}
		return
	}
	if portName.MatchString(script) {
		return
	}
	if match := nodeProgram.FindStringSubmatch(script); match != nil {
		if !portName.MatchString(readText(root, match[1])) {
			f.Doubt = match[1] + " does not take its port from PORT"
		}
		return
	}
	words := strings.FieldsFunc(script, func(r rune) bool { return strings.ContainsRune(" &|;'\"", r) })
	for _, byWord := range []bool{true, false} {
		for _, server := range nodeServers {
			if byWord && !contains(words, server.word) || !byWord && !p.has(server.dependency) {
				continue
			}
			f.BasePort = server.port
			if server.flag != "" {
				f.Command += pass + server.flag
			}
			if len(strings.FieldsFunc(script, func(r rune) bool { return strings.ContainsRune("&|;", r) })) > 1 {
				f.Doubt = "the script runs more than one program, and the last of them gets the port"
			}
			return
		}
	}
	f.Doubt = "nothing tells how its program takes a port"
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if filepath.Base(w) == word {
			return true
		}
	}
	return false
}

// packageManager is how a script is run, and what is put before the flags that its
// program is to get.
func packageManager(root string) (run, pass string) {
	switch lock := nodeLock(root); lock {
	case "pnpm-lock.yaml":
		return "pnpm run ", " "
	case "yarn.lock":
		return "yarn run ", " "
	case "bun.lock", "bun.lockb":
		return "bun run ", " "
	default:
		return "npm run ", " -- "
	}
}

// nodeExec is how a program of a package is run that no script names.
func nodeExec(root string) string {
	switch lock := nodeLock(root); lock {
	case "pnpm-lock.yaml":
		return "pnpm exec "
	case "yarn.lock":
		return "yarn exec "
	case "bun.lock", "bun.lockb":
		return "bunx "
	default:
		return "npm exec -- "
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
