package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/docker"
)

// volumes holds the data of the session's containers. Compose makes the volumes;
// this step answers for them, so that a session whose containers are gone and whose
// data was kept still has it, and a later teardown finds it.
type volumes struct{ *Target }

var (
	_ saga.Step     = volumes{}
	_ saga.Verifier = volumes{}
)

const (
	// volumesKind is the kind of the step, and its name.
	volumesKind = "volumes"
	// volumesDown bounds the removal.
	volumesDown = 5 * time.Minute
)

// volumesFact is whose volumes the step answers for.
type volumesFact struct {
	// Projects are the compose projects of the session.
	Projects []string `json:"projects"`
	// Prior are volumes that an earlier session of the name left on purpose.
	Prior []string `json:"prior,omitempty"`
	// Run is the run that looked first.
	Run string `json:"run"`
	// Anew is the last run that found volumes gone, which Compose then made anew.
	Anew string `json:"anew,omitempty"`
}

// volumesFactKey is the fact's key.
const volumesFactKey = "volumes"

func planVolumes(p *planner) {
	if !p.cfg.Containers() {
		return
	}
	p.add(saga.Spec{
		Name: volumesKind, Kind: volumesKind, Cause: "data of the containers", Data: true,
		Does:    "note which volumes of the session's projects are there",
		Reverts: "remove the named volumes of the session and its projects, unless they are to be kept",
		Policy: saga.Policy{
			Timeout: time.Minute, CompensateTimeout: volumesDown, Retries: 1, CompensateRetries: 2, Backoff: time.Second,
		},
	})
}

func newVolumes(t *Target, _ saga.Spec) saga.Step { return volumes{t} }

// Do looks what is there before anything is made. What it saw first counts.
func (v volumes) Do(ctx context.Context, a *saga.Attempt) error {
	var fact volumesFact
	if known, err := a.Load(volumesFactKey, &fact); known || err != nil {
		if err != nil || v.Verify(ctx, a) == nil {
			return err
		}
		fact.Anew = v.Session().Run.ID
		return a.Save(volumesFactKey, fact)
	}
	at, err := v.place(ctx)
	if err != nil {
		return err
	}
	s := v.Session()
	fact = volumesFact{Projects: projects(v.Config, s), Run: s.Run.ID}
	prior, kept, err := docker.At(at.Place).Kept(ctx, fact.Projects, s.Repo, s.Slug)
	if err != nil {
		return err
	}
	fact.Prior = prior
	if err := a.Save(placeFactKey, at); err != nil {
		return err
	}
	heirloomsOf(s, fact.Prior, kept).tell(a, s.Slug)
	return a.Save(volumesFactKey, fact)
}

// heirlooms are the volumes that earlier sessions of a name left.
type heirlooms struct {
	// Own are used; so are Theirs, which are of other branches. Unused are those
	// of projects that the session does not have.
	Own            []string
	Theirs, Unused []docker.KeptVolume
}

// heirloomsOf tells the volumes of a slug apart.
func heirloomsOf(s session.Session, prior []string, kept []docker.KeptVolume) (h heirlooms) {
	h.Own = slices.Clone(prior)
	for _, volume := range kept {
		i := slices.Index(h.Own, volume.Name)
		switch {
		case i < 0 && volume.Session != s.ID:
			h.Unused = append(h.Unused, volume)
		case i >= 0 && volume.Branch != "" && volume.Branch != s.Branch:
			h.Own = slices.Delete(h.Own, i, i+1)
			h.Theirs = append(h.Theirs, volume)
		}
	}
	return h
}

// tell says what becomes of them.
func (h heirlooms) tell(a *saga.Attempt, slug string) {
	if len(h.Own) > 0 {
		a.Report("uses the volumes kept of an earlier session of %s: %s", slug, strings.Join(h.Own, ", "))
	}
	for _, volume := range h.Theirs {
		a.Warn("volume %s holds the data of branch %s, whose session had the name %s, too; it is used, and `ecluse down %[3]s` removes it", volume.Name, volume.Branch, slug)
	}
	for _, volume := range h.Unused {
		a.Warn("kept volume %s of an earlier session of %s is not used by this one; `docker volume rm %[1]s` removes it", volume.Name, slug)
	}
}

// Verify looks whether the named volumes are there that the containers were brought up
// with, if anything may have filled them: Compose makes new ones in their place without a
// word. An engine that cannot be asked is what the step of its containers tells of.
func (v volumes) Verify(ctx context.Context, a *saga.Attempt) error {
	var fact volumesFact
	switch known, err := a.Load(volumesFactKey, &fact); {
	case err != nil:
		return err
	case !known:
		return errors.New("whose volumes there are was not noted yet")
	}
	var at placeFact
	if _, err := a.Load(placeFactKey, &at); err != nil {
		return err
	}
	var want []string
	for i := range v.Session().Plan.Steps {
		if fact, known := ComposeOf(v.Session(), i); known {
			want = append(want, fact.Volumes...)
		}
	}
	if len(want) == 0 {
		return nil
	}
	have, err := docker.At(at.Place).Volumes(ctx, docker.Volumes{Session: v.Session().ID, Projects: projects(v.Config, v.Session())})
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	gone := slices.DeleteFunc(want, func(name string) bool { return slices.Contains(have, name) })
	if len(gone) > 0 {
		return fmt.Errorf("volume %s is gone, with the data in it", strings.Join(gone, ", "))
	}
	return nil
}

// Compensate removes the volumes, or names those that stay: all, if that was asked
// for, and those of an earlier session if only an up is taken back.
func (v volumes) Compensate(ctx context.Context, a *saga.Attempt) error {
	var fact volumesFact
	known, err := a.Load(volumesFactKey, &fact)
	if err != nil || !known {
		return err
	}
	s := v.Session()
	if a.Reverting && fact.Run != s.Run.ID {
		return nil // a repair failed; the data was there before it
	}
	var at placeFact
	if _, err := a.Load(placeFactKey, &at); err != nil {
		return err
	}
	engine := docker.At(at.Place)
	theirs := docker.Volumes{Projects: fact.Projects, Session: s.ID}
	if !v.Options().KeepVolumes {
		if s.Run.Verb != session.VerbDown {
			theirs.But = fact.Prior // nobody has asked for their end
		}
		if err := engine.RemoveVolumes(ctx, theirs); err != nil || len(theirs.But) == 0 {
			return err
		}
		theirs.But = nil // those are left
	}
	kept, err := engine.Volumes(ctx, theirs)
	if len(kept) > 0 {
		a.Report("kept volumes: %s", strings.Join(kept, ", "))
	}
	return err
}
