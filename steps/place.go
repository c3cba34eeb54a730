package steps

import (
	"context"
	"encoding/json"

	"ecluse/saga/session"
	"ecluse/steps/docker"
)

// placeFact is where a session's containers are. It is saved before any of them is
// made: whoever removes them may have another environment.
type placeFact struct {
	Place docker.Place `json:"place,omitzero"`
	// Host is the name of that machine; empty for this one.
	Host string `json:"host,omitempty"`
}

// placeFactKey is the key of the fact, in each step that settles it. The history keeps it.
const placeFactKey = session.PlaceFact

// PlaceOf is where the containers of a session are; false if that was not settled.
func PlaceOf(s session.Session) (docker.Place, bool) {
	fact, known := placed(s)
	return fact.Place, known
}

// PlaceIn is where the containers of a session were, as a line of the history has it;
// false if it says nothing of that.
func PlaceIn(e session.Entry) (docker.Place, bool) {
	var fact placeFact
	ok := e.Place != nil && json.Unmarshal(e.Place, &fact) == nil
	return fact.Place, ok
}

// placed is where the containers of a session are, as far as that was settled: by
// data that was kept of an earlier up, or by its first step that needs Docker.
func placed(s session.Session) (placeFact, bool) {
	// They are not at different places: who comes second takes the first's.
	for i, spec := range s.Plan.Steps {
		if i >= len(s.Progress.Steps) || spec.Kind != portsKind && spec.Kind != volumesKind {
			continue
		}
		var fact placeFact
		if data, known := s.Progress.Steps[i].Facts[placeFactKey]; known && json.Unmarshal(data, &fact) == nil {
			return fact, true
		}
	}
	return placeFact{}, false
}

// place is where the containers of the session are, or will be: where the
// environment says unless that was settled before.
func (t *Target) place(ctx context.Context) (placeFact, error) {
	if fact, known := placed(t.Session()); known {
		return fact, nil
	}
	return here(ctx)
}

// here is the place of this environment.
func here(ctx context.Context) (placeFact, error) {
	place, err := docker.Here(ctx)
	if err != nil {
		return placeFact{}, err
	}
	host, err := place.Remote(ctx)
	return placeFact{Place: place, Host: host}, err
}
