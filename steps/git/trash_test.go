package git

import "time"

var when = time.Date(2025, 11, 24, 5, 36, 0, 0, time.UTC)
