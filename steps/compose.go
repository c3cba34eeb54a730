package steps

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/renameio/v2"

	"ecluse/saga"
	"ecluse/steps/docker"
	"ecluse/steps/proc"
)

// compose runs the services of one group of the worktree's compose files in a project
// of the session's own.
type compose struct {
	*Target
	group composeGroup
}

var (
	_ saga.Step     = compose{}
	_ saga.Verifier = compose{}
)

// composeStep is the step's name, or the beginning of it: "compose:<file>".
const composeStep = "compose"

const (
	// composeTimeout is how long the services may take to get healthy once all
	// are there.
	composeTimeout = 5 * time.Minute
	// buildTimeout bounds what comes before: pulling and building.
	buildTimeout = 2 * time.Hour
	// composeDown bounds a teardown. Services may ask for time to stop.
	composeDown = 10 * time.Minute
)

// ComposeFact is what the step must know to compensate when the worktree, the
// compose file and the configuration are gone. It is saved before the step acts.
type ComposeFact struct {
	// Project is the name of the compose project, File its private file.
	Project string `json:"project"`
	File    string `json:"file"`
	// Run is the run that made it first. It is on the labels of everything,
	// which must not change: Compose makes anew what has other labels.
	Run string `json:"run"`
	// Place is where the engine is that runs it.
	Place docker.Place `json:"place,omitzero"`
	// Services are what must be there once it is up.
	Services []docker.Service `json:"services"`
	// Up is set once they were. Until then the engine may be at work for a
	// client that was killed.
	Up bool `json:"up,omitempty"`
	// Last is the run that last brought them up.
	Last string `json:"last,omitempty"`
	// Volumes are the named volumes that they then had, if anything may fill them.
	Volumes []string `json:"volumes,omitempty"`
}

// composeFactKey is the fact's key.
const composeFactKey = "compose"

func planCompose(p *planner) {
	if !p.cfg.Containers() {
		return
	}
	var specs []saga.Spec
	for _, g := range groups(p.cfg) {
		specs = append(specs, saga.Spec{
			Name: g.Step, Kind: composeStep, Cause: partOf(p.cfg, g) + " of " + g.String(),
			Does:    "docker compose up in a project of the session's own, wait until healthy",
			Reverts: "remove containers, networks and built images by label, verify that none is left",
			Policy: saga.Policy{
				Timeout: buildTimeout + p.cfg.Compose.Timeout.Or(composeTimeout), CompensateTimeout: composeDown,
				CompensateRetries: 2, Backoff: time.Second,
			},
		})
	}
	p.add(specs...)
}

func newCompose(t *Target, spec saga.Spec) saga.Step { return compose{t, groupOf(t.Config, spec.Name)} }

// Do writes the private compose file and brings its services up.
func (c compose) Do(ctx context.Context, a *saga.Attempt) error {
	fact, known, err := c.fact(a)
	if err != nil {
		return err
	}
	if !known {
		if fact, err = c.decide(ctx); err != nil {
			return err
		}
	}
	engine := docker.At(fact.Place)
	made, err := c.rewrite(ctx, fact, a.Step)
	if err != nil {
		return saga.Permanent(err)
	}
	for _, warning := range made.Warnings {
		a.Warn("%s", warning)
	}
	fact.Services, fact.Up = made.Services, false
	if err := a.Save(composeFactKey, fact); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("make the session's folder: %w", err)
	}
	if err := renameio.WriteFile(fact.File, made.File, 0o600); err != nil {
		return fmt.Errorf("write the session's compose file: %w", err)
	}
	up := c.upOptions(fact, made.Env)
	up.Anew = c.anew(fact)
	up.Report = func(s docker.Status) {
		a.Report("%s %s (%d of %d ready)", s.Service, docker.Being(s.State), s.ReadyOf, s.Services)
	}
	up.Who = func(number int) string { return listener(ctx, number, fact.Place) }
	if err := engine.Up(ctx, up); err != nil {
		c.remember(ctx, a, fact, err)
		return robbed(err)
	}
	if c.filled(a.Step) {
		if fact.Volumes, err = engine.Volumes(ctx, docker.Volumes{Projects: []string{fact.Project}}); err != nil {
			return err
		}
	}
	fact.Up, fact.Last = true, c.Session().Run.ID
	return a.Save(composeFactKey, fact)
}

