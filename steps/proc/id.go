package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// ID is one process, for ever: no other process, before or after, has the same.
type ID struct {
	// PID is its number in Namespace.
	PID int `json:"pid"`
	// Start is when it started, in clock ticks (10 ms) since the boot.
	Start uint64 `json:"start"`
	// Boot is the kernel's id of the boot, Namespace the inode of the pid
	// namespace that PID is counted in.
	Boot      string `json:"boot"`
	Namespace string `json:"ns"`
}

// ErrForeign is wrapped by the error of a call that would have to look into
// another pid namespace: whether the process lives can only be told there.
var ErrForeign = errors.New("it belongs to another pid namespace")

// place is where pids are counted.
type place struct{ boot, namespace string }

// here is our place. It does not change while we run.
var here = sync.OnceValues(readPlace)

func readPlace() (place, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return place{}, fmt.Errorf("read the id of the boot: %w", err)
	}
	link, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return place{}, fmt.Errorf("read the pid namespace: %w", err)
	}
	// A /proc of another namespace would show other processes under our
	// numbers.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return place{}, fmt.Errorf("/proc shows another pid namespace than ours; mount ours with `mount -t proc proc /proc`")
	}
	return place{
		boot:      string(bytes.TrimSpace(boot)),
		namespace: strings.TrimSuffix(strings.TrimPrefix(link, "pid:["), "]"),
	}, nil
}

// id is the identity of a process that was seen here.
func (p place) id(s stat) ID {
	return ID{PID: s.pid, Start: s.start, Boot: p.boot, Namespace: p.namespace}
}

// Self is the identity of this process. Where /proc is missing it is the pid
// alone, which is never alive.
func Self() ID {
	id, err := Of(os.Getpid())
	if err != nil {
		return ID{PID: os.Getpid()}
	}
	return id
}

// Of is the identity of the process that has a pid now. The error wraps
// os.ErrProcessDone if none has, or only a zombie.
func Of(pid int) (ID, error) {
	s, err := readStat(pid)
	if err == nil && s.dead() {
		err = os.ErrProcessDone
	}
	if err != nil {
		return ID{}, fmt.Errorf("identify pid %d: %w", pid, err)
	}
	p, err := here()
	if err != nil {
		return ID{}, err
	}
	return p.id(s), nil
}

// OfChild is [Of] for a child of this process that was not waited for yet: even if
// it has ended, its number is still its own.
func OfChild(pid int) (ID, error) {
	s, err := readStat(pid)
	if err != nil {
		return ID{}, fmt.Errorf("identify pid %d: %w", pid, err)
	}
	p, err := here()
	if err != nil {
		return ID{}, err
	}
	return p.id(s), nil
}

// Alive reports whether the process is running (or stopped). A zombie is not,
// nor is a process of another boot or of another pid namespace.
func (id ID) Alive() bool {
	s, err := id.look()
	return err == nil && !s.dead()
}

// Suspended reports whether the process is alive and stopped, by SIGSTOP, by the
// terminal or by a debugger.
func (id ID) Suspended() bool {
	s, err := id.look()
	return err == nil && s.suspended()
}

// look reads the facts of the process itself, of its zombie too. The error wraps
// os.ErrProcessDone if it is gone, and ErrForeign if that cannot be told.
func (id ID) look() (stat, error) {
	p, err := here()
	if err != nil {
		return stat{}, err
	}
	if id.Boot != p.boot {
		return stat{}, os.ErrProcessDone
	}
	if id.Namespace != p.namespace {
		return stat{}, ErrForeign
	}
	s, err := readStat(id.PID)
	if err != nil {
		return stat{}, err
	}
	if s.start != id.Start {
		return stat{}, os.ErrProcessDone // the number has a new owner
	}
	return s, nil
}

// maxDescription bounds a command in a description, in runes.
const maxDescription = 80

// Describe tells people which process it is: "pid 4711 (node server.js)".
func Describe(id ID) string {
	name := "gone"
	if id.Alive() {
		name = commandLine(id.PID)
	}
	return fmt.Sprintf("pid %d (%s)", id.PID, name)
}

// commandLine is the command line of a process on one short line, or its name in
// brackets, as ps has it, when there is none.
func commandLine(pid int) string {
	data, err := os.ReadFile(procPath(pid, "cmdline"))
	text := printable(strings.ReplaceAll(string(data), "\x00", " "))
	if err != nil || text == "" {
		data, err = os.ReadFile(procPath(pid, "comm"))
		if err != nil {
			return "gone"
		}
		text = "[" + printable(string(data)) + "]"
	}
	return brief(text)
}

// brief is as much of a text as people want to read, on one line.
func brief(text string) string {
	text = printable(text)
	if runes := []rune(text); len(runes) > maxDescription {
		return string(runes[:maxDescription-1]) + "…"
	}
	return text
}

// printable makes one line of text that no terminal stumbles over.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return strings.Join(strings.Fields(text), " ")
}
