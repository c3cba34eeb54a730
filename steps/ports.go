package steps

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/port"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// ports leases what the compose files of the worktree publish. The ports of the
// native services were leased together with the slot; these are known only now,
// because the files are the branch's own.
type ports struct{ *Target }

var (
	_ saga.Step     = ports{}
	_ saga.Verifier = ports{}
)

// portsKind is the kind of the step, and its name.
const portsKind = "ports"

func planPorts(p *planner) {
	if p.cfg.Mode == settings.ModeHost {
		return
	}
	p.add(saga.Spec{
		Name: portsKind, Kind: portsKind, Cause: "ports published in the compose files",
		Does: "lease a port for each", Reverts: "nothing: leases end with the session",
		Policy: saga.Policy{Timeout: time.Minute, CompensateTimeout: time.Minute},
	})
}

func newPorts(t *Target, _ saga.Spec) saga.Step { return ports{t} }

// Do leases a port for everything that is published and has none yet.
func (p ports) Do(ctx context.Context, a *saga.Attempt) error {
	at, err := p.settle(ctx, a)
	if err != nil {
		return err
	}
	// The env files of the services are made only in the next step.
	list, err := p.published(ctx)
	if err == nil {
		err = p.agree(ctx, list)
	}
	if err != nil {
		return saga.Permanent(err)
	}
	taken, err := docker.At(at.Place).PublishedPorts(ctx)
	if err != nil {
		return err
	}
	wants := unleased(ctx, p.Config, list, p.Session(), taken, docker.NewProbe(at.Host))
	if len(wants) == 0 {
		return nil
	}
	_, err = p.Lease(wants)
	return err
}

// settle says where the containers will be, and remembers it: it is the first step
// that asks Docker for anything.
func (p ports) settle(ctx context.Context, a *saga.Attempt) (placeFact, error) {
	var at placeFact
	if known, err := a.Load(placeFactKey, &at); known || err != nil {
		return at, err
	}
	at, err := p.place(ctx)
	if err != nil {
		return at, err
	}
	return at, a.Save(placeFactKey, at)
}

// Verify looks whether everything that is published has its lease.
func (p ports) Verify(ctx context.Context, _ *saga.Attempt) error {
	list, err := p.published(ctx)
	if err != nil {
		return err
	}
	return leasesOf(list, p.Session().Ports)
}

// published is what the compose files of the worktree publish, all together. What was
// not chosen to run has its leases, too: what refers to them is as in any session.
func (p ports) published(ctx context.Context) ([]docker.Published, error) {
	whole := *p.Target
	whole.Config.Choice = settings.Choice{}
	targets := []*Target{&whole}
	if len(p.Config.Choice.Names()) > 0 {
		targets = append(targets, p.Target) // which may have more, of a profile that is not active
	}
	var list []docker.Published
	for _, t := range targets {
		models, err := t.models(ctx, true)
		if err != nil {
			return nil, err
		}
		for _, model := range models {
			list = append(list, model.Published()...)
		}
	}
	return list, nil
}

// Compensate has nothing to do: the leases end with the session's row.
func (p ports) Compensate(context.Context, *saga.Attempt) error { return nil }

// unleased lists what the session must still lease. Ports that share a lease must
// all be free, on this machine or on the one that a probe is given for.
func unleased(ctx context.Context, c settings.Config, list []docker.Published, s session.Session, taken map[int]string, probe *docker.Probe) []session.Want {
	tcp, udp := port.Free, port.FreeUDP
	if probe != nil {
		tcp, udp = probe.Free, func(int) bool { return true } // nobody answers at UDP
	}
	var names []string
	bases, free := map[string]int{}, map[string][]func(int) bool{}
	for _, p := range list {
		if _, leased := s.Ports[p.Name]; leased {
			continue
		}
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
			bases[p.Name] = p.Base
			if p.Base == 0 {
				bases[p.Name] = p.Container
			}
		}
		if p.Protocol == "udp" {
			free[p.Name] = append(free[p.Name], udp)
		} else {
			free[p.Name] = append(free[p.Name], tcp)
		}
	}
	if probe != nil {
		var all []int
		for _, base := range bases {
			all = append(all, candidates(c, base, s.Slot)...)
		}
		probe.Look(ctx, all)
	}
	var wants []session.Want
	for _, name := range names {
		want := want(c, name, bases[name], s.Slot, taken, free[name]...)
		if probe != nil && want.Taken != "" {
			want.Taken = "all that it may take are taken on " + probe.Host()
		}
		want.Candidates = apart(want.Candidates, list)
		wants = append(wants, want)
	}
	return wants
}

