package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
)

// Remains are what can still be read of a state that is damaged or gone.
type Remains struct {
	// Path is the file that was read: the state file itself, if only some of its
	// records are damaged, else the last copy that is whole; empty if there is none.
	Path string
	// Copy: it is a copy, and At is when that was made.
	Copy bool
	At   time.Time
	// Sessions are the records that can be read.
	Sessions []session.Session

	// seen is the state file as it was looked at; nil if there was none.
	seen os.FileInfo
}

// ErrSound says that there is nothing to rebuild, the state file can be read, all of it.
var ErrSound = errors.New("the state file is sound")

// VerbRebuild is what the history calls a rebuild. No run has it.
const VerbRebuild session.Verb = "rebuild"

// Exists reports whether there is a state file, whatever it is like.
func (s *Store) Exists() bool {
	_, err := os.Lstat(s.Path())
	return err == nil
}

// Remains reads what is left of the state. It writes nothing. The error wraps
// [ErrSound] when the file is whole; what a newer ecluse wrote, and what cannot be read
// for another reason than damage, is an error, too.
func (s *Store) Remains() (Remains, error) {
	seen, err := os.Lstat(s.Path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Remains{}, fmt.Errorf("look at the state file: %w", err)
	}
	r := Remains{seen: seen}
	if seen != nil {
		switch err := s.Check(); {
		case err == nil:
			return Remains{}, ErrSound
		case !errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer):
			return Remains{}, err
		}
		// With sound pages each record stands for itself: all but the bad ones count.
		if list, err := s.List(); s.pagesSound() && (err == nil || len(Unreadable(err)) > 0) {
			r.Path, r.Sessions, r.At = s.Path(), list, seen.ModTime()
			return r, nil
		}
	}
	last, err := s.LastCopy()
	last.seen = seen
	return last, err
}

// LastCopy is the last copy of the state file that is whole; empty if there is none. It
// writes nothing.
func (s *Store) LastCopy() (Remains, error) {
	copies := s.copies()
	slices.Reverse(copies)
	for _, path := range copies {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		list, err := readCopy(path)
		switch {
		case errors.Is(err, ErrDamaged):
			continue
		case err != nil:
			return Remains{}, fmt.Errorf("read the copy %s: %w", path, err)
		}
		return Remains{Path: path, Copy: true, At: info.ModTime(), Sessions: list}, nil
	}
	return Remains{}, nil
}

// Begun reports whether the state folder has something that only a state file can
// explain: a copy of it, or the private folder of a session.
func (s *Store) Begun() bool { return s.lost() != nil || len(s.copies()) > 0 }

// pagesSound reports whether the file can be walked through.
func (s *Store) pagesSound() bool {
	sound := true
	_, err := s.view(func(tx *bolt.Tx) error {
		for range tx.Check() {
			sound = false // all are taken: who checks waits for it
		}
		return nil
	})
	return err == nil && sound
}

// readCopy lists the sessions of a copy, which must be whole. It is looked at in a
// folder of its own: it may be of an older schema.
func readCopy(path string) (list []session.Session, err error) {
	dir, err := os.MkdirTemp("", "ecluse-copy-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := New(dir)
	if err := copyTo(path, s.Path()); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return s.List()
}

// copyTo copies a file to a name that is free.
func copyTo(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// Known says what the state folder has of a session beside its record: its private
// folder, which goes with the session, and the runs that have logs, oldest first.
func (s *Store) Known(key session.Key) (private bool, runs []string) {
	info, err := os.Stat(s.Dir(key))
	private = err == nil && info.IsDir()
	entries, _ := os.ReadDir(s.LogDir(key))
	changed := map[string]time.Time{}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && entry.IsDir() {
			runs, changed[entry.Name()] = append(runs, entry.Name()), info.ModTime()
		}
	}
	slices.SortFunc(runs, func(a, b string) int { return changed[a].Compare(changed[b]) })
	return private, runs
}

// Working names a session that somebody works on, and who; nil if nobody does anything.
func (s *Store) Working() (*session.BusyError, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "locks"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for who is at work: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".own") {
			continue
		}
		by, err := holder(filepath.Join(s.dir, "locks", entry.Name()))
		if err != nil {
			return nil, err
		}
		if by != nil {
			return &session.BusyError{Key: by.Key, Owner: by.Owner}, nil
		}
	}
	return nil, nil
}

