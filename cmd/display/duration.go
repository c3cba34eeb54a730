package display

import (
	"fmt"
	"time"
)

const day = 24 * time.Hour

// Duration says how long something took, in at most two units: "0.3s", "41s",
// "3m12s", "2h", "5d4h". What is too short to tell is "0s", and so is what is
// negative because a clock jumped.
func Duration(d time.Duration) string {
	switch {
	case d < 50*time.Millisecond:
		return "0s"
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute-time.Second/2:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour-time.Second/2:
		return units(d.Round(time.Second), time.Minute, "m", time.Second, "s")
	case d < day-time.Minute/2:
		return units(d.Round(time.Minute), time.Hour, "h", time.Minute, "m")
	default:
		return units(d.Round(time.Hour), day, "d", time.Hour, "h")
	}
}

// units writes d in two units and leaves the smaller out when it is zero.
func units(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d%s", d/big, bigName)
	if rest := d % big / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, smallName)
	}
	return text
}

// Seconds says how long something has been going on: as [Duration], but in whole
// seconds, so that a line that is redrawn does not flicker.
func Seconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%ds", max(0, d/time.Second))
	}
	return Duration(d.Truncate(time.Second))
}

// Age says how old something is, in one unit, rounded down: "41s", "3m", "2h",
// "5d".
func Age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/day)
	}
}
