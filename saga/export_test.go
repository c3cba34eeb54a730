package saga

import "time"

func init() { leavePatience = 20 * time.Millisecond }
