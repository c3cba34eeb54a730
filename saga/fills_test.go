package saga_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"ecluse/saga"
)

// What may have filled data that is gone has to be done again, whatever lies between.
// What does not need it, and what keeps no effect in it, is as it was.
func TestWhatFilledLostDataIsLost(t *testing.T) {
	plan := saga.Plan{Steps: []saga.Spec{
		{Name: "early", Kind: "hook", Fills: true},
		{Name: "data", Kind: "volumes", Data: true},
		{Name: "containers", Kind: "compose", Needs: []string{"data"}},
		{Name: "migration", Kind: "hook", Needs: []string{"containers"}, Fills: true},
		{Name: "undone", Kind: "hook", Needs: []string{"containers"}, Fills: true},
		{Name: "service", Kind: "service", Needs: []string{"migration"}},
		{Name: "late", Kind: "hook", Needs: []string{"service"}, Fills: true},
	}}
	if err := plan.Validate(); err != nil {
		t.Fatal(err)
	}
	progress := saga.NewProgress(plan)
	for i, spec := range plan.Steps {
		if spec.Name != "undone" {
			progress.Steps[i].Phase = saga.Done
		}
	}
	for gone, want := range map[string][]string{
		"":           nil,
		"data":       {"data", "late", "migration"},
		"containers": {"containers"}, // they hold none
		"early":      {"early"},
	} {
		lost := saga.Verify(t.Context(), plan, progress, func(spec saga.Spec) (saga.Step, error) {
			if spec.Name == gone {
				return nil, errors.New("it is gone")
			}
			return nil, nil
		})
		if names := slices.Sorted(maps.Keys(lost)); !slices.Equal(names, want) {
			t.Errorf("without %q: %q, want %q", gone, names, want)
		}
	}
}
