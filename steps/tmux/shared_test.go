package tmux

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"ecluse/steps/proc"
)

// The folder that sessions share is removed with the last socket in it. Who is about to
// put one there must not lose it to that.
func TestTheSharedFolderStaysForWhoStarts(t *testing.T) {
	s := Server{Dir: filepath.Join(t.TempDir(), strings.Repeat("long", 30)), Session: "test"}
	if filepath.Dir(s.Socket()) != shared() {
		t.Fatalf("the socket is %s", s.Socket())
	}
	ctx, cancel := context.WithCancel(t.Context())
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		for ctx.Err() == nil {
			removeShared()
		}
	}()
	defer func() { cancel(); <-removed }()
	mark := "ECLUSE_TMUX_TEST=" + s.Socket()
	find := func() ([]proc.ID, error) { return proc.Carrying(mark) }
	defer func() {
		if err := proc.Stop(context.WithoutCancel(ctx), 0, find); err != nil {
			t.Error(err)
		}
	}()
	for range 20 {
		if err := s.Start(ctx, "/", []string{mark}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Process(ctx); err != nil {
			t.Fatal(err)
		}
		if err := proc.Stop(ctx, 0, find); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}
