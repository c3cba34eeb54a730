package docker

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Surveyed is what an active service of a compose file tells of itself.
type Surveyed struct {
	Name  string
	Image string
	// Built tells that it has a build section, and Here that what it builds is in
	// the worktree.
	Built, Here bool
	Labels      map[string]string
	// Bound tells that a folder of the host is mounted, Watched that develop.watch
	// is used.
	Bound, Watched bool
	// Published are the ports that it publishes, Exposed those that it names
	// without.
	Published []Published
	Exposed   []int
}

// Survey looks at the active services, by their names.
func (m *Model) Survey() []Surveyed {
	var list []Surveyed
	for _, name := range m.Services() {
		s := m.project.Services[name]
		_, exposed := m.Ports(name)
		seen := Surveyed{
			Name: name, Image: s.Image, Built: s.Build != nil, Labels: maps.Clone(s.Labels),
			Bound:     slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Type == types.VolumeTypeBind }),
			Watched:   s.Develop != nil && len(s.Develop.Watch) > 0,
			Published: m.publishedBy(s), Exposed: exposed,
		}
		if s.Build != nil {
			rel, err := filepath.Rel(m.dir, s.Build.Context)
			seen.Here = err == nil && filepath.IsLocal(rel)
		}
		list = append(list, seen)
	}
	return list
}
