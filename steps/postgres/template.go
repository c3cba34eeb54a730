package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Template is a database that others begin as copies of. It is made once for each
// state of what it is made from.
type Template struct {
	// Base begins its name, State sums up what it is made from: 12 or more
	// hexadecimal digits, of which 12 end its name.
	Base, State string
	// Repo says whose it is. Only templates of the same are dropped for it.
	Repo string
	// Timeout bounds the wait for a busy template1.
	Timeout time.Duration
	// Begin is called with the name under which it is made, before that is there.
	Begin func(making string) error
	// Fill fills the database of the name.
	Fill func(ctx context.Context, making string) error
	// Report tells what is waited for, and what becomes of other templates.
	Report func(format string, args ...any)
}

const (
	// stateDigits of the state are in the name.
	stateDigits = 12
	// makingMark is between the name of a template and what tells the attempts
	// apart that are made to make it. What a dead attempt left running knows
	// only the name of its own.
	makingMark   = "_making_"
	makingDigits = 6
	// keepTemplates are kept for each base, those used last.
	keepTemplates = 3
	// touchInterval is how precise it is when a template was used last.
	touchInterval = time.Second
	// brief is how long something is waited for that can as well be left.
	brief = "200ms"
)

var (
	templatePattern = regexp.MustCompile(`^_[0-9a-f]{12}$`)
	makingPattern   = regexp.MustCompile(`^(_[0-9a-f]{12})` + makingMark + `[a-z0-9]+$`)
)

// templateLabel is the comment of a template.
type templateLabel struct {
	Version  int       `json:"ecluse"`
	Template bool      `json:"template"`
	Repo     string    `json:"repo"`
	Used     time.Time `json:"used"`
}

func (l templateLabel) String() string {
	data, err := json.Marshal(l)
	if err != nil {
		return "" // it has nothing that cannot be encoded
	}
	return string(data)
}

// labelOf reads the comment of a template; ok is false if it is not ours.
func labelOf(info Info) (label templateLabel, ok bool) {
	err := json.Unmarshal([]byte(info.Comment), &label)
	return label, err == nil && label.Version > 0 && label.Template
}

// base is the beginning of the name of every template of its base.
func (t Template) base() string {
	return Fit(t.Base, MaxName-1-stateDigits-len(makingMark)-makingDigits)
}

// Name is the template's name.
func (t Template) Name() string { return t.base() + "_" + t.State[:stateDigits] }

// Template makes sure that there is such a template, and returns its name. Of many
// who ask at once one makes it, and the others wait. It may be gone when it is
// copied: then ask again.
func (c *Conn) Template(ctx context.Context, t Template) (string, error) {
	name := t.Name()
	if there, err := c.touch(ctx, name); there || err != nil {
		return name, err
	}
	err := c.Lock(ctx, name, func() { t.Report("waiting for another session, which makes template %s", name) })
	if err != nil {
		return "", err
	}
	there, err := c.touch(ctx, name)
	if err == nil && !there {
		if err = c.make(ctx, t, name); err == nil {
			c.prune(ctx, t)
		}
	}
	return name, errors.Join(err, c.Unlock(context.WithoutCancel(ctx), name))
}

// touch looks for a template and notes that it is used.
func (c *Conn) touch(ctx context.Context, name string) (bool, error) {
	info, there, err := c.Look(ctx, name)
	if err != nil || !there {
		return false, err
	}
	label, ours := labelOf(info)
	if !ours {
		return false, fmt.Errorf("database %s at %s has the name of a template and was not made by ecluse; rename it, or choose another `template`", name, c.Address())
	}
	if time.Since(label.Used) < touchInterval {
		return true, nil
	}
	label.Used = time.Now().UTC()
	// Somebody who is copying it keeps others from it, and has just noted the same.
	return true, c.briefly(ctx, func() error { return c.Comment(ctx, name, label.String()) })
}

