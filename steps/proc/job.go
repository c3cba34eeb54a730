package proc

import "os"

// Cwd is the folder that a process is in; false if we may not know, or it has none.
func Cwd(pid int) (string, bool) {
	dir, err := os.Readlink(procPath(pid, "cwd"))
	return dir, err == nil
}

// Job is the first of the processes that a process was started with, as one command of
// a shell: it climbs from id to its parents as long as they are in its group and a test
// is true of them. It stops before the leader of a session, which is a shell or was one,
// and before whom we ourselves descend from.
func (s *Snapshot) Job(id ID, of func(ID) bool) ID {
	ours := map[int]bool{}
	for _, one := range s.Line(os.Getpid()) {
		ours[one.PID] = true
	}
	for {
		one, ok := s.all[id.PID]
		if !ok {
			return id
		}
		parent, ok := s.all[one.parent]
		if !ok || parent.dead() || parent.group != one.group || parent.session == parent.pid || ours[parent.pid] || !of(s.place.id(parent)) {
			return id
		}
		id = s.place.id(parent)
	}
}

// Processes are all processes, but for the kernel's and this one.
func (s *Snapshot) Processes() []ID {
	pids := map[int]bool{}
	for pid, one := range s.all {
		if !one.kernel && !one.dead() && pid != os.Getpid() {
			pids[pid] = true
		}
	}
	return s.ids(pids)
}

// Tree are the process and all that descend from it.
func (s *Snapshot) Tree(root ID) []ID {
	if !s.Alive(root) {
		return nil
	}
	return s.ids(descendants([]int{root.PID}, s.children))
}

// Command is the command line of a process, whole, with a blank between its words;
// empty if it has none.
func Command(pid int) string {
	data, err := os.ReadFile(procPath(pid, "cmdline"))
	if err != nil {
		return ""
	}
	return printable(string(data))
}

// Led reports whether a process is in the group or the session that leader leads, or
// led before it ended.
func (s *Snapshot) Led(id, leader ID) bool {
	one, ok := s.all[id.PID]
	return ok && id != leader && one.leads(leader)
}
