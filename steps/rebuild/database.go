package rebuild

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"ecluse/saga"
	"ecluse/steps"
	"ecluse/steps/postgres"
	"ecluse/steps/settings"
)

// databasePatience is how long a server may take to tell whose a database is.
const databasePatience = 5 * time.Second

// databaseURL is the URL of a database of a session, by the variables that are known of
// it; empty if they do not tell.
func databaseURL(d settings.Database, e Evidence) string {
	for _, variable := range d.URLVars() {
		if text := e.vars[variable]; text != "" {
			return text
		}
	}
	return ""
}

// databaseOf is the name of a database that is the session's own. What a variable names
// may be the project's, whatever the configuration says by now: only a name that no other
// session can have counts, and none of a session of the original tool, which has no
// databases.
func (r *rebuilder) databaseOf(d settings.Database) string {
	text := databaseURL(d, r.Evidence)
	if text == "" || r.Former {
		return ""
	}
	own, err := steps.OwnDatabase(r.cfg, r.s, d)
	parsed, parseErr := url.Parse(text)
	if err == nil && parseErr == nil && parsed.Path == "/"+own {
		return own
	}
	named := "what it names"
	if parseErr == nil && len(parsed.Path) > 1 {
		named = "database " + parsed.Path[1:]
	}
	r.doubt(fmt.Sprintf("%s of session %s leads to %s, which by its name is not the session's own: it stays as it is", d.URLVars()[0], r.Slug, named), "")
	return ""
}

// databaseFact is the fact of a step that makes a database.
func (r *rebuilder) databaseFact(spec saga.Spec) (steps.Facts, bool) {
	for _, d := range r.cfg.Databases {
		if name := r.databases[d.Name]; spec.Name == "database:"+d.Name && name != "" {
			return steps.DatabaseFacts(name, r.s.Run.ID), true
		}
	}
	return nil, false
}

// idInDatabases is the id of the session that has made a session's databases, as their
// comments say; empty if no server answers, or none says so.
func (r *rebuilder) idInDatabases(ctx context.Context) string {
	for _, d := range r.cfg.Databases {
		name := r.databases[d.Name]
		server, err := postgres.Parse(databaseURL(d, r.Evidence))
		if err != nil || name == "" {
			continue
		}
		if id := idInDatabase(ctx, server, name, r.Slug); id != "" {
			return id
		}
	}
	return ""
}

// idInDatabase is that of one database.
func idInDatabase(ctx context.Context, server *postgres.Server, name, slug string) string {
	conn, err := steps.Reach(ctx, server, databasePatience)
	if err != nil {
		return ""
	}
	defer conn.Close()
	info, there, err := conn.Look(ctx, name)
	if err != nil || !there {
		return ""
	}
	var label struct {
		Version int    `json:"ecluse"`
		Slug    string `json:"slug"`
		Session string `json:"session"`
	}
	if json.Unmarshal([]byte(info.Comment), &label) != nil || label.Version == 0 || label.Slug != slug {
		return ""
	}
	return label.Session
}
