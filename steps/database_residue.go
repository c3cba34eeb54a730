package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"ecluse/steps/dotenv"
	"ecluse/steps/postgres"
	"ecluse/steps/settings"
)

// residuePatience is how long a server is waited for that is only asked what it holds.
const residuePatience = 2 * time.Second

// MadeDatabase is a database on a server of the configuration that carries a label of
// ours: a session's, or a template.
type MadeDatabase struct {
	Name, Address string
	// Session is the id of the session that it is of; empty for a template.
	Session string
	// Kept: its session has left it on purpose.
	Kept bool
	// Making: it was to become a template and was not finished. Used is when a template
	// was last copied.
	Making bool
	Used   time.Time
	// Busy says who is at work on it, or connected to it; empty if nobody is.
	Busy string

	server *postgres.Server
	seen   postgres.Info
	names  []string
}

// Drop drops it if it is as it was seen, and nobody uses it.
func (m MadeDatabase) Drop(ctx context.Context) error {
	conn, err := Reach(ctx, m.server, dropPatience)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Discard(ctx, m.seen, m.names...)
}

// MadeDatabases lists what this machine has made for a repository on the servers that its
// configuration names. The server of a URL with variables of the session is the session's
// own, and is not asked. The error joins those of servers that could not be.
func MadeDatabases(ctx context.Context, cfg settings.Config, repo string) ([]MadeDatabase, error) {
	var list []MadeDatabase
	var errs []error
	asked := map[postgres.Where][]settings.Database{}
	servers := map[postgres.Where]*postgres.Server{}
	var order []postgres.Where
	for _, d := range cfg.Databases {
		server, err := server(d, nil)
		if errors.Is(err, dotenv.ErrUnknown) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		at := server.Where()
		if servers[at] == nil {
			servers[at], order = server, append(order, at)
		}
		asked[at] = append(asked[at], d)
	}
	for _, at := range order {
		made, err := madeOn(ctx, servers[at], asked[at], mark(repo))
		if err != nil {
			errs = append(errs, fmt.Errorf("databases at %s: %w", servers[at].Address(), err))
		}
		list = append(list, made...)
	}
	return list, errors.Join(errs...)
}

// madeOn lists what was made for a repository on one server.
func madeOn(ctx context.Context, server *postgres.Server, specs []settings.Database, repo string) ([]MadeDatabase, error) {
	conn, err := Reach(ctx, server, residuePatience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	infos, err := conn.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var list []MadeDatabase
	for _, info := range infos {
		m, ok := madeFor(info, specs, repo)
		if !ok {
			continue
		}
		m.Address, m.server, m.seen = server.Address(), server, info
		if m.Busy, err = busyWith(ctx, conn, m); err != nil {
			return list, err
		}
		list = append(list, m)
	}
	return list, nil
}

// madeFor reads what a database was made for; ok is false if it is not of the repository,
// or of another machine that has one in the same place.
func madeFor(info postgres.Info, specs []settings.Database, repo string) (m MadeDatabase, ok bool) {
	m = MadeDatabase{Name: info.Name, names: []string{info.Name}}
	if of, used, is := postgres.TemplateOf(info); is && info.Template {
		m.Used = used
		return m, of == repo
	}
	for _, d := range specs {
		if template, is := (postgres.Template{Base: d.Template}).Making(info.Name); is && d.Managed() {
			m.Making, m.names = true, append(m.names, template)
			return m, true
		}
	}
	var label databaseLabel
	host, _ := os.Hostname() // as in a label
	ok = json.Unmarshal([]byte(info.Comment), &label) == nil && label.Version > 0 && label.Repo == repo && label.Host == host && label.Session != ""
	m.Session, m.Kept = label.Session, label.Kept
	return m, ok
}

// busyWith says who is at work on a database or connected to it.
func busyWith(ctx context.Context, conn *postgres.Conn, m MadeDatabase) (string, error) {
	for _, name := range slices.Backward(m.names) {
		if free, err := conn.Free(ctx, name); err != nil || !free {
			return "a session is at work on " + name, err
		}
	}
	users, err := conn.Users(ctx, m.Name)
	if err != nil || len(users) == 0 {
		return "", err
	}
	return users[0].String() + " is connected to it", nil
}
