package steps

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ecluse/saga/session"
	"ecluse/steps/dotenv"
	"ecluse/steps/git"
	"ecluse/steps/postgres"
	"ecluse/steps/settings"
)

// server is where the database is, in a session that has these variables.
func server(d settings.Database, vars map[string]string) (*postgres.Server, error) {
	what := fmt.Sprintf("url of database %s in .ecluse.toml", d.Name)
	expanded, err := dotenv.ExpandAll(map[string]string{"url": d.URL}, vars)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	server, err := postgres.Parse(expanded["url"])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return server, nil
}

// databaseName is the name of the session's database on a server. Its end tells it from
// all others, also where the rest is the same: database "app_events" of session "xx",
// and "app" of session "events-xx".
func databaseName(server *postgres.Server, s session.Session) string {
	which := mark(strings.Join([]string{s.Repo, server.Database(), s.Slug}, "\x00"))
	name := fmt.Sprintf("%s_%s_%s", server.Database(), strings.ReplaceAll(s.Slug, "-", "_"), which)
	return postgres.Fit(name, postgres.MaxName)
}

// OwnDatabase is the name of the database that a session has of its own, by the
// configuration alone: whatever else is called so in the session's variables is not its.
func OwnDatabase(c settings.Config, s session.Session, d settings.Database) (string, error) {
	vars, err := Environment(c.Early(), s)
	if err != nil {
		return "", err
	}
	server, err := server(d, vars)
	if err != nil {
		return "", err
	}
	return databaseName(server, s), nil
}

// dropCommand is what a person types to drop a database: psql asks for the password,
// if it needs one.
func dropCommand(w postgres.Where, name string) string {
	words := []string{"psql", "-h", w.Host, "-p", fmt.Sprint(w.Port), "-U", w.User, "-d", "postgres",
		"-c", `DROP DATABASE "` + strings.ReplaceAll(name, `"`, `""`) + `"`}
	for i := range words {
		words[i] = git.Quote(words[i])
	}
	return strings.Join(words, " ")
}

// databaseURLs are the variables with the URLs of the session's databases. Instead
// has those of others that stand in their place, by their keys.
func databaseURLs(c settings.Config, s session.Session, vars, instead map[string]string) (map[string]string, error) {
	urls := map[string]string{}
	for _, d := range c.Databases {
		address, ok := instead[d.Name]
		if !ok {
			server, err := server(d, vars)
			if err == nil {
				server, err = factOf(d, s).at(server)
			}
			if err != nil {
				return nil, err
			}
			address = server.URL(databaseName(server, s))
		}
		for _, variable := range d.URLVars() {
			urls[variable] = address
		}
	}
	return urls, nil
}

// factOf is the fact of a session's database; it is empty before it was begun.
func factOf(d settings.Database, s session.Session) (fact databaseFact) {
	i := s.Plan.Index(databasePrefix + d.Name)
	if i < 0 || i >= len(s.Progress.Steps) {
		return fact
	}
	if err := json.Unmarshal(s.Progress.Steps[i].Facts[databaseFactKey], &fact); err != nil {
		return databaseFact{}
	}
	return fact
}

// at is the server where the database was made, wherever the URL leads now.
func (f databaseFact) at(server *postgres.Server) (*postgres.Server, error) {
	if f.Where == nil {
		return server, nil
	}
	return server.At(*f.Where)
}

// server is where the session's database is, or is to be.
func (d database) server(fact databaseFact) (*postgres.Server, error) {
	vars, err := Environment(d.Config.Early(), d.Session())
	if err != nil {
		return nil, err
	}
	server, err := server(d.spec, vars)
	if err != nil {
		return nil, err
	}
	return fact.at(server)
}

// where is what the fact keeps of a server. One of the session's own is where its
// port is.
func (d database) where(server *postgres.Server) *postgres.Where {
	if d.own(server) {
		return nil
	}
	w := server.Where()
	return &w
}

// name is the name of the session's database.
func (d database) name(server *postgres.Server) string { return databaseName(server, d.Session()) }

// own reports whether the server is one that listens at a port which the session has
// leased: its data is in the session's volumes.
func (d database) own(server *postgres.Server) bool {
	vars, err := Environment(d.Config.Early(), d.Session())
	number := server.PortOn(vars["ECLUSE_DOCKER_HOST"])
	return err == nil && number != 0 && slices.Contains(slices.Collect(maps.Values(d.Session().Ports)), number)
}
