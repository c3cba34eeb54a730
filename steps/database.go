package steps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/postgres"
	"ecluse/steps/run"
	"ecluse/steps/settings"
)

// database is a database of the session's own.
type database struct {
	*Target
	spec settings.Database
}

var (
	_ saga.Step     = database{}
	_ saga.Verifier = database{}
)

// databasePrefix begins the names of the steps.
const databasePrefix = "database:"

const (
	// databaseTimeout is how long a server, or a busy template, is waited for.
	databaseTimeout = time.Minute
	// copyTimeout bounds what the server needs to copy a template.
	copyTimeout = time.Hour
	// dropPatience is how long a server is waited for that is to drop a database;
	// ownPatience is the same where its data goes anyway.
	dropPatience = 10 * time.Second
	ownPatience  = 2 * time.Second
	// copyTries are made with a template that somebody drops between two looks.
	copyTries = 3
)

// databaseFact is what the step must know to compensate. It is saved before the
// step acts. The URL follows from the session's configuration and leases, but for
// what it leaves to the environment, which another command may have otherwise.
type databaseFact struct {
	// Name of the database; empty when it turned out to be somebody else's.
	Name string `json:"name"`
	// Run is the run that made it.
	Run string `json:"run"`
	// Adopted: an earlier session of the slug left it on purpose.
	Adopted bool `json:"adopted,omitempty"`
	// Ready is set once it was whole. What has lost its label since was made
	// anew by the user.
	Ready bool `json:"ready,omitempty"`
	// Unproven: nobody noted it, it was put together when the state was rebuilt. Only
	// the database's own label says then that it is the session's.
	Unproven bool `json:"unproven,omitempty"`
	// Making is the name under which the session makes a template.
	Making string `json:"making,omitempty"`
	// Where the server is, unless that is one of the session's.
	Where *postgres.Where `json:"where,omitempty"`
}

// databaseFactKey is the fact's key.
const databaseFactKey = "database"

// planDatabases adds the databases, side by side.
func planDatabases(p *planner) {
	var specs []saga.Spec
	for _, d := range p.cfg.Databases {
		spec := saga.Spec{
			Name: databasePrefix + d.Name, Kind: "database", Cause: "database " + d.Name + " in .ecluse.toml",
			Does: "create a database of the session's own" + begins(d), Reverts: "drop it, verify that it is gone",
			Data: true,
			Policy: saga.Policy{
				Timeout:           2*d.Timeout.Or(databaseTimeout) + copyTimeout,
				CompensateTimeout: 10 * time.Minute, CompensateRetries: 2, Backoff: time.Second,
			},
		}
		if d.Migrate != nil {
			limit := d.Migrate.Value.Timeout.Or(hookTimeout)
			spec.Policy.Retries = d.Migrate.Value.Retries
			spec.Policy.Timeout += 2 * limit // another session's comes first
			if limit == 0 {
				spec.Policy.Timeout = 0
			}
		}
		specs = append(specs, spec)
	}
	p.add(specs...)
}

// begins says how the database begins.
func begins(d settings.Database) string {
	switch {
	case d.Managed():
		return ", as a copy of a template that is made for the state of its inputs by: " + d.Migrate.Value.Run
	case d.Template != "":
		return ", as a copy of " + d.Template
	case d.Migrate != nil:
		return ", run " + d.Migrate.Value.Run
	}
	return ""
}

func newDatabase(t *Target, spec saga.Spec) saga.Step {
	for _, d := range t.Config.Databases {
		if databasePrefix+d.Name == spec.Name {
			return database{t, d}
		}
	}
	return database{Target: t}
}

