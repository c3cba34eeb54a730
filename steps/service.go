package steps

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ecluse/saga"
	"ecluse/steps/port"
	"ecluse/steps/proc"
	"ecluse/steps/run"
	"ecluse/steps/settings"
)

// service starts a native service and waits until it is ready. The service
// belongs to no terminal and outlives ecluse.
type service struct {
	*Target
	spec settings.Service
	step string
}

var (
	_ saga.Step     = service{}
	_ saga.Verifier = service{}
)

// servicePrefix begins the names of the steps.
const servicePrefix = "service:"

// planServices adds the native services that have a command, side by side.
func planServices(p *planner) {
	var specs []saga.Spec
	for _, s := range p.cfg.Spawned() {
		specs = append(specs, saga.Spec{
			Name: ServiceStep(s.Name), Kind: "service", Cause: "service " + s.Name + " in .ecluse.toml",
			Does: "start " + s.Command + ", wait until it is ready", Reverts: "stop it and all that it started",
			Policy: saga.Policy{
				Timeout:           s.Ready.Timeout.Or(readyTimeout) + time.Minute,
				CompensateTimeout: 2 * time.Minute, CompensateRetries: 2, Backoff: time.Second,
			},
		})
	}
	p.add(specs...)
}

// ServiceStep is the name of a service's step.
func ServiceStep(service string) string { return servicePrefix + service }

// ServiceName is the service of a step.
func ServiceName(spec saga.Spec) string { return strings.TrimPrefix(spec.Name, servicePrefix) }

func newService(t *Target, spec saga.Spec) saga.Step {
	name := ServiceName(spec)
	for _, s := range t.Config.Services {
		if s.Name == name {
			return service{t, s, spec.Name}
		}
	}
	return service{t, settings.Service{Name: name}, spec.Name}
}

// factProcess is the key of a [serviceFact].
const factProcess = "process"

