package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// notes is a web service with a real PostgreSQL at $DATABASE_URL and a real Redis
// at $REDIS. It says what its session is, as webapp does, then how many notes it
// was sent (which it keeps in Redis), then the notes (which are in PostgreSQL).
// With the argument migrate it makes the table for them instead, and a first note.
func notes() {
	if len(os.Args) == 2 && os.Args[1] == "migrate" {
		fatal(migrateNotes())
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fatal(err)
	}
	fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serveNotes(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})))
}

// query runs a statement and lists the first column of what it returns.
func query(url, sql string, args ...any) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer db.Close(context.Background())
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// migrateNotes can be run again: an up that was killed is resumed.
func migrateNotes() error {
	url := os.Getenv("DATABASE_URL")
	if _, err := query(url, "CREATE TABLE IF NOT EXISTS notes (text TEXT PRIMARY KEY)"); err != nil {
		return err
	}
	_, err := query(url, "INSERT INTO notes VALUES ($1) ON CONFLICT DO NOTHING", "migrated by "+os.Getenv("ECLUSE_SLUG"))
	return err
}

func serveNotes(w http.ResponseWriter, r *http.Request) error {
	url, redis := os.Getenv("DATABASE_URL"), os.Getenv("REDIS")
	if r.Method == http.MethodPost {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		if _, err := query(url, "INSERT INTO notes VALUES ($1)", string(text)); err != nil {
			return err
		}
		if _, err := ask(redis, "INCR sent"); err != nil {
			return err
		}
	}
	list, err := query(url, "SELECT text FROM notes ORDER BY text")
	if err != nil {
		return err
	}
	sent, err := ask(redis, "GET sent")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s sent %s: %s\n", os.Getenv("ECLUSE_SLUG"), cmp.Or(sent, "0"), strings.Join(list, ", "))
	return err
}

// ask runs one command of Redis, which answers with a number or a text.
func ask(address, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, time.Minute)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	answer := bufio.NewReader(conn)
	line, err := answer.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "$") && !strings.HasPrefix(line, "$-1") {
		line, err = answer.ReadString('\n')
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(line, "-"):
		return "", fmt.Errorf("redis: %s", line)
	case line == "$-1":
		return "", nil
	}
	return strings.TrimLeft(line, ":+"), nil
}
