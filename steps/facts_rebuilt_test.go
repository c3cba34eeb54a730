package steps

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"ecluse/saga"
	"ecluse/steps/docker"
)

// TestFactsAreThoseOfJournals: sessions that an earlier ecluse has made have facts of this
// form. A step that looks for another one does not compensate them.
func TestFactsAreThoseOfJournals(t *testing.T) {
	for want, facts := range map[string]Facts{
		`{"made":{"a":{"mode":"symlink"}},"written":true}`:                                     EnvFacts([]string{"a"}),
		`{"made":{},"written":true}`:                                                           EnvFacts(nil),
		`{"place":{"place":{"context":"c"},"host":"h"}}`:                                       PlaceFacts(docker.Place{Context: "c"}, "h"),
		`{"volumes":{"projects":["p"],"run":"r"}}`:                                             VolumesFacts([]string{"p"}, "r"),
		`{"database":{"name":"d","run":"r","unproven":true}}`:                                  DatabaseFacts("d", "r"),
		`{"server":{"place":""}}`:                                                              TmuxFacts("/none"),
		`{"compose":{"project":"p","file":"f","run":"r","services":null}}`:                     ComposeFact{Project: "p", File: "f", Run: "r"}.Facts(),
		`{"process":{"pid":0,"start":0,"boot":"","ns":"","place":"x"}}`:                        ServiceFact{Place: "x"}.Facts(),
		`{"worktree":{"made":true,"resolution":{"kind":"","branch":"","start":"","base":""}}}`: WorktreeFact{Made: true}.Facts(),
	} {
		if have, err := json.Marshal(facts); string(have) != want || err != nil {
			t.Errorf("got %s, %v; want %s", have, err, want)
		}
	}
}

// TestStepsKnowTheirFacts: what is put together is what the steps load.
func TestStepsKnowTheirFacts(t *testing.T) {
	r := newEnvRig(t)
	s := r.s
	ok(t, os.Symlink(filepath.Join(s.Root, "x"), filepath.Join(s.Worktree, "x")))
	raw := map[string]json.RawMessage{}
	for key, fact := range EnvFacts([]string{"x"}) {
		data, err := json.Marshal(fact)
		ok(t, err)
		raw[key] = data
	}
	ok(t, newEnv(r.Target, saga.Spec{}).Compensate(t.Context(), saga.NewAttempt("env", raw, nil)))
	if exists(filepath.Join(s.Worktree, "x")) {
		t.Error("the link is left")
	}
}
