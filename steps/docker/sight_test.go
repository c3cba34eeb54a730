package docker

import "testing"

// TestSight: a listing spares a closer look only where that can tell nothing new.
func TestSight(t *testing.T) {
	t.Parallel()
	row := func(state, health string) Container { return Container{ID: "a", State: state, Health: health} }
	for _, test := range []struct {
		name        string
		before, now []Container
		upEnded     bool
		want        bool
	}{
		{"nothing yet", nil, nil, false, true},
		{"nothing, and Compose has ended", nil, nil, true, true},
		{"one more", nil, []Container{row("running", "")}, false, false},
		{"runs", []Container{row("running", "")}, []Container{row("running", "")}, false, true},
		{"runs, and Compose has ended", []Container{row("running", "")}, []Container{row("running", "")}, true, false},
		{"starts", []Container{row("running", "starting")}, []Container{row("running", "starting")}, true, true},
		{"is healthy", []Container{row("running", "starting")}, []Container{row("running", "healthy")}, true, false},
		{"may fail once more", []Container{row("running", "unhealthy")}, []Container{row("running", "unhealthy")}, true, false},
		{"may not have started", []Container{row("created", "")}, []Container{row("created", "")}, false, false},
		{"is restarted", []Container{row("restarting", "")}, []Container{row("restarting", "")}, false, false},
		{"another", []Container{row("running", "")}, []Container{{ID: "b", State: "running"}}, false, false},
		{"has ended otherwise", []Container{row("exited", "")}, []Container{{ID: "a", State: "exited", ExitCode: 1}}, false, false},
	} {
		s := sight{rows: test.before}
		if got := s.same(&watch{upEnded: test.upEnded}, test.now); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// TestRipening: a watch waits for what only has to go on as it is, and for nothing else.
func TestRipening(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		list []condition
		want int
	}{
		"all well":          {[]condition{{ready: true}}, 0},
		"the last of two":   {[]condition{{ripens: 2}, {ripens: 3}, {ready: true}}, 3},
		"something to come": {[]condition{{ripens: 2}, {state: "starting"}}, 0},
	} {
		if got := ripening(test.list); int(got) != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	w := watch{ripe: 5}
	if got := w.wait(pollFirst); got != pollFirst {
		t.Errorf("waits %s while Compose is at work", got)
	}
	if w.upEnded = true; w.wait(pollFirst) != 5 {
		t.Errorf("waits %s, want 5ns", w.wait(pollFirst))
	}
}

// TestSpares: of all that Compose made on a machine only what is the project's, or the
// step's, goes.
func TestSpares(t *testing.T) {
	t.Parallel()
	mine := DownOptions{Project: Project{Name: "p"}, Session: "s", Step: "compose"}
	var nothing DownOptions
	for _, test := range []struct {
		name   string
		of     DownOptions
		one    Resource
		spared bool
	}{
		{"of the project", mine, Resource{Project: "p"}, false},
		{"of the project, made by another session", mine, Resource{Project: "p", Session: "other"}, false},
		{"of the step", mine, Resource{Session: "s", step: "compose"}, false},
		{"of another step", mine, Resource{Session: "s", step: "compose:b"}, true},
		{"of any step", DownOptions{Project: mine.Project, Session: "s"}, Resource{Session: "s", step: "compose:b"}, false},
		{"of another project of the session", mine, Resource{Project: "q", Session: "s", step: "compose"}, true},
		{"of another session", mine, Resource{Session: "other", step: "compose"}, true},
		{"of another project", mine, Resource{Project: "q"}, true},
		{"of nobody", mine, Resource{}, true},
		{"of nobody, by nothing", nothing, Resource{}, true},
		{"of a project, by nothing", nothing, Resource{Project: "p"}, true},
		{"of a session, by nothing", nothing, Resource{Session: "s"}, true},
	} {
		if got := test.of.spares(test.one); got != test.spared {
			t.Errorf("%s: spared %v", test.name, got)
		}
	}
}
