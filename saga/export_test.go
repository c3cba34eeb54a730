package saga

import "time"

// ShortenLeavePatience makes a run leave sooner that was told to leave at once.
func ShortenLeavePatience() { leavePatience = 200 * time.Millisecond }
