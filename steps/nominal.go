package steps

import (
	"context"
	"path/filepath"
	"slices"

	"ecluse/saga/session"
	"ecluse/steps/settings"
)

// Nominal is a port that every session has. That of a slot is what it gets unless
// something else has it.
type Nominal struct {
	// Name is the lease's: the service, or the service and one of its further ports.
	Name string
	// Native tells whose it is: a native service's, or a container's.
	Native bool
	base   int
	stride int
}

// Port is that of a slot.
func (n Nominal) Port(slot int) int { return n.base + slot*n.stride }

// Nominals lists the ports of a configuration: those of native services, then what
// the compose files in dir publish. With an error, which is about the compose files,
// the native ones are there.
func Nominals(ctx context.Context, cfg settings.Config, dir string) ([]Nominal, error) {
	var list []Nominal
	stride := max(cfg.SlotStride, 1)
	for _, s := range cfg.Natives() {
		if s.Ported() {
			list = append(list, Nominal{s.Name, true, s.HostBase(), stride})
		}
		for i, extra := range s.ExtraPorts {
			list = append(list, Nominal{s.ExtraName(i), true, extra.BasePort, stride})
		}
	}
	if cfg.Mode == settings.ModeHost {
		return list, nil
	}
	s := session.Session{Worktree: dir, Root: filepath.Clean(dir), Mode: cfg.Mode}
	published, err := ports{&Target{Handle: Looking(s), Config: cfg}}.published(ctx)
	for _, p := range published {
		known := slices.ContainsFunc(list, func(n Nominal) bool { return n.Name == p.Name })
		if p.Base > 0 && !known { // else it is any port, or one that is there over tcp, too
			list = append(list, Nominal{p.Name, false, p.Base, stride})
		}
	}
	return list, err
}
