package steps

import (
	"slices"
	"strings"
	"testing"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
	"ecluse/steps/settings"
)

// data are the volumes of the session's projects.
func (r *composeRig) data(t *testing.T) []string {
	t.Helper()
	engine, err := docker.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names, err := engine.Volumes(t.Context(), docker.Volumes{Projects: projects(r.Config, r.s)})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// next is another session of the name.
func (r *composeRig) next(verb session.Verb, run string) {
	r.s.ID, r.s.Settled, r.facts = r.s.ID+"x", false, nil
	r.s.Run = session.Run{ID: run, Verb: verb}
}

// TestKeptVolumes: volumes that were kept without a session are found by the next
// one of the name, outlive an up of it that is taken back, and go with its down.
func TestKeptVolumes(t *testing.T) {
	t.Parallel()
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{"compose.yaml": `
services: {a: {image: IMAGE, volumes: ["data:/tmp", "/scratch"]}}
volumes: {data: }
`})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	r.s.Run = session.Run{ID: "run-2", Verb: session.VerbDown, Options: session.Options{KeepVolumes: true}}
	r.compensate(t, false)
	want := []string{Project(r.Config, r.s) + "_data"}
	if got := r.data(t); !slices.Equal(got, want) || len(r.there(t)) > 0 {
		t.Fatalf("there is %v, want %v", got, want)
	}
	r.next(session.VerbUp, "run-3")
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	r.compensate(t, false)
	if got := r.data(t); !slices.Equal(got, want) {
		t.Errorf("after an up that was taken back there is %v, want %v", got, want)
	}
	r.next(session.VerbUp, "run-4")
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	r.s.Run.Verb = session.VerbDown
	r.compensate(t, false)
	if left := r.left(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestVolumesAlone: the data of a session that was stopped goes without its
// containers, which are gone, and its compose file.
func TestVolumesAlone(t *testing.T) {
	t.Parallel()
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{"compose.yaml": `
services: {a: {image: IMAGE, volumes: ["data:/tmp", "more:/more"]}}
volumes: {data: , more: }
`})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	a := r.attempt()
	a.Compensating = true
	r.s.Run = session.Run{ID: "run-2", Verb: session.VerbDown}
	if err := r.step().Compensate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := r.data(t); len(got) != 2 {
		t.Fatalf("there is %v, want two volumes", got)
	}
	// A repair that fails takes nothing of it.
	r.s.Run = session.Run{ID: "run-3", Verb: session.VerbRecover}
	a = r.attempt()
	a.Compensating, a.Reverting = true, true
	if err := (volumes{r.Target}).Compensate(t.Context(), a); err != nil || len(r.data(t)) != 2 {
		t.Errorf("after a repair that failed: %v, %v", r.data(t), err)
	}
	// Something still uses one: it is not gone.
	r.s.Run = session.Run{ID: "run-4", Verb: session.VerbDown}
	user := dockertest.Docker(t, "run", "--detach", "--volume", r.data(t)[0]+":/x", dockertest.Image(t))
	a = r.attempt()
	a.Compensating = true
	err := volumes{r.Target}.Compensate(t.Context(), a)
	if err == nil || !strings.Contains(err.Error(), r.data(t)[0]) || saga.IsPermanent(err) {
		t.Errorf("compensate: %v, want what is left to be named", err)
	}
	dockertest.Docker(t, "rm", "--force", user)
	if err := (volumes{r.Target}).Compensate(t.Context(), a); err != nil || len(r.data(t)) > 0 {
		t.Errorf("still there: %v, %v", r.data(t), err)
	}
}

// TestVolumesOfEarlierSessions: it is known whose data a session begins with, and
// which data of its name it does not.
func TestVolumesOfEarlierSessions(t *testing.T) {
	t.Parallel()
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{"compose.yaml": `
services: {a: {image: IMAGE, volumes: ["data:/tmp"]}}
volumes: {data: }
`})
	r.s.Branch = "feat/a"
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	data := Project(r.Config, r.s) + "_data"
	s := r.s
	engine, err := docker.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	look := func(prior ...string) heirlooms {
		_, kept, err := engine.Kept(t.Context(), nil, s.Repo, s.Slug)
		if err != nil {
			t.Fatal(err)
		}
		h := heirloomsOf(s, prior, kept)
		for _, volume := range slices.Concat(h.Theirs, h.Unused) {
			if volume.Name != data || volume.Branch != r.s.Branch || volume.Session != r.s.ID {
				t.Errorf("got %+v", volume)
			}
		}
		return h
	}
	if h := look(); len(h.Own)+len(h.Theirs)+len(h.Unused) > 0 {
		t.Errorf("its own are told of: %+v", h)
	}
	s.ID += "x"
	if h := look(data); !slices.Equal(h.Own, []string{data}) || len(h.Theirs)+len(h.Unused) > 0 {
		t.Errorf("of the branch: %+v", h)
	}
	if h := look(); len(h.Unused) != 1 || len(h.Theirs) > 0 {
		t.Errorf("of another project: %+v", h)
	}
	s.Branch += "/other"
	if h := look(data); len(h.Theirs) != 1 || len(h.Own)+len(h.Unused) > 0 {
		t.Errorf("of another branch: %+v", h)
	}
	s.Slug += "x"
	if h := look(); len(h.Unused) > 0 {
		t.Errorf("of another name: %+v", h)
	}
	r.s.Run.Verb = session.VerbDown
	r.compensate(t, false)
}
