package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ecluse/saga/session"
	"ecluse/store"
)

// crashConfig has a step of every kind but compose. Hooks leave marks that their
// mirrors take away; post_up fails while the file "fail" is there.
const crashConfig = `
mode = "host"
max_slots = 2
port_search_range = 2
inherit_env = [".env"]

[hooks]
pre_up = 'touch "$LEDGER/$ECLUSE_SLUG.pre_up"'
post_down = 'rm -f "$LEDGER/$ECLUSE_SLUG.pre_up"'
pre_spawn = 'test -f .env.ecluse'
post_up = 'touch "$LEDGER/$ECLUSE_SLUG.post_up"; test ! -e "$LEDGER/fail"'
pre_down = 'rm -f "$LEDGER/$ECLUSE_SLUG.post_up"'

[[services]]
name = "api"
base_port = %d
command = "exec webapp"

[[services]]
name = "web"
base_port = %d
command = 'exec webapp -port "$ECLUSE_WEB_PORT"'
`

// crashVerb is a command that is killed, and how the world gets to where the
// command begins.
type crashVerb struct {
	name    string
	args    []string
	prepare func(*world)
	// reverse is the command that wants the opposite.
	reverse string
}

// crashVerbs are the four ways through the engine.
func crashVerbs(middle int) []crashVerb {
	return []crashVerb{
		{name: "up", args: []string{"up", "feat-x"}, prepare: func(*world) {}, reverse: "down"},
		{name: "down", args: []string{"down", "feat-x"}, prepare: func(w *world) { w.ecluse(0, "up", "feat-x") }, reverse: "up"},
		{name: "rollback", args: []string{"up", "feat-x"}, reverse: "down", prepare: func(w *world) {
			w.fail(true)
		}},
		{name: "recover", args: []string{"recover"}, reverse: "down", prepare: func(w *world) {
			w.run([]string{fmt.Sprintf("%s=%d", envCrashAt, middle)}, "up", "feat-x")
		}},
	}
}

// fail makes post_up fail, or work.
func (w *world) fail(yes bool) {
	w.t.Helper()
	path := filepath.Join(w.dir, "fail")
	if !yes {
		_ = os.Remove(path)
		return
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// points runs a verb to its end and lists the points that it passes.
func (w *world) points(args ...string) []string {
	w.t.Helper()
	path := filepath.Join(w.dir, "points")
	w.run([]string{envPoints + "=" + path}, args...)
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return lines(string(data))
}

// TestCrashAtEveryPoint kills ecluse at every point of every verb: before and
// after each transaction, after each program was started and after it ended.
// Then the same verb, the opposite one, or recover must end all or nothing; they
// are killed once themselves, somewhere.
func TestCrashAtEveryPoint(t *testing.T) {
	t.Parallel()
	crashAtEveryPoint(t, crashConfig, nil, func(string) bool { return true })
}

func crashAtEveryPoint(t *testing.T, config string, setUp func(*world), interesting func(point string) bool) {
	fresh := func(t testing.TB) *world {
		w := newWorld(t, config)
		w.write(".gitignore", ".env\n.ecluse/\n")
		w.write(".env", "SECRET=1\n")
		if setUp != nil {
			setUp(w)
		}
		w.commit("second")
		return w
	}
	ups := len(fresh(t).pointsOfUp())
	var cases, total atomic.Int32
	for _, verb := range crashVerbs(ups * 3 / 5) {
		listed := fresh(t)
		verb.prepare(listed)
		points := listed.points(verb.args...)
		listed.fail(false)
		listed.ecluse(0, "up", "feat-x")
		listed.ecluse(0, "down", "feat-x")
		listed.mustBeClean("after " + verb.name)
		// Steps that run side by side may need a few transactions more.
		var wg sync.WaitGroup
		slots := make(chan struct{}, 4)
		for k := 1; k <= len(points)+2; k++ {
			if k <= len(points) && !interesting(points[k-1]) {
				continue
			}
			total.Add(1)
			for _, then := range []string{verb.args[0], verb.reverse, "recover"} {
				if verb.name == "recover" && then == "recover" {
					then = "up"
				}
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					cases.Add(1)
					name := fmt.Sprintf("%s killed at %d, then %s", verb.name, k, then)
					t.Run(name, func(t *testing.T) { crashCase(fresh(t), verb, k, then) })
				})
			}
		}
		wg.Wait()
	}
	t.Logf("%d points, %d cases", total.Load(), cases.Load())
}

// pointsOfUp lists the points of a fresh up, and takes it down again.
func (w *world) pointsOfUp() []string {
	points := w.points("up", "feat-x")
	w.ecluse(0, "down", "feat-x")
	return points
}

// crashCase kills a verb at its k-th point, then another command at some point,
// and then lets that command finish.
func crashCase(w *world, verb crashVerb, k int, then string) {
	verb.prepare(w)
	w.run([]string{fmt.Sprintf("%s=%d", envCrashAt, k)}, verb.args...)
	w.fail(false)
	args := []string{then}
	if then != "recover" {
		args = append(args, "feat-x")
	}
	if (k+len(then))%3 == 0 {
		w.run([]string{fmt.Sprintf("%s=%d", envCrashAt, 1+k*7%23)}, args...)
	}
	o := w.run(nil, args...)
	switch {
	case then == "up" && o.status == 0:
		w.mustBeUp("after up", "feat-x")
	case then == "down" && (o.status == 0 || o.status == 4):
		w.mustBeClean("after down")
	case then == "recover" && o.status == 0:
		_, err := store.New(w.state).Get(session.Key{Repo: filepath.Join(w.root, ".git"), Slug: "feat-x"})
		if err == nil {
			w.mustBeUp("after recover", "feat-x")
		} else {
			w.mustBeClean("after recover")
		}
	default:
		w.t.Errorf("%s ended with %d\nstdout: %s\nstderr: %s", then, o.status, o.stdout, o.stderr)
	}
	w.ledger()
	if o := w.run(nil, "down", "feat-x"); o.status != 0 && o.status != 4 {
		w.t.Errorf("the last down ended with %d: %s", o.status, o.stderr)
	}
	w.mustBeClean("at the end")
	w.ledger()
}

// ledger compares the marks that hooks left with whether the session is there.
func (w *world) ledger() {
	w.t.Helper()
	_, err := store.New(w.state).Get(session.Key{Repo: filepath.Join(w.root, ".git"), Slug: "feat-x"})
	for _, mark := range []string{"pre_up", "post_up"} {
		_, missing := os.Stat(filepath.Join(w.dir, "feat-x."+mark))
		if (err == nil) != (missing == nil) && strings.Contains(crashConfig, mark) {
			w.t.Errorf("session there: %t, but the mark of %s: %t", err == nil, mark, missing == nil)
		}
	}
}
