package look

import (
	"testing"
	"time"

	"ecluse/saga/session"
)

// What is of a session that is there, whose record cannot be read, that the store never
// knew, or of another repository, is no residue.
func TestFormer(t *testing.T) {
	key := func(repo, slug string) session.Key { return session.Key{Repo: repo, Slug: slug} }
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := Search{
		Sessions:   []session.Session{{Key: key("r", "living"), ID: "living"}},
		Unreadable: []session.Key{key("r", "damaged")},
		Former: map[string]Former{
			"living": {Key: key("r", "living"), Ended: now}, "damaged": {Key: key("r", "damaged"), Ended: now},
			"gone": {Key: key("r", "gone"), Ended: now.Add(-time.Hour)}, "later": {Key: key("r", "gone"), Ended: now},
			"elsewhere": {Key: key("q", "gone"), Ended: now.Add(time.Hour)}, "before": {Key: key("r", "living"), Ended: now},
		},
	}
	for repo, want := range map[string]map[string]bool{
		"":  {"gone": true, "later": true, "elsewhere": true, "before": true},
		"r": {"gone": true, "later": true, "before": true},
	} {
		s.Repo = repo
		for _, id := range []string{"living", "damaged", "gone", "later", "elsewhere", "before", "never known", ""} {
			if _, have := s.former(id); have != want[id] {
				t.Errorf("in repository %q, %q is of a former session: %t, want %t", repo, id, have, want[id])
			}
		}
	}
	if !s.again(key("r", "living")) || s.again(key("r", "gone")) {
		t.Error("a session is there again that is not, or is not that is")
	}
	if last := s.last(key("r", "gone")); !last.Equal(now) {
		t.Errorf("the last of the name ended at %s", last)
	}
}

// A place that cannot be asked is told of while a session names it, and for a time after.
func TestPlaceMatters(t *testing.T) {
	now := time.Date(2026, 3, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		left time.Time
		want bool
	}{
		"a session names it": {want: true},
		"it was left now":    {left: now, want: true},
		"a month ago":        {left: now.Add(-29 * 24 * time.Hour), want: true},
		"long ago":           {left: now.Add(-31 * 24 * time.Hour)},
	} {
		if have := (&PlaceError{Spot: Spot{Left: test.left}}).Matters(now); have != test.want {
			t.Errorf("%s: it matters: %t", name, have)
		}
	}
}