// Rebuild makes a new state file that begins as the remains and has these sessions and
// no others, and puts it in the place of the damaged one, which is kept under the name
// that is returned; empty if there was none. Nobody can open the state meanwhile, and
// there is no moment without a file if there was one.
//
// The error wraps [session.ErrBusy] when somebody works on a session, or has changed
// the file since the remains were read. On an error nothing was changed.
func (s *Store) Rebuild(r Remains, sessions []session.Session) (aside string, err error) {
	lock, err := s.lockExclusive("rebuild the state file")
	if err != nil {
		return "", s.writeError(err)
	}
	defer lock.release()
	switch by, err := s.Working(); {
	case err != nil:
		return "", err
	case by != nil:
		return "", by
	}
	if now, _ := os.Lstat(s.Path()); !unchanged(r.seen, now) {
		return "", fmt.Errorf("%s was changed while it was looked at: %w", s.Path(), session.ErrBusy)
	}
	dir, err := os.MkdirTemp(s.dir, "rebuild-")
	if err != nil {
		return "", s.writeError(fmt.Errorf("make the new state file: %w", err))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	made := New(dir)
	made.Version, made.now, made.migrations = s.Version, s.now, s.migrations
	if r.Path != "" {
		if err := copyTo(r.Path, made.Path()); err != nil {
			return "", s.writeError(fmt.Errorf("make the new state file: %w", err))
		}
	}
	if err := made.update("rebuild the state file", func(tx *bolt.Tx) error { return made.replace(tx, sessions) }); err != nil {
		return "", fmt.Errorf("make the new state file: %w", s.writeError(err))
	}
	if aside, err = s.setAside(); err != nil {
		return "", s.writeError(err)
	}
	if err := os.Rename(made.Path(), s.Path()); err != nil {
		return aside, s.writeError(fmt.Errorf("put the new state file in its place: %w", err))
	}
	s.deep.Store(false) // it is another file
	return aside, syncUp(s.dir)
}

// unchanged reports whether a file, or that there is none, is what it was.
func unchanged(before, now os.FileInfo) bool {
	if before == nil || now == nil {
		return before == nil && now == nil
	}
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// setAside gives the state file, damaged as it may be, another name beside its own. The
// caller holds the lock, and puts another file in its place.
func (s *Store) setAside() (string, error) {
	name := s.Path() + ".damaged-" + s.now().UTC().Format(timeInName)
	err := os.Link(s.Path(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil { // a file system without hard links
		err = os.Rename(s.Path(), name)
	}
	if err != nil {
		return "", fmt.Errorf("set the state file aside: %w", err)
	}
	return name, syncDir(s.dir)
}

// Add adds sessions to a repository that has none, in a state file that is sound; nothing
// else in it changes. The error wraps [session.ErrBusy] when the repository has sessions by
// now, or others their slots or ports. On an error nothing was changed.
func (s *Store) Add(repo string, sessions []session.Session) error {
	return s.update("add sessions to "+repo, func(tx *bolt.Tx) error {
		slots, err := slotsOf(tx, repo)
		if err != nil {
			return err
		}
		if len(slots) > 0 {
			return fmt.Errorf("%s has got sessions meanwhile: %w", repo, session.ErrBusy)
		}
		for _, one := range sessions {
			for _, port := range one.Ports {
				if by, err := leasedTo(tx, port); err != nil || by != nil {
					return errors.Join(err, fmt.Errorf("port %d was leased meanwhile: %w", port, session.ErrBusy))
				}
			}
		}
		return s.restoreAll(tx, sessions)
	})
}

// replace puts sessions in the place of all that there are. History and runs stay.
func (s *Store) replace(tx *bolt.Tx, sessions []session.Session) error {
	for _, name := range []string{bucketSessions, bucketSlots, bucketLeases} {
		if err := tx.DeleteBucket([]byte(name)); err != nil {
			return fmt.Errorf("empty bucket %s: %w", name, err)
		}
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return fmt.Errorf("empty bucket %s: %w", name, err)
		}
	}
	return s.restoreAll(tx, sessions)
}

// restoreAll writes the records of sessions that were not there.
func (s *Store) restoreAll(tx *bolt.Tx, sessions []session.Session) error {
	epoch, err := s.freshEpoch(tx, sessions)
	if err != nil {
		return err
	}
	for _, one := range sessions {
		epoch++
		one.Version, one.Epoch = session.RecordVersion, epoch
		if err := s.restore(tx, one); err != nil {
			return err
		}
	}
	return put(tx, bucketMeta, metaEpoch, epoch)
}

// freshEpoch is above every epoch that was ever given, also by the file that cannot be
// read any more: epochs count claims, of which there is far less than one a millisecond.
func (s *Store) freshEpoch(tx *bolt.Tx, sessions []session.Session) (uint64, error) {
	var epoch uint64
	if err := getMeta(tx, metaEpoch, &epoch); err != nil {
		return 0, err
	}
	for _, one := range sessions {
		epoch = max(epoch, one.Epoch)
	}
	return max(epoch, uint64(max(0, s.now().UnixMilli()))), nil
}

// restore writes the record of a session that was not there.
func (s *Store) restore(tx *bolt.Tx, one session.Session) error {
	absent := session.Session{Key: one.Key, State: fsm.Absent}
	err := checkKey(one.Key)
	if err == nil {
		err = check(one.Key, absent, one, session.View{NextEpoch: one.Epoch})
	}
	if err == nil {
		err = s.write(tx, one.Key, absent, one)
	}
	if err != nil {
		return err
	}
	note := "the state was rebuilt; the session is " + string(one.State)
	if one.Failure != nil {
		note += ": " + one.Failure.Message
	}
	err = appendHistory(tx, []session.Entry{{
		Time: s.now(), Key: one.Key, ID: one.ID, Root: one.Root, Run: one.Run.ID, Verb: VerbRebuild, Epoch: one.Epoch, Note: note,
	}})
	if err != nil {
		return err
	}
	// So that its id is known to have been ours when it is gone.
	return recordRun(tx, one.Key, absent, session.Result{Session: one, Decision: saga.Decision{Outcome: saga.Halted}}, s.now())
}
