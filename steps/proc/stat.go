package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// stat is what we need of /proc/PID/stat.
type stat struct {
	pid     int
	state   byte
	parent  int
	group   int
	session int
	kernel  bool // a thread of the kernel: no program, no environment
	threads int
	start   uint64
}

// Positions of the fields behind the name, which is field 2 of proc(5).
const (
	fieldState   = 3 - 3 //nolint:staticcheck // its number in proc(5), as the others
	fieldParent  = 4 - 3
	fieldGroup   = 5 - 3
	fieldSession = 6 - 3
	fieldFlags   = 9 - 3
	fieldThreads = 20 - 3
	fieldStart   = 22 - 3
)

// flagKernel marks threads of the kernel (PF_KTHREAD).
const flagKernel = 0x00200000

// dead reports whether the process has ended. A first thread that ended before
// the others is shown as a zombie, too.
func (s stat) dead() bool {
	return s.state == 'X' || s.state == 'x' || s.state == 'Z' && s.threads <= 1
}

// suspended reports whether the process is stopped, by a signal or a debugger.
func (s stat) suspended() bool { return s.state == 'T' || s.state == 't' }

// readStat reads the facts of a process, a zombie's too. The error wraps
// os.ErrProcessDone if there is none.
func readStat(pid int) (stat, error) {
	if pid <= 0 {
		return stat{}, os.ErrProcessDone
	}
	data, err := os.ReadFile(procPath(pid, "stat"))
	if vanished(err) {
		return stat{}, os.ErrProcessDone
	}
	if err != nil {
		return stat{}, err
	}
	return parseStat(data)
}

// parseStat reads a line of /proc/PID/stat. The name may hold anything, blanks
// and parentheses too, but nothing behind it holds a parenthesis.
func parseStat(data []byte) (stat, error) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("no name in %q", data)
	}
	fields := bytes.Fields(data[end+1:])
	if len(fields) <= fieldStart || len(fields[fieldState]) != 1 {
		return stat{}, fmt.Errorf("%d fields in %q", len(fields), data)
	}
	s := stat{state: fields[fieldState][0]}
	for _, number := range []struct {
		into *int
		text []byte
	}{
		{&s.pid, bytes.TrimSpace(data[:open])},
		{&s.parent, fields[fieldParent]},
		{&s.group, fields[fieldGroup]},
		{&s.session, fields[fieldSession]},
		{&s.threads, fields[fieldThreads]},
	} {
		n, err := strconv.Atoi(string(number.text))
		if err != nil {
			return stat{}, err
		}
		*number.into = n
	}
	start, err := strconv.ParseUint(string(fields[fieldStart]), 10, 64)
	if err != nil {
		return stat{}, err
	}
	flags, err := strconv.ParseUint(string(fields[fieldFlags]), 10, 64)
	if err != nil {
		return stat{}, err
	}
	s.start, s.kernel = start, flags&flagKernel != 0
	return s, nil
}

// table is a look at all processes: those that there were at some time during
// the look, by their pids.
type table map[int]stat

// readTable looks at all processes that we may see.
func readTable() (table, error) {
	pids, err := pids()
	if err != nil {
		return nil, err
	}
	all := make(table, len(pids))
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil {
			all[pid] = s
		}
	}
	return all, nil
}

// pids lists the numbers in /proc, in no order.
func pids() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("look at the processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("look at the processes: %w", err)
	}
	list := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	return list, nil
}

// procPath is a file of a process.
func procPath(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}

// vanished reports whether err says that the process is not there any more: its
// folder may go between any two calls, and its files answer ESRCH.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
