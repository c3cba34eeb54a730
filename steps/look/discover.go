package look

import (
	"regexp"
	"slices"
	"strings"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// Discovered is a native service that runs in a worktree without a session.
type Discovered struct {
	Service string
	Port    int
	ID      proc.ID
}

// Discover finds which native services run in a worktree, and at which ports, by what
// /proc tells: a process that is in the worktree, at whatever depth, whose command line
// has all the words of the service's command, and that listens, or one that descends
// from it. The second list names those that were not found.
func Discover(cfg settings.Config, worktree string) (found []Discovered, missing []string, err error) {
	snap, err := proc.Snap()
	if err != nil {
		return nil, nil, err
	}
	own := steps.Insider(session.Session{Worktree: worktree})
	var there []candidate
	for _, id := range snap.Processes() {
		if !own(id) {
			continue
		}
		ports := snap.Listening([]proc.ID{id})
		if len(ports) == 0 {
			ports = snap.Listening(snap.Tree(id))
		}
		if len(ports) > 0 {
			there = append(there, candidate{id, strings.ToLower(proc.Command(id.PID)), ports})
		}
	}
	taken := map[int]bool{}
	for _, service := range mostWordsFirst(cfg) {
		var one candidate
		port := 0
		if service.Ported() { // who listens nowhere cannot be told from another of its kind
			one, port = choose(service, there, taken)
		}
		if port == 0 {
			missing = append(missing, service.Name)
			continue
		}
		taken[port] = true
		found = append(found, Discovered{service.Name, port, one.id})
	}
	slices.SortFunc(found, func(a, b Discovered) int { return strings.Compare(a.Service, b.Service) })
	slices.Sort(missing)
	return found, missing, nil
}

// candidate is a process that may be a service.
type candidate struct {
	id    proc.ID
	line  string
	ports []int
}

// mostWordsFirst are the native services with a command, those first that say more of
// how their processes look.
func mostWordsFirst(c settings.Config) []settings.Service {
	var list []settings.Service
	for _, s := range c.Services {
		if s.Native() && s.Command != "" {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b settings.Service) int { return len(words(b)) - len(words(a)) })
	return list
}

// choose is the process of a service, and its port: that where the service counts from
// if it listens there, else the first that is nobody's yet; 0 if there is none.
func choose(s settings.Service, there []candidate, taken map[int]bool) (candidate, int) {
	var chosen candidate
	number := 0
	for _, one := range there {
		if !looksLike(s, one.line) {
			continue
		}
		for _, port := range one.ports {
			switch {
			case taken[port]:
			case port == s.HostBase():
				return one, port
			case number == 0:
				chosen, number = one, port
			}
		}
	}
	return chosen, number
}

// looksLike reports whether a command line, in lower case, has all the words of the
// service's command. One without any looks like nothing.
func looksLike(s settings.Service, line string) bool {
	words := words(s)
	return len(words) > 0 && !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
}

// launcher is what stands before the program in a command, and often not in the command
// line of the process.
var launcher = regexp.MustCompile(`^(exec |bundle exec |npx |yarn |(ba)?sh -c |python3? -m |[A-Za-z_][A-Za-z0-9_]*=\S* )`)

// words are what of the service's command the command line of its process has, too.
func words(s settings.Service) []string {
	command := strings.TrimLeft(s.Command, ` "'`)
	for launcher.MatchString(command) {
		command = strings.TrimLeft(launcher.ReplaceAllString(command, ""), ` "'`)
	}
	var words []string
	for _, word := range strings.Fields(command) {
		word = strings.ToLower(strings.Trim(word, `"'`))
		if word != "" && !strings.ContainsAny(word, "$`;&|<>") { // only a shell knows what becomes of it
			words = append(words, word)
		}
	}
	return words
}

// Adoptable tells of the services of a session whose processes are gone which ones an up
// would adopt, and which ones not.
func Adoptable(s session.Session) (yes, no []string, err error) {
	for i, spec := range s.Plan.Steps {
		state := s.Progress.Steps[i]
		if spec.Kind != "service" || state.Phase != saga.Done {
			continue
		}
		fact, _ := steps.ServiceOf(s, i)
		if fact.Alive() {
			continue
		}
		name := steps.ServiceName(spec)
		_, found, err := steps.Occupant(s, s.Ports[name], fact.ID)
		if err != nil {
			return nil, nil, err
		}
		if found {
			yes = append(yes, name)
		} else {
			no = append(no, name)
		}
	}
	return yes, no, nil
}

// Synced makes the configuration that of a session whose services run already: it has
// these at their ports, and nothing else is made for it.
func Synced(c settings.Config, found []Discovered) (settings.Config, error) {
	choice := settings.Choice{NoInherit: true, Synced: true, Pins: map[string]int{}}
	for _, one := range found {
		choice.Only = append(choice.Only, one.Service)
		choice.Pins[one.Service] = one.Port
	}
	c.ProcessManager = settings.ManagerDetached
	return c.Choose(choice)
}

// Occupied takes back that the ports of services that run already are taken.
func Occupied(wants []session.Want, found []Discovered) {
	for i := range wants {
		for _, one := range found {
			if wants[i].Name == one.Service && wants[i].Pin == one.Port {
				wants[i].Taken = ""
			}
		}
	}
}

// AdoptedOf names the services of a session that the user has started.
func AdoptedOf(s session.Session) []string {
	var names []string
	for i, spec := range s.Plan.Steps {
		if fact, _ := steps.ServiceOf(s, i); spec.Kind == "service" && fact.Adopted {
			names = append(names, steps.ServiceName(spec))
		}
	}
	return names
}
