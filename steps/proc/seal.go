package proc

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// firstSealed is the first descriptor that [Seal] seals.
const firstSealed = 3

// Seal keeps the files that are open in this process, above the first three, from
// its children: all but those that a child is given by name. Go's own files are
// sealed anyway; this is for those that we inherited from whoever started us. A
// service that held such a file would keep a script waiting that reads our
// output.
func Seal() {
	if unix.CloseRange(firstSealed, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	sealEach() // before Linux 5.11
}

func sealEach() {
	for _, fd := range descriptors(os.Getpid()) {
		if fd.number >= firstSealed {
			unix.CloseOnExec(fd.number)
		}
	}
}
