package steps

import (
	"errors"

	"ecluse/saga"
	"ecluse/steps/docker"
)

// The causes that a step's error can have in the journal, see [saga.Coded]: those that
// something else helps against than another up. A record of an older version has none,
// and one of a newer version may have others; neither is advised of.
const (
	// CausePortTaken: somebody else has a port of the session's, and keeps it until
	// they go.
	CausePortTaken = "port-taken"
	// CauseWorktreeGone: the worktree that the session had adopted is gone, and no up
	// makes one in its place.
	CauseWorktreeGone = "worktree-gone"
)

// robbed gives its cause to the error of an engine that a port is kept from.
func robbed(err error) error {
	if errors.Is(err, docker.ErrPortTaken) {
		return saga.Coded(CausePortTaken, err)
	}
	return err
}
