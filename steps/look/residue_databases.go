package look

import (
	"context"
	"fmt"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
)

// The kinds of a [Residue] on a server of databases.
const (
	Database = "database"
	Template = "template"
)

// Databases finds databases of former sessions, and templates that nobody has used for
// long, on the servers that the repository's configuration names now. The error says
// which could not be asked.
func (s Search) Databases(ctx context.Context, repo git.Repo) ([]Residue, error) {
	cfg, err := steps.LoadConfig(repo.Root)
	if err != nil {
		return nil, nil //nolint:nilerr // no servers are known then; doctor tells of the file
	}
	made, err := steps.MadeDatabases(ctx, cfg, repo.CommonDir)
	var found []Residue
	for _, m := range made {
		r, ok := s.made(m, repo.CommonDir)
		if !ok {
			continue
		}
		r.Where, r.remove = m.Address, m.Drop
		if m.Busy != "" && r.Keep == "" {
			r.Keep = m.Busy
		}
		found = append(found, r)
	}
	return found, err
}

// made judges a database that carries our label, or was to become a template.
func (s Search) made(m steps.MadeDatabase, repo string) (r Residue, ok bool) {
	switch {
	case m.Making:
		return Residue{Key: session.Key{Repo: repo}, Kind: Template, Name: m.Name, Why: "it was left half made"}, true
	case m.Session == "":
		// A template is no session's. It is made again when it is needed.
		r = Residue{Key: session.Key{Repo: repo}, Kind: Template, Name: m.Name, Why: "no session has copied it since", Since: m.Used}
		return r, s.Now.Sub(m.Used) >= s.Age
	}
	f, ok := s.former(m.Session)
	if !ok {
		return r, false
	}
	r = s.of(f, Database, m.Name)
	switch {
	case s.again(f.Key):
		r.Keep = againSays(f)
	case m.Kept:
		s.kept(&r, f)
	}
	return r, true
}

// againSays is why something of a former session stays whose name another one has.
func againSays(f Former) string {
	return fmt.Sprintf("there is a session %s again, and its down answers for it", f.Slug)
}

// kept says since when something was kept on purpose, and for how long. A later session
// of the name has used it, and left it again.
func (s Search) kept(r *Residue, f Former) {
	r.Why, r.Since = fmt.Sprintf("kept %s of %s", r.Kind, f.Slug), s.last(f.Key)
	if s.Now.Sub(r.Since) < s.Age {
		r.Keep = fmt.Sprintf("it was kept on purpose; it goes with --older-than 0s, or when it is %s old", days(s.Age))
	}
}