// anew reports whether the services are to be started again although they are well.
func (c compose) anew(fact ComposeFact) bool {
	return c.Options().Anew && fact.Last != c.Session().Run.ID
}

// decide settles, before anything is made, what and where it will be.
func (c compose) decide(ctx context.Context) (ComposeFact, error) {
	s := c.Session()
	at, err := c.place(ctx)
	return ComposeFact{
		Project: c.group.project(c.Config, s), File: c.group.private(c.Dir), Run: s.Run.ID, Place: at.Place,
	}, err
}

// rewrite makes the private compose file.
func (c compose) rewrite(ctx context.Context, fact ComposeFact, step string) (*docker.Rewritten, error) {
	model, err := c.model(ctx, false)
	if err != nil {
		return nil, err
	}
	s := c.Session()
	return model.Rewrite(docker.Rewriting{Leases: s.Ports, Labels: map[string]string{
		docker.LabelRepo: s.Repo, docker.LabelSession: s.ID, docker.LabelSlug: s.Slug,
		docker.LabelSlot: strconv.Itoa(s.Slot), docker.LabelRun: fact.Run, docker.LabelStep: step, docker.LabelBranch: s.Branch,
	}})
}

// upOptions are what the engine needs to know of the session.
func (c compose) upOptions(fact ComposeFact, env []string) docker.UpOptions {
	return docker.UpOptions{
		Project: docker.Project{Name: fact.Project, File: fact.File, Dir: c.Session().Worktree, Env: env},
		Session: c.Session().ID, Services: fact.Services, Timeout: c.Config.Compose.Timeout.Or(composeTimeout),
	}
}

// Verify looks whether the services are up, and still what the worktree's compose
// file says.
func (c compose) Verify(ctx context.Context, a *saga.Attempt) error {
	fact, known, err := c.fact(a)
	switch {
	case err != nil:
		return err
	case !known || !fact.Up:
		return errors.New("the services were not up yet")
	case c.anew(fact):
		return errors.New("the services were started in an earlier run, and are to be started anew")
	}
	made, err := c.rewrite(ctx, fact, a.Step)
	if err != nil {
		return err
	}
	have, err := os.ReadFile(fact.File)
	if err != nil {
		return fmt.Errorf("read the session's compose file: %w", err)
	}
	if !bytes.Equal(have, made.File) {
		return errors.New("the compose file has changed since the services were started")
	}
	return docker.At(fact.Place).Verify(ctx, c.upOptions(fact, nil))
}

// Compensate removes what Do made, and what belongs to the project. It needs
// neither worktree nor compose file.
func (c compose) Compensate(ctx context.Context, a *saga.Attempt) error {
	fact, known, err := c.fact(a)
	if err != nil || !known {
		return err
	}
	s := c.Session()
	if a.Reverting && fact.Run != s.Run.ID {
		return nil // a repair failed; what it found stays as it is
	}
	if err := c.unwatch(ctx, a.Step); err != nil {
		return err
	}
	err = docker.At(fact.Place).Down(ctx, docker.DownOptions{
		Project: docker.Project{Name: fact.Project, File: fact.File, Dir: s.Worktree},
		Session: s.ID, Step: a.Step, Doubt: !fact.Up,
		Stays: func(image string) {
			a.Warn("image %s stays, because a container or an image that is not the session's needs it; remove it once that is gone: docker image rm %s", image, image)
		},
	})
	if err != nil {
		return err
	}
	return remove(fact.File)
}

// unwatch ends who runs `docker compose watch` for the step: it would make anew what is
// removed, and lets no other do the same. Nothing of a new attempt's own may run yet.
func (c compose) unwatch(ctx context.Context, step string) error {
	watchers := func() ([]proc.ID, error) { return proc.Carrying(Marks(c.Session(), step)...) }
	if err := proc.Stop(ctx, Grace, watchers); err != nil {
		return fmt.Errorf("end what watches the services: %w", err)
	}
	return nil
}

// fact loads what an earlier attempt saved.
func (c compose) fact(a *saga.Attempt) (ComposeFact, bool, error) {
	var fact ComposeFact
	known, err := a.Load(composeFactKey, &fact)
	return fact, known, err
}

// mark tells repositories apart in names that are the machine's.
func mark(repo string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(repo)))[:8] }
