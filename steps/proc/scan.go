package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Holding finds who has a file open, by its inode: under whatever name, and with
// descriptors that were inherited. A file that does not exist nobody holds.
func Holding(path string) ([]ID, error) {
	want, err := inodeOf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find who holds %s: %w", path, err)
	}
	return others(func(pid int) bool {
		for _, fd := range descriptors(pid) {
			// What is no file has no path: sockets, pipes.
			if !strings.HasPrefix(fd.target, "/") {
				continue
			}
			if have, err := inodeOf(fd.path); err == nil && have == want {
				return true
			}
		}
		return false
	})
}

// Writing finds who has a file as its stdout or stderr, open for appending. Of a
// log that nobody else writes to, those are the ones that were started with it:
// neither who reads it (tail, an editor) nor who has opened it once more.
func Writing(path string) ([]ID, error) {
	want, err := inodeOf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find who writes to %s: %w", path, err)
	}
	return others(func(pid int) bool {
		for _, fd := range []int{1, 2} {
			have, err := inodeOf(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
			if err == nil && have == want && appends(pid, fd) {
				return true
			}
		}
		return false
	})
}

// appends reports whether a descriptor of a process is open for appending.
func appends(pid, fd int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	_, rest, found := strings.Cut(string(data), "flags:")
	if err != nil || !found {
		return false
	}
	first, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	flags, err := strconv.ParseUint(first, 8, 64)
	return err == nil && flags&unix.O_APPEND != 0 && flags&unix.O_ACCMODE != unix.O_RDONLY
}

// Carrying finds whose environment has all of these, each as KEY=VALUE. It is
// the environment that the program was started with. Carrying nothing is an
// error: everybody does.
func Carrying(env ...string) ([]ID, error) {
	if len(env) == 0 {
		return nil, errors.New("find processes by their environment: no variable was named")
	}
	return others(func(pid int) bool { return carries(pid, env) })
}

// InGroup finds the members of a process group. The number may belong to a new
// group by now unless its leader, or a member, is known to live: see [Family].
func InGroup(group int) ([]ID, error) {
	p, all, err := look()
	if err != nil {
		return nil, err
	}
	var found []ID
	for _, s := range all {
		if s.group == group && !s.dead() && s.pid != os.Getpid() {
			found = append(found, p.id(s))
		}
	}
	return found, nil
}

// Tree is the process and all its descendants, itself first; nil if it is gone.
// A process whose parent has ended is nobody's descendant any more.
func Tree(root ID) []ID {
	p, all, err := look()
	if err != nil || !all.alive(p, root) {
		return nil
	}
	children := all.children()
	tree := []ID{root}
	for i := 0; i < len(tree); i++ {
		for _, child := range children[tree[i].PID] {
			tree = append(tree, p.id(child))
		}
	}
	return tree
}

// look is a look at all processes from where we are.
func look() (place, table, error) {
	p, err := here()
	if err != nil {
		return place{}, nil, err
	}
	all, err := readTable()
	return p, all, err
}

// alive reports whether the process was alive when the table was read.
func (t table) alive(p place, id ID) bool {
	s, ok := t[id.PID]
	return ok && p.id(s) == id && !s.dead()
}

// children are the living processes, by their parents.
func (t table) children() map[int][]stat {
	children := map[int][]stat{}
	for _, s := range t {
		if !s.dead() && s.pid != s.parent {
			children[s.parent] = append(children[s.parent], s)
		}
	}
	return children
}

// others finds the living processes beside us that a test is true of.
func others(test func(pid int) bool) ([]ID, error) {
	p, err := here()
	if err != nil {
		return nil, err
	}
	pids, err := pids()
	if err != nil {
		return nil, err
	}
	var found []ID
	for _, pid := range pids {
		if pid == os.Getpid() {
			continue
		}
		// The identity comes first: if the number changes its owner in
		// between, the test is of another process, and the identity is of
		// one that is gone.
		if s, err := readStat(pid); err == nil && !s.dead() && test(pid) {
			found = append(found, p.id(s))
		}
	}
	return found, nil
}

// descriptor is an open file of a process: the link in /proc, and what it says.
type descriptor struct {
	number       int
	path, target string
}

// descriptors lists the open files of a process, as far as we may see them.
func descriptors(pid int) []descriptor {
	dir, err := os.Open(procPath(pid, "fd"))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	list := make([]descriptor, 0, len(names))
	for _, name := range names {
		number, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		path := procPath(pid, "fd/"+name)
		if target, err := os.Readlink(path); err == nil {
			list = append(list, descriptor{number: number, path: path, target: target})
		}
	}
	return list
}

// inode is a file, whatever its name.
type inode struct {
	major, minor uint32
	number       uint64
}

// inodeOf looks at a file without asking a server: that could hang on a file
// system that a stranger has mounted.
func inodeOf(path string) (inode, error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &s); err != nil {
		return inode{}, err
	}
	return inode{major: s.Dev_major, minor: s.Dev_minor, number: s.Ino}, nil
}