// apart leaves out the ports that the compose files name themselves, unless no other
// may be taken: who runs them without a session needs all of those.
func apart(candidates []int, list []docker.Published) []int {
	others := slices.DeleteFunc(slices.Clone(candidates), func(candidate int) bool {
		return slices.ContainsFunc(list, func(p docker.Published) bool { return p.Base == candidate })
	})
	if len(others) == 0 {
		return candidates
	}
	return others
}

// candidates are the ports that a lease may take for a slot.
func candidates(c settings.Config, base, slot int) []int {
	search := c.PortSearchRange
	if c.StrictPort {
		search = 0
	}
	return port.Candidates(base, slot, c.SlotStride, c.MaxSlots, search)
}

// want lists the ports that a lease may take for a slot, without those that are
// taken on the machine.
func want(c settings.Config, name string, base, slot int, taken map[int]string, free ...func(int) bool) session.Want {
	want := session.Want{Name: name}
	first := 0
	for _, candidate := range candidates(c, base, slot) {
		_, published := taken[candidate]
		if !published && !slices.ContainsFunc(free, func(is func(int) bool) bool { return !is(candidate) }) {
			want.Candidates = append(want.Candidates, candidate)
		} else if first == 0 {
			first = candidate
		}
	}
	if first != 0 && len(want.Candidates) == 0 {
		want.Taken = fmt.Sprintf("%d is taken by %s", first, takenBy(first, taken))
	}
	return want
}

// takenBy names who has a port, as far as that can be told.
func takenBy(number int, published map[int]string) string {
	if container := published[number]; container != "" {
		return "container " + container
	}
	if ids := proc.Listener(number); len(ids) > 0 {
		return proc.Describe(ids[0])
	}
	return "another program"
}

// Wants lists the ports that a new session of a slot needs for the native services
// of its configuration. Where Docker will be needed, the ports that it publishes
// are not free; the error wraps [docker.ErrMissing] or [docker.ErrUnreachable].
func Wants(ctx context.Context, cfg settings.Config, slot int) ([]session.Want, error) {
	var taken, there map[int]string
	var probe *docker.Probe
	if cfg.Mode != settings.ModeHost {
		at, err := here(ctx)
		if err != nil {
			return nil, err
		}
		if taken, err = docker.At(at.Place).PublishedPorts(ctx); err != nil {
			return nil, err
		}
		there = taken
		if probe = docker.NewProbe(at.Host); probe != nil {
			taken = nil // they are another machine's
		}
	}
	wants := pinned(cfg, there, probe)
	for _, s := range cfg.Natives() {
		if s.Ported() {
			wants = append(wants, want(cfg, s.Name, s.HostBase(), slot, taken, port.Free))
		}
		for i, extra := range s.ExtraPorts {
			wants = append(wants, want(cfg, s.ExtraName(i), extra.BasePort, slot, taken, port.Free))
		}
	}
	return wants, nil
}

// leasesOf reports what is published and has no lease.
func leasesOf(list []docker.Published, leases map[string]int) error {
	for _, p := range list {
		if leases[p.Name] == 0 {
			return fmt.Errorf("service %s publishes port %d (%s): %w", p.Service, p.Container, p.Name, docker.ErrNoLease)
		}
	}
	return nil
}