// Do makes the database, unless it is there and whole.
func (d database) Do(ctx context.Context, a *saga.Attempt) error {
	fact, known, err := d.fact(a)
	if err != nil {
		return err
	}
	conn, err := d.connect(ctx, fact, d.timeout())
	if err != nil {
		return hopelessDatabase(err)
	}
	defer conn.Close()
	name := d.name(conn.Server)
	// Until the server is through with what an owner had begun that was killed, it
	// is not to be seen.
	err = conn.Lock(ctx, name, func() { a.Report("waiting until the server is through with what an earlier attempt began") })
	if err != nil {
		return err
	}
	claim, err := d.look(ctx, conn, name, fact, known)
	if err != nil {
		return err
	}
	switch claim.state {
	case whole:
		if !fact.Unproven {
			return nil
		}
		fact.Unproven, fact.Ready, fact.Where = false, true, d.where(conn.Server)
		return a.Save(databaseFactKey, fact)
	case kept, rebuilt:
		a.Report("database %s is there: %s", name, claim.why)
		adopted := databaseFact{Name: name, Run: d.Session().Run.ID, Adopted: claim.state == kept, Ready: claim.state == rebuilt, Where: d.where(conn.Server)}
		if claim.state == rebuilt {
			adopted.Run = fact.Run
		}
		if err := a.Save(databaseFactKey, adopted); err != nil {
			return err
		}
		return d.finish(ctx, a, conn, adopted)
	case foreign:
		return saga.Permanent(fmt.Errorf("create database %s at %s: it exists and is not this session's: %s; if nobody needs it: %s",
			name, conn.Address(), claim.why, dropCommand(conn.Where(), name)))
	case half:
		a.Report("dropping database %s: %s", name, claim.why)
		if err := conn.Drop(ctx, name); err != nil {
			return err
		}
	case absent:
	}
	fact = databaseFact{Name: name, Run: d.Session().Run.ID, Where: d.where(conn.Server)}
	if err := a.Save(databaseFactKey, fact); err != nil {
		return err
	}
	return hopelessDatabase(d.create(ctx, a, conn, fact))
}

// create makes a database that is not there.
func (d database) create(ctx context.Context, a *saga.Attempt, conn *postgres.Conn, fact databaseFact) error {
	source := d.spec.Template
	for try := 1; ; try++ {
		var err error
		if d.spec.Managed() {
			if source, err = d.template(ctx, a, conn, &fact); err != nil {
				return err
			}
		}
		err = conn.Create(ctx, fact.Name, source, d.timeout(), func(users []postgres.User) {
			a.Report("waiting until nobody is connected to what is copied: %s", users[0])
		})
		if err == nil {
			break
		}
		if errors.Is(err, postgres.ErrThere) { // it was not, a moment ago
			fact.Name = ""
			return errors.Join(err, a.Save(databaseFactKey, fact))
		}
		if !d.spec.Managed() || try == copyTries || !errors.Is(err, postgres.ErrMissing) {
			return err
		}
	}
	if source == "" && d.spec.Migrate != nil {
		if err := conn.Comment(ctx, fact.Name, d.label().String()); err != nil {
			return err
		}
		if err := d.migrate(ctx, conn.Server, fact.Name); err != nil {
			return err
		}
	}
	return d.finish(ctx, a, conn, fact)
}

// finish labels a database as whole and the session's.
func (d database) finish(ctx context.Context, a *saga.Attempt, conn *postgres.Conn, fact databaseFact) error {
	label := d.label()
	label.Ready = true
	if err := conn.Comment(ctx, fact.Name, label.String()); err != nil {
		return err
	}
	fact.Ready = true
	return a.Save(databaseFactKey, fact)
}

// template is the name of the template of the state of the worktree's inputs.
func (d database) template(ctx context.Context, a *saga.Attempt, conn *postgres.Conn, fact *databaseFact) (string, error) {
	state, err := d.state(ctx, a)
	if err != nil {
		return "", err
	}
	return conn.Template(ctx, postgres.Template{
		Base: d.spec.Template, State: state, Repo: mark(d.Session().Repo), Timeout: d.timeout(), Report: a.Report,
		Begin: func(making string) error {
			a.Report("making a template of %s", d.spec.Template)
			fact.Making = making
			return a.Save(databaseFactKey, *fact)
		},
		Fill: func(ctx context.Context, making string) error { return d.migrate(ctx, conn.Server, making) },
	})
}

// migrate runs the command on a database of the server.
func (d database) migrate(ctx context.Context, server *postgres.Server, name string) error {
	hook := d.spec.Migrate.Value
	vars, err := environment(d.Config, d.Session(), map[string]string{d.spec.Name: server.URL(name)})
	if err != nil {
		return saga.Permanent(err)
	}
	if limit := hook.Timeout.Or(hookTimeout); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %s", limit))
		defer cancel()
	}
	if err := run.Shell(d.Session().Worktree, hook.Run, list(vars)...).Run(ctx); err != nil {
		return fmt.Errorf("migrate database %s: %w", name, err)
	}
	return nil
}

