package rebuild

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

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

// databaseOf is the name of a database of a session, by its key in the configuration.
func databaseOf(cfg settings.Config, e Evidence, key string) string {
	for _, d := range cfg.Databases {
		parsed, err := url.Parse(databaseURL(d, e))
		if d.Name == key && err == nil && len(parsed.Path) > 1 {
			return parsed.Path[1:]
		}
	}
	return ""
}

// idInDatabases is the id of the session that has made a session's databases, as their
// comments say; empty if no server answers, or none says so.
func idInDatabases(ctx context.Context, cfg settings.Config, e Evidence) string {
	for _, d := range cfg.Databases {
		server, err := postgres.Parse(databaseURL(d, e))
		if err != nil {
			continue
		}
		if id := idInDatabase(ctx, server, databaseOf(cfg, e, d.Name), e.Slug); id != "" {
			return id
		}
	}
	return ""
}

// idInDatabase is that of one database.
func idInDatabase(ctx context.Context, server *postgres.Server, name, slug string) string {
	conn, err := server.Connect(ctx, databasePatience)
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
