package proc

import (
	"bytes"
	"os"
	"slices"
	"strings"
)

// Snapshot is one look at all processes of the machine and at what they listen on,
// for those who have many questions: each of them is answered from memory. What
// happens after the look it does not know.
type Snapshot struct {
	place    place
	all      table
	children map[int][]stat
	// listening are the TCP ports that a process listens on, listeners the
	// processes that listen on a port.
	listening map[int][]int
	listeners map[int][]int
	// open are the ports that somebody listens on, whoever it is.
	open map[int]bool
}

// Snap looks.
func Snap() (*Snapshot, error) {
	p, all, err := look()
	if err != nil {
		return nil, err
	}
	s := &Snapshot{place: p, all: all, children: all.children(), listening: map[int][]int{}, listeners: map[int][]int{}, open: map[int]bool{}}
	sockets := listeners()
	if len(sockets) == 0 {
		return s, nil
	}
	for _, port := range sockets {
		s.open[port] = true
	}
	for pid, one := range all {
		if one.kernel || one.dead() {
			continue
		}
		for _, fd := range descriptors(pid) {
			if port, ok := sockets[fd.target]; ok && !slices.Contains(s.listening[pid], port) {
				s.listening[pid] = append(s.listening[pid], port)
				s.listeners[port] = append(s.listeners[port], pid)
			}
		}
	}
	return s, nil
}

// Alive reports whether the process was alive.
func (s *Snapshot) Alive(id ID) bool { return s.all.alive(s.place, id) }

// Of is the identity of the process that had a pid; false if none had, or a zombie.
func (s *Snapshot) Of(pid int) (ID, bool) {
	one, ok := s.all[pid]
	if !ok || one.dead() {
		return ID{}, false
	}
	return s.place.id(one), true
}

// Brood are the process and all that it has brought up, however deep: whoever
// descends from it, is of its group or its session, or descends from one of those.
// There is none of a process that is gone.
func (s *Snapshot) Brood(root ID) []ID {
	if !s.Alive(root) {
		return nil
	}
	seeds := []int{root.PID}
	for pid, one := range s.all {
		if one.leads(root) && !one.dead() {
			seeds = append(seeds, pid)
		}
	}
	return s.ids(descendants(seeds, s.children))
}

// Marked are the processes whose environment has all of env, by the value of the
// variable that is named.
func (s *Snapshot) Marked(name string, env ...string) map[string][]ID {
	found := map[string][]ID{}
	for pid, one := range s.all {
		if one.kernel || one.dead() || pid == os.Getpid() || !carries(pid, env) {
			continue
		}
		value, _ := Variable(pid, name)
		found[value] = append(found[value], s.place.id(one))
	}
	return found
}

// Listening lists the TCP ports that the processes listened on, in order, each once.
func (s *Snapshot) Listening(ids []ID) []int {
	var ports []int
	for _, id := range ids {
		ports = append(ports, s.listening[id.PID]...)
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// Listeners are the processes that listened on a TCP port, as far as we may know.
func (s *Snapshot) Listeners(port int) []ID {
	pids := map[int]bool{}
	for _, pid := range s.listeners[port] {
		pids[pid] = true
	}
	return s.ids(pids)
}

// Open reports whether somebody listened on a TCP port, also somebody whom we may not
// know.
func (s *Snapshot) Open(port int) bool { return s.open[port] }

// Line is the process that had a pid and those that it descends from, itself
// first.
func (s *Snapshot) Line(pid int) []ID {
	var line []ID
	seen := map[int]bool{}
	for pid > 0 && !seen[pid] {
		one, ok := s.all[pid]
		if !ok {
			break
		}
		seen[pid] = true
		line = append(line, s.place.id(one))
		pid = one.parent
	}
	return line
}

// ids are the identities of processes, by their pids.
func (s *Snapshot) ids(pids map[int]bool) []ID {
	list := make([]ID, 0, len(pids))
	for pid := range pids {
		list = append(list, s.place.id(s.all[pid]))
	}
	slices.SortFunc(list, func(a, b ID) int { return a.PID - b.PID })
	return list
}

// leads reports whether the process is in the group or the session that a living
// process leads, or led.
func (s stat) leads(leader ID) bool { return s.group == leader.PID || s.session == leader.PID }

// Variable is what a variable of the environment says that a process was started
// with; false if it has none of that name, or we may not know.
func Variable(pid int, name string) (string, bool) {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	data := environ(pid, buffer)
	_, rest, found := bytes.Cut(data, []byte("\x00"+name+"="))
	if !found {
		return "", false
	}
	value, _, _ := bytes.Cut(rest, []byte{0})
	return string(value), true
}

// Container is the id of the container that a process runs in, as its control group
// names it: 64 hexadecimal digits. It is empty if it runs in none that is named.
func Container(pid int) string {
	data, err := os.ReadFile(procPath(pid, "cgroup"))
	if err != nil {
		return ""
	}
	return containerOf(string(data))
}

// containerOf finds the innermost id in the text of a /proc/PID/cgroup:
// "0::/system.slice/docker-<id>.scope", "4:pids:/docker/<id>".
func containerOf(text string) string {
	found := ""
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z') }) {
		if len(part) == idLength && strings.Trim(part, "0123456789abcdef") == "" {
			found = part
		}
	}
	return found
}

// idLength is how long the id of a container is.
const idLength = 64
