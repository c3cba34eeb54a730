package port

import (
	"cmp"
	"fmt"
	"slices"
)

// Max is the highest port.
const Max = 65535

// Base is where the ports of a service count from: the port of slot 0, which no
// session has.
type Base struct {
	Name string
	Port int
}

// Candidates are the ports that a slot may take, the best first: its own, then
// search others that no other slot of the service wants. There are fewer, or
// none, where ports end. A stride of 0 is one of 1.
func Candidates(base, slot, stride, maxSlots, search int) []int {
	stride, maxSlots = max(stride, 1), max(maxSlots, 1)
	var ports []int
	for i := range max(search, 0) + 1 {
		p := base + slot*stride + i*maxSlots*stride
		if p > Max {
			break
		}
		if p > 0 {
			ports = append(ports, p)
		}
	}
	return ports
}

// Clash says that the ports of a base meet others, or the end of all ports.
type Clash struct {
	// Base is the index of the base, of two the later one in the list.
	Base    int
	Message string
}

// CheckLayout looks at the ports that the services of a repository may take: each
// slot of each must be able to have its own, and no service may reach the ports of
// another, also when it had to search.
func CheckLayout(bases []Base, maxSlots, stride, search int) []Clash {
	stride, maxSlots, search = max(stride, 1), max(maxSlots, 1), max(search, 0)
	var clashes []Clash
	order := make([]int, len(bases))
	for i, b := range bases {
		order[i] = i
		if end := b.Port + maxSlots*stride; end > Max {
			clashes = append(clashes, Clash{i, fmt.Sprintf(
				"slot %d of %s would have port %d, and ports end at %d; lower its port or max_slots", maxSlots, b.Name, end, Max)})
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(bases[a].Port, bases[b].Port) })
	need := maxSlots*stride*(1+search) - stride + 1
	for i := 1; i < len(order); i++ {
		lower, upper := bases[order[i-1]], bases[order[i]]
		at := max(order[i-1], order[i])
		switch gap := upper.Port - lower.Port; {
		case gap == 0:
			clashes = append(clashes, Clash{at, fmt.Sprintf("%s and %s both have port %d", lower.Name, upper.Name, lower.Port)})
		case gap < need:
			clashes = append(clashes, Clash{at, fmt.Sprintf(
				"%s (%d) and %s (%d) are too near: with max_slots %d, slot_stride %d and port_search_range %d, %s may take ports up to %d and slot 1 of %s has %d; move one of them %d apart, or lower port_search_range",
				lower.Name, lower.Port, upper.Name, upper.Port, maxSlots, stride, search,
				lower.Name, min(lower.Port+stride+need-1, Max), upper.Name, upper.Port+stride, need)})
		}
	}
	return clashes
}
