package settings

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// EnginePostgres is the kind of server that is known.
const EnginePostgres = "postgres"

// databases checks the databases one by one, and that no two share a name or a
// variable.
func (v Validator) databases() {
	names, setters := map[string]bool{}, map[string]string{}
	for _, s := range v.Services {
		for _, name := range slices.Concat([]string(s.PortEnv), extraEnv(s)) {
			setters[name] = "service " + s.Name
		}
	}
	for i, d := range v.Databases {
		at := fmt.Sprintf("databases.%d.", i)
		v.Secret(at + "url")
		switch {
		case d.Name == "" && !v.Has(at+"name"):
			v.Invalid(at+"name", "a database needs a name")
		case !NamePattern.MatchString(d.Name):
			v.Sayf(at+"name", "%q cannot name a database; it takes a-z, 0-9, - and _, and begins with a letter or digit", d.Name)
		case names[d.Name]:
			v.Sayf(at+"name", "two databases are named %s", d.Name)
		}
		names[d.Name] = true
		if d.Engine != EnginePostgres {
			v.Sayf(at+"engine", "engine is %q; it takes postgres", d.Engine)
		}
		v.databaseURL(at, d)
		v.databaseEnv(at, d, setters)
		v.migration(at, d)
	}
}

// databaseURL checks that there is one, which no other database has.
func (v Validator) databaseURL(at string, d Database) {
	if d.URL == "" {
		v.Sayf(at+"url", "database %s needs a url, as postgres://user:password@localhost:5432/app", d.Name)
		return
	}
	for j := range v.Databases {
		if other := v.Databases[j]; other.URL == d.URL && at == fmt.Sprintf("databases.%d.", j) {
			return
		} else if other.URL == d.URL {
			v.Sayf(at+"url", "databases %s and %s have one url, and would be one database", other.Name, d.Name)
			return
		}
	}
}

// databaseEnv checks the variables that hold the URL.
func (v Validator) databaseEnv(at string, d Database, setters map[string]string) {
	v.variables(at+"url_env", d.URLEnv)
	for _, name := range d.URLVars() {
		if other := setters[name]; other != "" {
			v.Sayf(at+"url_env", "%s is set by %s, too; give database %s another url_env", name, other, d.Name)
		}
		setters[name] = "database " + d.Name
		if value, set := v.Env[name]; set && !strings.Contains(value, "${"+name+"}") {
			v.Misnamed("env."+name, fmt.Sprintf("%s holds the URL of database %s; leave it out here, or refer to it as ${%[1]s}", name, d.Name))
		}
	}
}

// migration checks how the database begins.
func (v Validator) migration(at string, d Database) {
	v.zero(at+"template", d.Template)
	if d.Migrate != nil {
		hook := d.Migrate.Value
		if strings.TrimSpace(hook.Run) == "" {
			v.Invalid(at+"migrate", "migrate has no command; give it one or remove it")
		}
		v.zero(at+"migrate", hook.Run)
		v.say(at+"migrate.retries", beyond("retries", hook.Retries, 0, maxRetries))
		if hook.BestEffort {
			v.Invalid(at+"migrate.best_effort", "migrate takes no best_effort: a database that it failed on is none")
		}
		if len(hook.Inputs) > 0 {
			v.Invalid(at+"migrate.inputs", "the inputs of migrate are the database's: write `inputs` beside `migrate`")
		}
	}
	if d.Managed() && len(d.Inputs) == 0 {
		v.Sayf(at+"migrate", "with a template and migrate, database %s needs `inputs`: the files, as migrations, that decide what migrate makes", d.Name)
	}
	for i, input := range d.Inputs {
		key := fmt.Sprintf("%sinputs.%d", at, i)
		if !v.Has(key) { // it is one string
			key = at + "inputs"
		}
		v.zero(key, input)
		_, err := filepath.Match(input, "")
		switch {
		case !filepath.IsLocal(input):
			v.Sayf(key, "%q does not stay inside the worktree", input)
		case filepath.Clean(input) == ".":
			v.Invalid(key, "the whole worktree is no input: it holds files that are each session's own")
		case err != nil:
			v.Sayf(key, "%q is no pattern: %v", input, err)
		}
	}
}