// ServiceFact is the identity of a service's process, on disk before the
// service's command begins.
type ServiceFact struct {
	proc.ID
	// Place is the folder that it was started in.
	Place string `json:"place,omitempty"`
	// Log that it writes to, from the byte Offset on; empty if it was adopted.
	Log    string `json:"log,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	// Server is the process that it runs in, if it does in one.
	Server proc.ID `json:"server,omitzero"`
	// Adopted: the user has started it, and the session has made it its own.
	Adopted bool `json:"adopted,omitempty"`
}

// Do starts the service, or adopts what the user has started in its place. What an
// earlier attempt has started, and was not found to be ready, is stopped first.
func (s service) Do(ctx context.Context, a *saga.Attempt) error {
	vars, err := s.environ()
	if err != nil {
		return err
	}
	var fact ServiceFact
	if _, err := a.Load(factProcess, &fact); err != nil {
		return err
	}
	if own, found, err := s.adoptable(fact); err != nil {
		return err
	} else if found {
		return s.adopt(ctx, a, own, vars)
	}
	if err := s.stop(ctx, fact); err != nil {
		return err
	}
	if err := s.portsFree(); err != nil {
		return err
	}
	fact, exited, err := s.start(ctx, a, vars)
	if err != nil {
		return err
	}
	return s.await(ctx, a, fact, vars, exited)
}

// start starts the command; its identity is saved before the command begins.
func (s service) start(ctx context.Context, a *saga.Attempt, vars map[string]string) (ServiceFact, <-chan error, error) {
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return ServiceFact{}, nil, fmt.Errorf("open the log of service %s: %w", s.spec.Name, err)
	}
	defer log.Close()
	size, err := log.Seek(0, 2)
	if err != nil {
		return ServiceFact{}, nil, fmt.Errorf("measure the log of service %s: %w", s.spec.Name, err)
	}
	// The mark comes last: a file of variables must not change it.
	env := append(run.Environ(ctx, s.Session().Worktree, list(vars)...), run.From(ctx).Env...)
	begun, err := s.manager().start(ctx, log, env)
	if err != nil {
		return ServiceFact{}, nil, fmt.Errorf("start service %s: %w", s.spec.Name, err)
	}
	fact := ServiceFact{ID: begun.id, Place: place(s.Session().Worktree), Log: s.LogFile, Offset: size, Server: begun.server}
	if err := a.Save(factProcess, fact); err != nil {
		begun.abort()
		return ServiceFact{}, nil, err
	}
	if err := begun.run(); err != nil {
		return ServiceFact{}, nil, fmt.Errorf("start service %s: %w", s.spec.Name, err)
	}
	return fact, begun.ended(ctx), nil
}

// environ is what the service sees.
func (s service) environ() (map[string]string, error) {
	vars, err := ProgramEnvironment(s.Config, s.Session())
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", s.spec.Name, err)
	}
	return vars, nil
}

// portsFree makes sure that what answers at the service's ports will be the
// service.
func (s service) portsFree() error {
	names := []string{s.spec.Name}
	for i := range s.spec.ExtraPorts {
		names = append(names, s.spec.ExtraName(i))
	}
	for _, name := range names {
		number, leased := s.Session().Ports[name]
		if !leased || port.Free(number) {
			continue
		}
		if other := s.sibling(number); other != "" {
			return saga.Permanent(fmt.Errorf("%d, leased for %s, is listened on by service %s of this session: %s", number, name, other, portOf(other)))
		}
		by := "another program"
		if ids := proc.Listener(number); len(ids) > 0 {
			by = proc.Describe(ids[0])
		}
		return saga.Permanent(saga.Coded(CausePortTaken, fmt.Errorf("port %d, leased for %s, was taken by %s; stop that, or have a new session, which leases another",
			number, name, by)))
	}
	return nil
}

// Verify looks whether the service runs and answers.
func (s service) Verify(ctx context.Context, a *saga.Attempt) error {
	var fact ServiceFact
	known, err := a.Load(factProcess, &fact)
	if err != nil {
		return err
	}
	if !known || !fact.Alive() {
		return fmt.Errorf("service %s is not running", s.spec.Name)
	}
	if s.Options().Anew && fact.Log != s.LogFile {
		return fmt.Errorf("service %s was started in an earlier run, and is to be made anew", s.spec.Name)
	}
	if place(s.Session().Worktree) != fact.Place {
		return fmt.Errorf("service %s runs in a worktree that is no more", s.spec.Name)
	}
	if err := s.manager().whole(ctx, fact); err != nil {
		return fmt.Errorf("service %s: %w", s.spec.Name, err)
	}
	vars, err := s.environ()
	if err != nil {
		return err
	}
	ctx, cancel := patience(ctx, verifyPatience, fmt.Errorf("not ready within %s", verifyPatience))
	defer cancel()
	if err := s.probe(fact, vars).await(ctx, exitOf(ctx, fact.ID), nil); err != nil {
		return fmt.Errorf("service %s: %w", s.spec.Name, err)
	}
	return nil
}

// Compensate stops the service and everything that it started, or what the user has
// put in its place.
func (s service) Compensate(ctx context.Context, a *saga.Attempt) error {
	var fact ServiceFact
	known, err := a.Load(factProcess, &fact)
	if err != nil {
		return err
	}
	if err := s.stop(ctx, fact); err != nil || !known {
		return err
	}
	own, found, err := Occupant(s.Session(), s.Session().Ports[s.spec.Name], proc.ID{})
	if err != nil || !found {
		return err
	}
	return s.stop(ctx, ServiceFact{ID: own, Adopted: true})
}

// stop ends the processes that are the service's, and what they ran in.
func (s service) stop(ctx context.Context, fact ServiceFact) error {
	err := proc.Stop(ctx, Grace, s.family(fact))
	if err == nil {
		err = s.manager().clear(ctx)
	}
	if err != nil {
		return fmt.Errorf("stop service %s: %w", s.spec.Name, err)
	}
	return nil
}

// family makes a finder of the service's processes: those in its group, those that
// left it but carry its mark, and those that write to its log. The last are for a
// service that writes over its environment, as PostgreSQL does, and has lost its
// first process. They are proven: the log is in a private folder and of this step
// alone, only what the step starts gets it as its output, and who follows it has it
// open in another way.
func (s service) family(fact ServiceFact) func() ([]proc.ID, error) {
	find := proc.Family(fact.ID, Marks(s.Session(), s.step)...)
	if fact.Log == "" {
		return find
	}
	return proc.Any(find, func() ([]proc.ID, error) {
		ids, err := proc.Writing(fact.Log)
		// None of them is older than the first, nor of another boot.
		return slices.DeleteFunc(ids, func(id proc.ID) bool { return id.Boot != fact.Boot || id.Start < fact.Start }), err
	})
}

// await waits until the service is ready, or says why it is not.
func (s service) await(ctx context.Context, a *saga.Attempt, fact ServiceFact, vars map[string]string, exited <-chan error) error {
	limit := s.spec.Ready.Timeout.Or(readyTimeout)
	ctx, cancel := patience(ctx, limit, fmt.Errorf("not ready after %s", limit))
	defer cancel()
	begun := time.Now()
	seen := &sightings{tell: func(text string) { a.Report("%s", text) }, since: begun}
	err := append(s.goesOn(begun), s.probe(fact, vars)...).await(ctx, exited, seen)
	if err == nil {
		return nil
	}
	if wrong := s.listensElsewhere(fact); wrong != "" {
		return fmt.Errorf("%w; %s", err, wrong)
	}
	tail := s.lastWords(context.WithoutCancel(ctx), fact)
	if wrong := s.collides(tail); wrong != "" {
		err = fmt.Errorf("%s: %w", wrong, err)
	}
	if tail != "" {
		return fmt.Errorf("%w; it said: %s", err, run.Shown(tail, "  "))
	}
	return err
}

// listensElsewhere tells of the most common mistake: a command that does not
// take the port that it is given.
func (s service) listensElsewhere(fact ServiceFact) string {
	family, err := s.family(fact)()
	if err != nil {
		return "" // it only explains
	}
	want, known := s.Session().Ports[s.spec.Name]
	leased := map[int]bool{}
	for _, number := range s.Session().Ports {
		leased[number] = true
	}
	have := proc.Listening(family)
	if !known || slices.Contains(have, want) {
		return ""
	}
	for _, number := range have {
		if !leased[number] {
			return fmt.Sprintf("it listens on port %d, not on %d: its command must take the port from $PORT or ${ECLUSE_%s_PORT}",
				number, want, settings.EnvKey(s.spec.Name))
		}
	}
	return ""
}
