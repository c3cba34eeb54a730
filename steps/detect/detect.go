package detect

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// Machine is what a detection is told of the machine; it asks nobody itself.
type Machine struct {
	// Docker tells that an engine answers, and Compose is there.
	Docker bool
	// NoCompose tells that an engine answers, and only Compose is missing.
	NoCompose bool
	// Postgres tells that something listens where PostgreSQL does.
	Postgres bool
}

// Scores are points for each mode.
type Scores struct {
	Container int `json:"container"`
	Host      int `json:"host"`
	Hybrid    int `json:"hybrid"`
}

// Signal is something that speaks for or against a mode.
type Signal struct {
	What string `json:"what"`
	Scores
}

// How sure a detection is: by how far the mode that it proposes is ahead.
const (
	ConfidenceHigh   = "high"   // by four points or more
	ConfidenceMedium = "medium" // by two or three
	ConfidenceLow    = "low"    // by one, or by none
	ConfidenceNone   = "none"   // there is none to propose
)

// Detection is a proposal of a mode.
type Detection struct {
	// Mode is empty if none has more than no points.
	Mode       string   `json:"mode"`
	Confidence string   `json:"confidence"`
	Signals    []Signal `json:"signals"`
	Scores     Scores   `json:"scores"`
	// Unsupported names what the repository is built with that nothing is known of;
	// then there is no proposal.
	Unsupported string `json:"unsupported,omitempty"`
}

// Detect proposes a mode for the repository whose main worktree is root.
func Detect(root string, s Survey, on Machine) Detection {
	d := Detection{Confidence: ConfidenceNone, Signals: []Signal{}}
	for _, name := range []string{"flake.nix", "WORKSPACE", "BUILD.bazel", "MODULE.bazel"} {
		if isFile(filepath.Join(root, name)) {
			d.Unsupported = name
			return d
		}
	}
	add := func(holds bool, what string, container, host, hybrid int) {
		if holds {
			d.Signals = append(d.Signals, Signal{what, Scores{container, host, hybrid}})
			d.Scores.Container += container
			d.Scores.Host += host
			d.Scores.Hybrid += hybrid
		}
	}
	add(!on.Docker && !on.NoCompose, "no Docker engine answers", -10, 0, -10)
	add(on.NoCompose, "Docker Compose is missing", -10, 0, -10)
	composeSignals(s, add)
	hostSignals(root, add)
	if dirs := s.dirs(); len(dirs) > 0 {
		add(true, "applications are in "+strings.Join(dirs, ", "), 0, 3, 2)
	}
	add(on.Postgres, "something listens on 127.0.0.1:5432", 0, 1, 0)
	d.decide()
	return d
}

// dirs are the folders in which native services are, the first few of many.
func (s Survey) dirs() []string {
	const few = 4
	var list []string
	for _, f := range s.Natives {
		if f.Dir != "" && f.sure() && !slices.Contains(list, f.Dir) {
			list = append(list, f.Dir)
		}
	}
	if len(list) > few {
		list = append(list[:few], "...")
	}
	return list
}

// composeSignals are those of the compose files.
func composeSignals(s Survey, add func(holds bool, what string, container, host, hybrid int)) {
	file, services := s.ComposeFile, s.contained()
	if i := slices.IndexFunc(s.Composed, func(c Composed) bool { return c.Doubt == "" }); file == "" && i >= 0 {
		file = s.Composed[i].File
	}
	if file == "" {
		add(true, "there is no compose file", -5, 4, -5)
		return
	}
	add(true, "there is "+file, 2, 0, 2)
	some := func(holds func(docker.Surveyed) bool) bool { return slices.ContainsFunc(services, holds) }
	add(some(func(c docker.Surveyed) bool { return c.Here }), "a service builds what is in the repository", 3, 0, 0)
	add(len(services) > 0 && !some(func(c docker.Surveyed) bool { return !dataImage(c.Image) }), "every service is a data service", -2, 0, 5)
	add(some(appLabelled), "a service has the label "+settings.Defaults().AppLabel+"="+settings.Defaults().AppLabelValue, 0, 0, 10)
	add(some(func(c docker.Surveyed) bool { return c.Bound }), "a service mounts a folder of the host", 2, 0, 0)
	add(some(func(c docker.Surveyed) bool { return c.Watched }), "a service uses develop.watch", 2, 0, 1)
}