// Verify looks whether the database is there, whole, and the session's.
func (d database) Verify(ctx context.Context, a *saga.Attempt) error {
	fact, known, err := d.fact(a)
	switch {
	case err != nil:
		return err
	case !known || fact.Name == "":
		return errors.New("the database was not made yet")
	}
	conn, err := d.connect(ctx, fact, verifyPatience)
	if err != nil {
		return err
	}
	defer conn.Close()
	claim, err := d.look(ctx, conn, fact.Name, fact, known)
	if err == nil && claim.state != whole {
		err = fmt.Errorf("database %s: %s", fact.Name, claim.why)
	}
	return err
}

// Compensate drops what Do made, whoever is connected to it.
func (d database) Compensate(ctx context.Context, a *saga.Attempt) error {
	fact, known, err := d.fact(a)
	if err != nil || !known {
		return err
	}
	s := d.Session()
	if a.Reverting && fact.Run != s.Run.ID {
		return nil // a repair failed; what it found stays as it is
	}
	server, err := d.server(fact)
	if err != nil {
		return saga.Permanent(err)
	}
	limit := dropPatience
	if d.own(server) {
		limit = ownPatience
	}
	conn, err := Reach(ctx, server, min(limit, d.timeout()))
	if err != nil {
		return d.unreachable(a, server, fact, err)
	}
	defer conn.Close()
	for _, name := range []string{fact.Making, fact.Name} {
		if name == "" {
			continue
		}
		if err := d.drop(ctx, a, conn, name, fact); err != nil {
			return err
		}
	}
	return nil
}

// drop drops a database, or leaves what is to be kept.
func (d database) drop(ctx context.Context, a *saga.Attempt, conn *postgres.Conn, name string, fact databaseFact) error {
	err := conn.Lock(ctx, name, func() { a.Report("waiting until the server is through with what an earlier attempt began") })
	if err != nil || name == fact.Making {
		return errors.Join(err, conn.Drop(ctx, name))
	}
	claim, err := d.look(ctx, conn, name, fact, true)
	switch {
	case err != nil || claim.state == absent:
		return err
	case claim.state == foreign:
		a.Warn("database %s is left: %s", name, claim.why)
		return nil
	}
	keeping := d.Options().KeepVolumes || fact.Adopted && d.Session().Run.Verb != session.VerbDown
	if keeping && claim.state != half {
		label := d.label()
		label.Ready, label.Kept = true, true
		a.Report("kept database %s", name)
		return conn.Comment(ctx, name, label.String())
	}
	return conn.Drop(ctx, name)
}

// unreachable is what becomes of a database whose server does not answer.
func (d database) unreachable(a *saga.Attempt, server *postgres.Server, fact databaseFact, err error) error {
	if errors.Is(err, postgres.ErrUnreachable) {
		if d.own(server) {
			a.Report("database %s is not dropped: its server runs no more, and its data is the volumes'", fact.Name)
			return nil
		}
		if d.Options().KeepVolumes {
			a.Warn("database %s is kept, and could not be marked as kept: %v", fact.Name, err)
			return nil
		}
	}
	return fmt.Errorf("drop database %s at %s: %w; it is left there; mend that and run the command again: ecluse down %s", fact.Name, server.Address(), err, d.Session().Slug)
}

// fact loads what an earlier attempt saved.
func (d database) fact(a *saga.Attempt) (databaseFact, bool, error) {
	var fact databaseFact
	known, err := a.Load(databaseFactKey, &fact)
	return fact, known, err
}

// connect connects to the server.
func (d database) connect(ctx context.Context, fact databaseFact, timeout time.Duration) (*postgres.Conn, error) {
	server, err := d.server(fact)
	if err != nil {
		return nil, saga.Permanent(err)
	}
	return Reach(ctx, server, timeout)
}

// Reach connects to a server, and tries again if the machine stood still for much of the
// time in which it did not get there.
func Reach(ctx context.Context, server *postgres.Server, timeout time.Duration) (*postgres.Conn, error) {
	most, cancel := patience(ctx, timeout*4/5, nil)
	defer cancel()
	for {
		conn, err := server.Connect(ctx, timeout)
		if !errors.Is(err, postgres.ErrUnreachable) || most.Err() != nil {
			return conn, err
		}
	}
}

// timeout is how long the server, and a busy template, are waited for.
func (d database) timeout() time.Duration { return d.spec.Timeout.Or(databaseTimeout) }

// hopelessDatabase marks an error that would come again.
func hopelessDatabase(err error) error {
	for _, cause := range []error{postgres.ErrRefused, postgres.ErrMissing, postgres.ErrThere} {
		if errors.Is(err, cause) {
			return saga.Permanent(err)
		}
	}
	return err
}
