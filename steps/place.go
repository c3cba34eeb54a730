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

// placeFactKey is the key of the fact, in each step that settles it.
const placeFactKey = "place"

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
