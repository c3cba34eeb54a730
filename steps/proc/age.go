package proc

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of [ID.Start].
const tick = 10 * time.Millisecond

// Age is how long ago the process was started, if that was since the boot. The time
// that the machine slept counts, as it does in Start.
func (id ID) Age() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, fmt.Errorf("read the time since the boot: %w", err)
	}
	return time.Duration(now.Nano()) - time.Duration(id.Start)*tick, nil
}
