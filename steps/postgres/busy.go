package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// User is somebody who is connected to a database.
type User struct {
	PID int
	// Name is the user's, Application what the program calls itself, Address
	// where it connects from; each may be empty.
	Name, Application, Address string
}

// String describes the user: "psql of app at 127.0.0.1 (server process 4711)".
func (u User) String() string {
	text := u.Application
	if text == "" {
		text = "a program"
	}
	if u.Name != "" {
		text += " of " + u.Name
	}
	if u.Address != "" {
		text += " at " + u.Address
	}
	return fmt.Sprintf("%s (server process %d)", text, u.PID)
}

// Users lists who is connected to a database.
func (c *Conn) Users(ctx context.Context, name string) ([]User, error) {
	rows, err := c.conn.Query(ctx, `select pid, coalesce(usename::text, ''), coalesce(application_name, ''),
		coalesce(host(client_addr), case when client_port = -1 then 'a local socket' else '' end)
		from pg_stat_activity where datname = $1 order by backend_start`, name)
	if err != nil {
		return nil, c.failed(ctx, "look who uses database "+name, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[User])
	return list, c.failed(ctx, "look who uses database "+name, err)
}

// BusyError is a database that could not be copied because others are connected
// to it.
type BusyError struct {
	// Doing is what was to be done.
	Doing             string
	Database, Address string
	After             time.Duration
	Users             []User
}

// Error names them, and says what to do.
func (e *BusyError) Error() string {
	var who []string
	for _, user := range e.Users {
		who = append(who, user.String())
	}
	if len(who) == 0 {
		who = []string{"nobody who can be named"}
	}
	return fmt.Sprintf("%s at %s: a database can be copied only while nobody is connected to it; after %s there is still %s; "+
		"close that, or let nobody connect to a template: ALTER DATABASE %s ALLOW_CONNECTIONS false",
		e.Doing, e.Address, e.After, strings.Join(who, ", "), quote(e.Database))
}
