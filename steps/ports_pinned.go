package steps

import (
	"maps"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/port"
	"ecluse/steps/settings"
)

// pinned are the wants of the ports that the user pinned. They come before all
// others, and whatever they are for: what cannot be had is refused before anything
// is made. Taken are the ports that Docker publishes, where the probe looks if there
// is one, else on this machine; those of native services are always this one's.
func pinned(c settings.Config, taken map[int]string, probe *docker.Probe) []session.Want {
	natives := c.NativeLeases()
	var wants []session.Want
	for _, name := range slices.Sorted(maps.Keys(c.Choice.Pins)) {
		number := c.Choice.Pins[name]
		want := session.Want{Name: name, Pin: number, Candidates: []int{number}}
		elsewhere := probe != nil && !slices.Contains(natives, name)
		container := taken[number]
		if probe != nil && !elsewhere {
			container = "" // it is on another machine
		}
		switch {
		case container != "":
			want.Taken = "it is taken by container " + container
		case elsewhere && !probe.Free(number):
			want.Taken = "it is taken on " + probe.Host()
		case !elsewhere && !port.Free(number):
			want.Taken = "it is taken by " + takenBy(number, nil)
		}
		wants = append(wants, want)
	}
	return wants
}
