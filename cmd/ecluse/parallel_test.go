package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// parallelConfig has a hook that takes two seconds and needs no processor.
const parallelConfig = `
mode = "host"
max_slots = 16
port_search_range = 2
[hooks]
post_up = "sleep 2"
[[services]]
name = "web"
base_port = %d
command = "exec webapp"
`

// withRemote gives the world a bare remote whose main branch has many files.
func (w *world) withRemote() {
	w.t.Helper()
	for i := range 200 {
		w.write(fmt.Sprintf("src/%d/file.txt", i), strings.Repeat("text\n", 100))
	}
	w.commit("many files")
	remote := filepath.Join(w.dir, "remote.git")
	w.must(exec.Command("git", "clone", "-q", "--bare", w.root, remote))
	w.must(exec.Command("git", "-C", w.root, "remote", "add", "origin", remote))
	w.must(exec.Command("git", "-C", w.root, "fetch", "-q", "origin"))
}

// upFromRemote brings a session for a new branch of origin/main up, and returns
// what it prints.
func (w *world) upFromRemote(slug string) map[string]any {
	o := w.run(nil, "up", slug, "--from", "origin/main", "--json")
	if o.status != 0 {
		w.t.Errorf("up %s ended with %d: %s", slug, o.status, o.stderr)
		return nil
	}
	var result map[string]any
	if err := json.Unmarshal([]byte(o.stdout), &result); err != nil {
		w.t.Errorf("up %s printed %q: %v", slug, o.stdout, err)
	}
	return result
}

// Sixteen ups at once in each of two repositories that share state and base
// ports: all succeed, with slots and ports of their own, none leaves a branch.
// Sixteen in one repository take less than three times as long as one.
func TestSixteenUpsAtOnce(t *testing.T) {
	const n = 16
	one, two := newWorld(t, parallelConfig), newWorld(t, parallelConfig)
	two.base, two.state = one.base, one.state
	two.write(".ecluse.toml", strings.Replace(parallelConfig, "%d", fmt.Sprint(one.base), 1))
	two.commit("the same ports")
	one.withRemote()
	two.withRemote()

	results := map[*world]*[n]map[string]any{one: {}}
	// A machine that is busy with something else in one of the two measurements
	// tells nothing about us; in five rounds it tells.
	for round := 1; ; round++ {
		alone, together := measured(one, results)
		t.Logf("one alone %s, %d together %s (%.2f times)", alone.Round(time.Millisecond), n, together.Round(time.Millisecond),
			together.Seconds()/alone.Seconds())
		if together < 3*alone {
			break
		}
		if round == 5 {
			t.Errorf("%d ups took %s, one alone %s", n, together, alone)
			break
		}
		one.downAll(n)
	}
	results[two] = &[n]map[string]any{}
	upAll(map[*world]*[n]map[string]any{two: results[two]})
	distinct(t, results)
	for w := range results {
		for i := range n {
			w.mustBeUp("after "+fmt.Sprint(n), fmt.Sprintf("feat-%d", i))
		}
		w.downAll(n)
	}
	one.mustBeClean("at the end")
	two.mustBeClean("at the end")
}

// measured brings one session up alone, and then all at once.
func measured(w *world, results map[*world]*[16]map[string]any) (alone, together time.Duration) {
	begun := time.Now()
	w.upFromRemote("alone")
	alone = time.Since(begun)
	w.ecluse(0, "down", "alone")
	w.mustBeClean("after one alone")
	begun = time.Now()
	upAll(results)
	return alone, time.Since(begun)
}

// downAll takes the sessions down at once.
func (w *world) downAll(n int) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { w.ecluse(0, "down", fmt.Sprintf("feat-%d", i)) })
	}
	wg.Wait()
}

// upAll brings all the sessions of all the worlds up at once.
func upAll(results map[*world]*[16]map[string]any) {
	var wg sync.WaitGroup
	for w, list := range results {
		for i := range *list {
			wg.Go(func() { (*list)[i] = w.upFromRemote(fmt.Sprintf("feat-%d", i)) })
		}
	}
	wg.Wait()
}

// distinct fails the test when two sessions share a port, or a slot of one
// repository.
func distinct(t *testing.T, results map[*world]*[16]map[string]any) {
	t.Helper()
	ports := map[string]string{}
	for w, list := range results {
		slots := map[string]string{}
		for i, result := range list {
			name := fmt.Sprintf("feat-%d of %s", i, w.root)
			slot, port := fmt.Sprint(result["slot"]), fmt.Sprint(result["ports"])
			if other, taken := slots[slot]; taken {
				t.Errorf("%s and %s share slot %s", name, other, slot)
			}
			if other, taken := ports[port]; taken {
				t.Errorf("%s and %s share ports %s", name, other, port)
			}
			slots[slot], ports[port] = name, name
		}
	}
}
