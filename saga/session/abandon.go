package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ecluse/saga"
)

// AbandonError is the refusal to abandon a step that no teardown has failed at. It
// wraps [ErrNotThere].
type AbandonError struct {
	Key  Key
	Step string
	// Failed are the steps that may be abandoned, as people call them.
	Failed []string
}

// Error says so, and which may be.
func (e *AbandonError) Error() string {
	may := "it has failed at none"
	if len(e.Failed) > 0 {
		may = "it has failed at " + strings.Join(e.Failed, ", ")
	}
	return fmt.Sprintf("step %s of session %s cannot be abandoned: that is for steps that a down has failed at, and %s", e.Step, e.Key.Slug, may)
}

// Unwrap returns [ErrNotThere].
func (e *AbandonError) Unwrap() error { return ErrNotThere }

// Uncompensated lists the steps that the session's last teardown failed at, or an
// earlier one and the last did not come to, as people call them.
func (s Session) Uncompensated() []string {
	var titles []string
	for _, name := range s.Progress.Uncompensated(s.Plan) {
		titles = append(titles, s.Plan.Steps[s.Plan.Index(name)].Title(saga.CompensationFailed))
	}
	return titles
}

// abandons reports the first of the steps that may not be abandoned. Those that were
// abandoned already may: whoever did so may have been cut off.
func (s Session) abandons(names []string) error {
	failed := s.Progress.Uncompensated(s.Plan)
	for _, name := range names {
		i := s.Plan.Index(name)
		if slices.Contains(failed, name) || i >= 0 && s.Progress.Steps[i].Phase == saga.PhaseAbandoned {
			continue
		}
		return &AbandonError{Key: s.Key, Step: name, Failed: s.Uncompensated()}
	}
	return nil
}

// mayAbandon looks whether a down may abandon what it wants to. Whether that is still
// so is decided by the transition.
func (m *Manager) mayAbandon(req DownRequest) error {
	if len(req.Options.Abandon) == 0 {
		return nil
	}
	s, err := m.Store.Get(req.Key)
	if errors.Is(err, ErrNotFound) {
		return &notFoundError{req.Key}
	}
	if err != nil {
		return err
	}
	return s.abandons(req.Options.Abandon)
}