// hostSignals are those of files that tell of how an application is run.
func hostSignals(root string, add func(holds bool, what string, container, host, hybrid int)) {
	is := func(name string) bool { return isFile(filepath.Join(root, name)) }
	add(is(".devcontainer/devcontainer.json"), "there is .devcontainer/devcontainer.json", 4, 0, 0)
	add(is("bin/dev"), "there is bin/dev", 0, 3, 2)
	add(is("Procfile.dev"), "there is Procfile.dev", 0, 3, 2)
	if script := readPackage(root).Scripts["dev"]; script != "" && !dockerScript(script) {
		add(true, fmt.Sprintf("package.json has a script dev (%.60q)", script), 0, 2, 2)
	}
	add(is("Gemfile") && is("bin/rails"), "there are Gemfile and bin/rails", 0, 2, 2)
	for _, name := range []string{".tool-versions", ".nvmrc", ".python-version", ".ruby-version", "mise.toml"} {
		if is(name) {
			add(true, "there is "+name, 0, 1, 1)
			break
		}
	}
	for _, name := range []string{"README.md", "README.rst", "README"} {
		add(tellsBoth(readText(root, name)), name+" has docker compose up, and the application after it", 0, 0, 3)
	}
}

// decide finds the mode with the most points.
func (d *Detection) decide() {
	// Of two with as many the first is taken.
	order := []struct {
		mode   string
		points int
	}{{settings.ModeContainer, d.Scores.Container}, {settings.ModeHybrid, d.Scores.Hybrid}, {settings.ModeHost, d.Scores.Host}}
	best := order[0]
	for _, one := range order[1:] {
		if one.points > best.points {
			best = one
		}
	}
	if best.points <= 0 {
		return
	}
	ahead := math.MaxInt
	for _, one := range order {
		if one.mode != best.mode {
			ahead = min(ahead, best.points-one.points)
		}
	}
	d.Mode, d.Confidence = best.mode, ConfidenceLow
	switch {
	case ahead >= 4:
		d.Confidence = ConfidenceHigh
	case ahead >= 2:
		d.Confidence = ConfidenceMedium
	}
}

// Why says in a line what spoke most for the mode.
func (d Detection) Why() string {
	var best []string
	for _, s := range d.Signals {
		points := map[string]int{settings.ModeContainer: s.Container, settings.ModeHost: s.Host, settings.ModeHybrid: s.Hybrid}[d.Mode]
		if points > 0 {
			best = append(best, s.What)
		}
	}
	return strings.Join(best, ", ")
}

// dataImages are parts of the names of images that hold data, with their ports.
var dataImages = []struct {
	name string
	port int
}{
	{"postgres", 5432}, {"postgis", 5432}, {"pgvector", 5432}, {"redis", 6379}, {"valkey", 6379}, {"mysql", 3306}, {"mariadb", 3306},
	{"mongo", 27017}, {"rabbitmq", 5672}, {"mailhog", 8025}, {"mailpit", 8025}, {"minio", 9000}, {"elasticsearch", 9200},
	{"opensearch", 9200}, {"nats", 4222}, {"kafka", 9092}, {"clickhouse", 8123}, {"memcached", 11211},
}

// dataImage reports whether an image is one that holds data.
func dataImage(image string) bool { return imagePort(image) != 0 }

// imagePort is the port that a data image is known for, 0 of any other.
func imagePort(image string) int {
	for _, known := range dataImages {
		if strings.Contains(image, known.name) {
			return known.port
		}
	}
	return 0
}

// startsApp is how a README starts an application.
var startsApp = regexp.MustCompile(`bin/dev|npm run dev|yarn dev`)

// tellsBoth reports whether a README starts Docker, and soon after that the
// application.
func tellsBoth(text string) bool {
	const near = 9
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if !strings.Contains(line, "docker compose up") && !strings.Contains(line, "docker-compose up") {
			continue
		}
		if startsApp.MatchString(strings.Join(lines[i:min(i+1+near, len(lines))], "\n")) {
			return true
		}
	}
	return false
}

// dockerScript reports whether it is Docker that a script runs.
func dockerScript(script string) bool {
	return strings.Contains(script, "docker") || strings.Contains(script, "compose")
}

// isFile reports whether a plain file is at path.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
