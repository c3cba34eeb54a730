package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
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
	o := w.run([]string{envPoints + "=" + path}, args...)
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatalf("ecluse %v passed no point: %v\n%s", args, err, o.stderr)
	}
	return lines(string(data))
}

// TestCrashAtEveryPoint kills ecluse at every point of every verb: before and
// after each transaction, after each program was started and after it ended.
// Then the same verb, the opposite one, or recover must end all or nothing; they
// are killed once themselves, somewhere.
func TestCrashAtEveryPoint(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("minutes")
	}
	crashes{config: crashConfig, setUp: func(*world) {}, choose: everyPoint, atOnce: 4}.run(t)
}

// crashes is a set of crash cases.
type crashes struct {
	config string
	// setUp adds files to the repository, and what the checker needs to know.
	setUp func(*world)
	// choose picks the points at which to kill, counted from 1.
	choose func(points []string) []int
	atOnce int
	// rotate follows each kill by one command in turn, and not by all of
	// them, unless ECLUSE_TEST_CRASH=all asks for all.
	rotate bool
}

// everyPoint chooses all, and two more: steps that run side by side may need a few
// transactions more than when they were listed.
func everyPoint(points []string) []int {
	var all []int
	for k := range len(points) + 2 {
		all = append(all, k+1)
	}
	return all
}

// fresh makes a world in which nothing has happened.
func (c crashes) fresh(t testing.TB) *world {
	w := newWorld(t, c.config)
	w.write(".gitignore", ".env\n.ecluse/\n")
	w.write(".env", "SECRET=1\n")
	c.setUp(w)
	w.commit("second")
	return w
}

func (c crashes) run(t *testing.T) {
	listed := c.fresh(t)
	middle := len(listed.points("up", "feat-x")) * 3 / 5
	listed.ecluse(0, "down", "feat-x")
	points, cases := 0, 0
	for _, verb := range crashVerbs(middle) {
		w := c.fresh(t)
		verb.prepare(w)
		chosen := c.choose(w.points(verb.args...))
		w.fail(false)
		w.ecluse(0, "up", "feat-x")
		w.ecluse(0, "down", "feat-x")
		w.mustBeClean("after " + verb.name)
		points += len(chosen)
		var wg sync.WaitGroup
		slots := make(chan struct{}, c.atOnce)
		for i, k := range chosen {
			for j, then := range verb.follow() {
				if c.rotate && os.Getenv("ECLUSE_TEST_CRASH") != "all" && i%3 != j {
					continue
				}
				cases++
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					name := fmt.Sprintf("%s killed at %d, then %s", verb.name, k, then)
					t.Run(name, func(t *testing.T) { crashCase(c.fresh(t), verb, k, then) })
				})
			}
		}
		wg.Wait()
	}
	t.Logf("%d points, %d cases", points, cases)
}

// follow lists the commands that come after the kill: the same verb, the opposite
// one, and recover.
func (v crashVerb) follow() []string {
	if v.name == "recover" {
		return []string{"recover", "up", "down"}
	}
	return []string{v.args[0], v.reverse, "recover"}
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
		if (err == nil) != (missing == nil) {
			w.t.Errorf("session there: %t, but the mark of %s: %t", err == nil, mark, missing == nil)
		}
	}
}
