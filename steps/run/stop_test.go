package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecluse/steps/proc"
)

// cut runs a script, ends its context once the script has made the file that is
// its $READY, and returns what came of it.
func cut(t *testing.T, script string, grace time.Duration) (find func() ([]proc.ID, error), cutOff error) {
	t.Helper()
	env, find := mark(t)
	ready := filepath.Join(t.TempDir(), "ready")
	ctx, cancel := context.WithCancelCause(With(t.Context(), Inherit{Grace: grace, Log: openLog(t)}))
	ended := make(chan error, 1)
	go func() { ended <- Shell(t.TempDir(), script, env, "READY="+ready).Run(ctx) }()
	eventually(t, "the script is ready", func() bool {
		_, err := os.Stat(ready)
		return err == nil
	})
	cancel(errSignalled)
	err := <-ended
	if !errors.Is(err, errSignalled) {
		t.Errorf("got %v", err)
	}
	return find, err
}

func TestCutOff(t *testing.T) {
	find, err := cut(t, `echo begun; touch $READY; exec sleep 1000`, time.Minute)
	if e := asError(t, err); e.Signal != "SIGTERM" || e.Tail != "begun" {
		t.Errorf("got %+v", e)
	}
	none(t, find)
}

// Its members of the group, of the tree and of what is left of both are gone, too,
// when the call returns.
func TestCutOffWithFamily(t *testing.T) {
	const grace = 100 * time.Millisecond
	begun := time.Now()
	find, err := cut(t, `trap "" TERM
		sleep 1001 &
		(sleep 1002 &)
		setsid sh -c 'touch $READY.1; exec sleep 1003' &
		timeout 1000 sh -c 'touch $READY.2; exec sleep 1004' &
		while [ ! -e $READY.1 ] || [ ! -e $READY.2 ]; do sleep 0.01; done
		touch $READY; exec sleep 1000`, grace)
	if e := asError(t, err); e.Signal != "SIGKILL" || e.Status != -1 {
		t.Errorf("got %+v", e)
	}
	if elapsed := time.Since(begun); elapsed < grace {
		t.Errorf("they had %s only", elapsed)
	}
	none(t, find)
}

// The leader's end is not the group's.
func TestCutOffWithObstinateMember(t *testing.T) {
	find, err := cut(t, `(trap "" TERM; touch $READY; exec sleep 1001) & exec sleep 1000`, 100*time.Millisecond)
	asError(t, err)
	none(t, find)
}

// A program that ends in good order when it is asked to was cut off all the same.
func TestCutOffInGoodOrder(t *testing.T) {
	find, err := cut(t, `trap 'echo asked; exit 0' TERM; touch $READY; while :; do sleep 0.01; done`, time.Minute)
	if e := asError(t, err); e.Status != 0 || e.Signal != "" || !strings.HasSuffix(e.Tail, "asked") {
		t.Errorf("got %+v", e)
	}
	none(t, find)
}

func TestCutOffWhileStopped(t *testing.T) {
	find, err := cut(t, `touch $READY; kill -STOP $$; exec sleep 1000`, time.Minute)
	asError(t, err)
	none(t, find)
}

// A deadline's cause is told as any other.
func TestTimeout(t *testing.T) {
	slow := errors.New("timed out after 20ms")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, slow)
	defer cancel()
	env, find := mark(t)
	if out, err := Shell(t.TempDir(), "sleep 1001 & exec sleep 1000", env).Output(ctx); !errors.Is(err, slow) {
		t.Errorf("%q, %v", out, err)
	}
	none(t, find)
}

// Who cannot be ended must not keep us.
func TestHangs(t *testing.T) {
	alive := fmt.Errorf("%w; %w", errSignalled, &proc.AliveError{IDs: []proc.ID{{PID: 7}, {PID: 8}}})
	for pid, want := range map[int]bool{7: true, 8: true, 9: false} {
		if got := hangs(alive, pid); got != want {
			t.Errorf("%d: %v", pid, got)
		}
	}
	if hangs(nil, 7) || hangs(errSignalled, 7) {
		t.Error("nobody hangs")
	}
}

func TestDefaultGrace(t *testing.T) {
	if got := (Inherit{}).grace(); got != defaultGrace {
		t.Error(got)
	}
	if got := (Inherit{Grace: 1}).grace(); got != 1 {
		t.Error(got)
	}
}
