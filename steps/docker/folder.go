package docker

import (
	"runtime"
	"syscall"
)

// inFolder calls do in a thread of its own that is in the folder dir: the library
// takes some paths in files that are included by included files for relative to
// where the process is. Where a thread may not have a folder of its own (as in many
// containers), do is called all the same, and false is returned.
func inFolder(dir string, do func()) (in bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// It is never unlocked, so the thread ends with the function.
		runtime.LockOSThread()
		if err := syscall.Unshare(syscall.CLONE_FS); err == nil {
			in = syscall.Chdir(dir) == nil
		}
		do()
	}()
	<-done
	return in
}
