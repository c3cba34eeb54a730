package store

import (
	"errors"
	"fmt"
	"time"

	"ecluse/saga/session"
)

// What is wrong with the state file.
var (
	// ErrDamaged: the state file, or a record in it, is not what was written.
	ErrDamaged = errors.New("damaged")
	// ErrNewer: a newer ecluse wrote it in a form that this one does not know.
	ErrNewer = errors.New("written by a newer ecluse")
	// ErrLocked: the state file was held by others for too long.
	ErrLocked = errors.New("the state file is locked")
)

// DamagedError says what is wrong with the state file. It wraps [ErrDamaged].
type DamagedError struct {
	Path string
	// Why, as a phrase.
	Why string
	// Copy is the last copy; empty when there is none.
	Copy string
}

// Error names the file, the damage and the way out.
func (e *DamagedError) Error() string {
	last := "there is no copy of it"
	if e.Copy != "" {
		last = "the last copy is " + e.Copy
	}
	return fmt.Sprintf("the state file %s is damaged: %s; %s; `ecluse doctor --rebuild` makes a new one", e.Path, e.Why, last)
}

// Unwrap returns [ErrDamaged].
func (e *DamagedError) Unwrap() error { return ErrDamaged }

// ObstacleError is something in the place of a file of the state that is no plain file.
type ObstacleError struct{ Path string }

// Error names it, and what to do.
func (e *ObstacleError) Error() string {
	return e.Path + " is not a plain file, and ecluse needs one there; move it away, it is made anew"
}

// RecordError is one record that cannot be used. It wraps [ErrNewer] or
// [ErrDamaged].
type RecordError struct {
	Key session.Key
	Err error
}

// Error names the session and what is wrong with its record.
func (e *RecordError) Error() string {
	return fmt.Sprintf("the record of session %s of %s: %v", e.Key.Slug, e.Key.Repo, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// newerError is a form that this version does not know.
type newerError struct {
	what string // "schema 3, this one knows 1"
	by   string // program version that wrote it, if known
}

// Error names both versions.
func (e *newerError) Error() string {
	if e.by == "" {
		return e.what + "; it was written by a newer ecluse, use that one"
	}
	return fmt.Sprintf("%s; it was written by ecluse %s, use that version or a newer one", e.what, e.by)
}

// Unwrap returns [ErrNewer].
func (e *newerError) Unwrap() error { return ErrNewer }

// LockedError says who kept the state file. It wraps [ErrLocked].
type LockedError struct {
	Path string
	// Waited before it was given up.
	Waited time.Duration
	// Holder as far as it is known: "pid 4711 (apply claim-up, since 12:03:07)".
	Holder string
}

// Error names the holder.
func (e *LockedError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "somebody whom the kernel does not name"
	}
	return fmt.Sprintf("%s is held by %s; gave up after %s, nothing was changed", e.Path, holder, e.Waited.Round(time.Millisecond))
}

// Unwrap returns [ErrLocked].
func (e *LockedError) Unwrap() error { return ErrLocked }
