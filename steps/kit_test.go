package steps

import (
	"os"
	"testing"

	"ecluse/saga"
	"ecluse/saga/session"
)

// heldHome is one in which a lock is held for some tries more, by nobody who is to be
// seen.
type heldHome struct {
	Home
	tries *int
}

func (h heldHome) StepLock(key session.Key, step string) (*os.File, error) {
	if *h.tries--; *h.tries >= 0 {
		return nil, os.ErrExist
	}
	return h.Home.StepLock(key, step)
}

// The kernel lets go of the lock of who was killed a moment after they show no open file.
func TestALockThatIsLetGoLate(t *testing.T) {
	r := newRig(t, nil)
	tries := 5
	kit := Kit{Home: heldHome{r.home, &tries}}
	spec := r.s.Plan.Steps[0]
	a := saga.NewAttempt(spec.Name, nil, nil)
	_, finish, err := kit.Prepare(t.Context(), r, spec, a)
	ok(t, err)
	ok(t, finish(nil))
}
