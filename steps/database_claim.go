package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"ecluse/steps/postgres"
)

// databaseLabel is the comment of a session's database: whose it is, and whether it
// is whole.
type databaseLabel struct {
	Version int `json:"ecluse"`
	// Repo is the repository's mark, Host the machine: others that have a
	// repository in the same place may use the same server.
	Repo     string `json:"repo"`
	Host     string `json:"host"`
	Slug     string `json:"slug"`
	Database string `json:"database"`
	// Session is the session's id.
	Session string `json:"session"`
	// Ready is set once it is whole, Kept when its session has left it on
	// purpose.
	Ready bool `json:"ready,omitempty"`
	Kept  bool `json:"kept,omitempty"`
}

// String is the label as a comment.
func (l databaseLabel) String() string {
	data, err := json.Marshal(l)
	if err != nil {
		return "" // it has nothing that cannot be encoded
	}
	return string(data)
}

// label is the session's, of a database that is not whole yet.
func (d database) label() databaseLabel {
	s := d.Session()
	host, _ := os.Hostname() // without one all machines are one
	return databaseLabel{Version: 1, Repo: mark(s.Repo), Host: host, Slug: s.Slug, Database: d.spec.Name, Session: s.ID}
}

// claimState is what a session may do with a database that has the name of its own.
type claimState int

const (
	absent  claimState = iota
	whole              // it is the session's, and ready
	rebuilt            // the user has made it anew
	kept               // an earlier session of the slug left it on purpose
	half               // it was being made by somebody who is dead
	foreign            // it is nobody's business of ours
)

// claim is that, and why.
type claim struct {
	state claimState
	why   string
}

// look looks at a database. The caller has its lock, or changes nothing.
func (d database) look(ctx context.Context, conn *postgres.Conn, name string, fact databaseFact, known bool) (claim, error) {
	info, there, err := conn.Look(ctx, name)
	if err != nil || !there {
		return claim{absent, "it is not there"}, err
	}
	known = known && fact.Name == name
	return d.judge(info.Comment, fact, known, d.own(conn.Server)), nil
}

// judge tells whose a database is, by its comment and by what the session noted.
// own: the server is the session's.
func (d database) judge(comment string, fact databaseFact, known, own bool) claim {
	ours := d.label()
	var have databaseLabel
	labelled := json.Unmarshal([]byte(comment), &have) == nil && have.Version > 0
	mine := have.Session == ours.Session
	have.Session, ours.Session = "", ""
	have.Version = ours.Version
	ready, left := have.Ready, have.Kept
	have.Ready, have.Kept = false, false
	known = known && !fact.Unproven
	switch {
	case !labelled && comment == "" && known && fact.Ready:
		return claim{rebuilt, "it has lost its label, and counts as made anew by you"}
	case !labelled && comment == "" && known && !fact.Adopted:
		return claim{half, "it was left half made"}
	case !labelled:
		return claim{foreign, "ecluse has not made it"}
	case have != ours:
		return claim{foreign, fmt.Sprintf("it is of database %s of session %s on %s", have.Database, have.Slug, have.Host)}
	case !ready:
		return claim{half, "it was left half made"}
	case mine && !left:
		return claim{whole, "it is whole"}
	case left || own:
		return claim{kept, "an earlier session of this name left it"}
	}
	return claim{foreign, fmt.Sprintf("another session %s has made it, of another user or another state folder", have.Slug)}
}
