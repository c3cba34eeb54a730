package steps

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"ecluse/saga"
	"ecluse/steps/docker"
	"ecluse/steps/git"
)

// An engine that is kept from a port says so in the journal, whether or not it knows
// which port; one that fails otherwise does not.
func TestAnEngineThatIsRobbedSaysSo(t *testing.T) {
	no := errors.New("no")
	for want, list := range map[string][]error{
		CausePortTaken: {&docker.PortError{Port: 80, Err: no}, fmt.Errorf("up: %w", &docker.PortError{Err: no})},
		"":             {no, docker.ErrPool, nil},
	} {
		for _, err := range list {
			if got := robbed(err); saga.CodeOf(got) != want || !errors.Is(got, err) {
				t.Errorf("%v has code %q; want %q", got, saga.CodeOf(got), want)
			}
		}
	}
}

// A worktree that was adopted and is gone is not made again, and the journal says why;
// one that the session made is.
func TestAnAdoptedWorktreeThatIsGoneSaysSo(t *testing.T) {
	for _, adopted := range []bool{true, false} {
		r := newGitRig(t, "mine")
		if adopted {
			r.git(t, r.s.Root, "worktree", "add", "-q", "-b", "mine", r.s.Worktree)
		}
		step := newWorktree(r.Target, saga.Spec{})
		ok(t, r.do(t, step))
		ok(t, os.RemoveAll(r.s.Worktree))
		want := ""
		if adopted {
			want = CauseWorktreeGone
		}
		if err := r.verify(t, step); !errors.Is(err, git.ErrNoWorktree) || saga.CodeOf(err) != want {
			t.Errorf("adopted %t, looked at: %v, code %q", adopted, err, saga.CodeOf(err))
		}
		if err := r.do(t, step); (err == nil) == adopted || saga.CodeOf(err) != want {
			t.Errorf("adopted %t, made again: %v, code %q", adopted, err, saga.CodeOf(err))
		}
	}
}