// make makes a template under another name. The caller has the lock on its name.
func (c *Conn) make(ctx context.Context, t Template, name string) (err error) {
	if err := c.dropMaking(ctx, name); err != nil {
		return err
	}
	making := name + makingMark + strings.ToLower(rand.Text()[:makingDigits])
	// For whoever drops it should we die while the server creates it.
	if err := c.Lock(ctx, making, nil); err != nil {
		return err
	}
	if err := t.Begin(making); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if err != nil && !c.conn.IsClosed() {
			err = errors.Join(err, c.Drop(ctx, making))
		}
		if !c.conn.IsClosed() {
			err = errors.Join(err, c.Unlock(ctx, making))
		}
	}()
	if err := c.Create(ctx, making, "", t.Timeout, nil); err != nil {
		return err
	}
	if err := t.Fill(ctx, making); err != nil {
		return err
	}
	label := templateLabel{Version: 1, Template: true, Repo: t.Repo, Used: time.Now().UTC()}
	if err := c.Comment(ctx, making, label.String()); err != nil {
		return err
	}
	for _, property := range []string{"is_template true", "allow_connections false"} {
		if err := c.exec(ctx, "close template "+making, "alter database "+quote(making)+" "+property); err != nil {
			return err
		}
	}
	err = c.Rename(ctx, making, name)
	if errors.Is(err, ErrThere) { // we had lost the lock, and somebody else made it
		return c.Drop(ctx, making)
	}
	return err
}

// dropMaking drops what those left who died while they made a template. The caller
// has the lock on its name.
func (c *Conn) dropMaking(ctx context.Context, name string) error {
	list, err := c.List(ctx, name+makingMark)
	for _, info := range list {
		err = errors.Join(err, c.Drop(ctx, info.Name))
	}
	return err
}

// prune drops templates that were not used for long, and what was left half made
// of others. What is in use stays; so does everything if that fails: it is only
// disk space.
func (c *Conn) prune(ctx context.Context, t Template) {
	base := t.base()
	list, err := c.List(ctx, base+"_")
	if err != nil {
		t.Report("templates that are not used any more are kept: %v", err)
		return
	}
	type candidate struct {
		name string
		used time.Time
	}
	var candidates []candidate
	for _, info := range list {
		rest := strings.TrimPrefix(info.Name, base)
		label, ours := labelOf(info)
		if match := makingPattern.FindStringSubmatch(rest); match != nil && base+match[1] != t.Name() {
			c.discard(ctx, t, base+match[1], info.Name)
		} else if ours && label.Repo == t.Repo && templatePattern.MatchString(rest) {
			candidates = append(candidates, candidate{info.Name, label.Used})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(b.used.Compare(a.used), cmp.Compare(a.name, b.name))
	})
	for i, old := range candidates {
		if i >= keepTemplates && old.name != t.Name() {
			c.discard(ctx, t, old.name, old.name)
		}
	}
}

// discard drops a database unless somebody is at work on the template that it is, or
// is to become.
func (c *Conn) discard(ctx context.Context, t Template, template, name string) {
	free, err := c.TryLock(ctx, template)
	if err != nil || !free {
		return
	}
	err = c.briefly(ctx, func() error { return c.Drop(ctx, name) })
	if err = errors.Join(err, c.Unlock(ctx, template)); err != nil {
		t.Report("database %s, which is not used any more, is kept: %v", name, err)
	} else {
		t.Report("dropped database %s, which was not used any more", name)
	}
}

// briefly does something that may be left undone while somebody else is at work on
// the database. A copy of it locks it for as long as it takes.
func (c *Conn) briefly(ctx context.Context, do func() error) error {
	if err := c.exec(ctx, "bound a wait", "set lock_timeout = '"+brief+"'"); err != nil {
		return err
	}
	err := do()
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == codeLockTimeout || answer.Code == codeInUse) {
		err = nil
	}
	if ctx.Err() != nil {
		return err // and the connection is closed
	}
	return errors.Join(err, c.exec(ctx, "bound a wait", "set lock_timeout = 0"))
}
