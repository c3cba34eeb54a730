package proc

import (
	"bytes"
	"os"
	"slices"
	"strings"
)

// proxies are programs that listen for somebody else: what is reached through
// them may well belong to the family that asked for it.
var proxies = []string{
	"conmon", "containerd-shim", "docker-proxy", "dockerd", "com.docker.back", // the kernel keeps 15 bytes of a name
	"passt", "passt.avx2", "pasta", "pasta.avx2", "rootlesskit", "rootlessport", "slirp4netns", "ssh", "systemd",
}

// Strangers are those of ids that find does not find, a finder of the family of
// leader, and that are proven not to belong to it. A process started before the
// leader cannot have been brought up by it. One whose environment can be read, and
// lacks env, was not either, or has rid itself of all by which it could be found
// again. Nothing is proven of a process in another pid namespace (that of a container
// that the family has started), of one that listens for others (docker-proxy), nor of
// one that has written over its environment.
func Strangers(ids []ID, find func() ([]ID, error), leader ID, env ...string) ([]ID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	family, err := find()
	if err != nil {
		return nil, err
	}
	var strangers []ID
	for _, id := range ids {
		if !slices.Contains(family, id) && stranger(id, leader, env) {
			strangers = append(strangers, id)
		}
	}
	return strangers, nil
}

// stranger reports whether a process that was not found in a family is proven not
// to belong to it.
func stranger(id, leader ID, env []string) bool {
	name, err := os.ReadFile(procPath(id.PID, "comm"))
	if err != nil || slices.Contains(proxies, strings.TrimSpace(string(name))) || elsewhere(id.PID) {
		return false
	}
	if id.Boot == leader.Boot && id.Start < leader.Start {
		return id.Alive()
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	return legible(environ(id.PID, buffer)) && !carries(id.PID, env) && id.Alive()
}

// elsewhere reports whether a process is in another pid namespace than we are, or
// in one that we may not know.
func elsewhere(pid int) bool {
	theirs, err := os.Readlink(procPath(pid, "ns/pid"))
	if err != nil {
		return true
	}
	ours, err := os.Readlink("/proc/self/ns/pid")
	return err != nil || theirs != ours
}

// legible reports whether an environment is one still: who writes over it leaves a
// title, and zero bytes.
func legible(data []byte) bool {
	entries := bytes.Split(bytes.Trim(data, "\x00"), []byte{0})
	for _, entry := range entries {
		name, _, ok := bytes.Cut(entry, []byte("="))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " :") {
			return false
		}
	}
	return true
}
