package look

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/git"
	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// Former is a session that was there once, as the store remembers it.
type Former struct {
	session.Key
	// Ended is when its last run did.
	Ended time.Time
}

// Residue is something that carries our marks and belongs to no session.
type Residue struct {
	session.Key
	// Kind is one of the Residue constants, or of the store's.
	Kind string
	// Name for people, and for the tool that it is a thing of.
	Name string
	// Where it is, unless that goes without saying: the place of another Docker engine,
	// or the address of a server.
	Where string
	// Why it is residue.
	Why string
	// Since is when it became so, as far as that is known.
	Since time.Time
	// Size in bytes, where that is cheap to know.
	Size int64
	// Keep says why it is not to be removed; empty if it is.
	Keep string

	remove func(context.Context) error
}

// The kinds of a [Residue].
const (
	Container = "container"
	Network   = "network"
	Volume    = "volume"
	Image     = "image"
	Process   = "process"
	Worktree  = "worktree"
	SavedWork = "saved work"
)

// Remove removes it, and nothing else. Of what carries a session's mark that is done
// under the session's owner lock, so that no up of its name is under way.
func (r Residue) Remove(ctx context.Context) error { return r.remove(ctx) }

// Guarded reports whether it is to be removed under the owner lock of its session.
func (r Residue) Guarded() bool { return r.Slug != "" && r.Kind != SavedWork }

// Search is among what residue is looked for.
//
// What carries a session's id that this store has never known is another state
// folder's, or nobody knows whose: it is not looked at. So is what belongs to a session
// that the store has, whatever it is at.
type Search struct {
	// Sessions that there are, and those whose records cannot be read.
	Sessions   []session.Session
	Unreadable []session.Key
	// Former are all sessions that the store knows of, by their ids.
	Former map[string]Former
	// Places are where sessions had containers. The one of this environment is looked at
	// in any case.
	Places []Spot
	// Repo is the only one to look for; empty for all.
	Repo string
	// Age from which on what was kept on purpose may go.
	Age time.Duration
	// TrashAge is that of saved work.
	TrashAge time.Duration
	Now      time.Time
}

// former is the session that an id was of, if it is gone and meant.
func (s Search) former(id string) (Former, bool) {
	f, known := s.Former[id]
	if !known || s.Repo != "" && f.Repo != s.Repo {
		return Former{}, false
	}
	alive := slices.ContainsFunc(s.Sessions, func(one session.Session) bool { return one.ID == id })
	return f, !alive && !slices.Contains(s.Unreadable, f.Key)
}

// again reports whether there is a session of the same name now.
func (s Search) again(key session.Key) bool {
	return slices.ContainsFunc(s.Sessions, func(one session.Session) bool { return one.Key == key })
}

// last is when the last session of a name ended.
func (s Search) last(key session.Key) (last time.Time) {
	for _, f := range s.Former {
		if f.Key == key && f.Ended.After(last) {
			last = f.Ended
		}
	}
	return last
}

// of begins the entry of something that a former session left.
func (s Search) of(f Former, kind, name string) Residue {
	return Residue{Key: f.Key, Kind: kind, Name: name, Why: fmt.Sprintf("session %s, which made it, is gone", f.Slug), Since: f.Ended}
}

// days is a duration as people say it.
func days(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// Processes finds those that a step of a session started. Left out are ecluse itself
// and whoever started it, owners of runs, and what runs in containers, which is
// Docker's to end.
func (s Search) Processes() ([]Residue, error) {
	snap, err := proc.Snap()
	if err != nil {
		return nil, err
	}
	spared := snap.Line(os.Getpid())
	for _, one := range s.Sessions {
		if one.State.Pending() {
			spared = append(spared, steps.OwnerID(one.Run.Owner))
		}
	}
	var found []Residue
	for mark, ids := range snap.Marked(settings.EnvSession) {
		f, ok := s.former(mark)
		if !ok {
			continue
		}
		for _, id := range ids {
			if slices.Contains(spared, id) || proc.Container(id.PID) != "" {
				continue
			}
			r := s.of(f, Process, proc.Describe(id))
			r.remove = func(ctx context.Context) error { return endMarked(ctx, id, mark) }
			if step, ok := proc.Variable(id.PID, settings.EnvStep); !ok || step == "" {
				r.Keep = "it was started from a shell or by exec, so it may be a person's"
			}
			found = append(found, r)
		}
	}
	return found, nil
}

// endMarked ends a process as long as it carries the mark: its number may be another's
// by now.
func endMarked(ctx context.Context, id proc.ID, mark string) error {
	return proc.Stop(ctx, steps.Grace, func() ([]proc.ID, error) {
		if now, ok := proc.Variable(id.PID, settings.EnvSession); !ok || now != mark || !id.Alive() {
			return nil, nil
		}
		return []proc.ID{id}, nil
	})
}

// Worktrees finds what is left in the folder of a repository's worktrees that git does
// not know: an empty folder, or one that was a worktree of this repository and whose
// entry is gone. Where files are left that git would not ignore, it is only reported.
func (s Search) Worktrees(ctx context.Context, repo git.Repo) ([]Residue, error) {
	cfg, err := steps.LoadConfig(repo.Root)
	if err != nil {
		cfg = settings.Defaults() // which then is where they are, most likely
	}
	dir := filepath.Join(repo.Root, cfg.WorktreeDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", dir, err)
	}
	known, err := repo.Worktrees(ctx)
	if err != nil {
		return nil, err
	}
	var found []Residue
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		was := git.BeforeAside(path)
		theirs := slices.ContainsFunc(known, func(w git.Worktree) bool { return git.Same(w.Path, path) })
		ours := slices.ContainsFunc(s.Sessions, func(one session.Session) bool { return git.Same(one.Worktree, was) })
		if !entry.IsDir() || theirs || ours {
			continue
		}
		key := session.Key{Repo: repo.CommonDir}
		if slug := filepath.Base(was); session.CheckSlug(slug) == nil {
			key.Slug = slug
		}
		if slices.Contains(s.Unreadable, key) || s.again(key) {
			continue
		}
		if r, ok := remains(ctx, repo, path); ok {
			r.Key = key
			found = append(found, r)
		}
	}
	return found, nil
}

// remains describes a folder that git does not know; false if it is none of ours.
func remains(ctx context.Context, repo git.Repo, path string) (Residue, bool) {
	r := Residue{Kind: Worktree, Name: path}
	info, err := os.Stat(path)
	if err != nil {
		return r, false
	}
	r.Since = info.ModTime()
	list, err := os.ReadDir(path)
	switch {
	case err == nil && len(list) == 0:
		r.Why = "an empty folder, and no worktree"
		r.remove = func(context.Context) error { return os.Remove(path) }
	case repo.Severed(path):
		r.Why = "it was a worktree, and git does not know it any more"
		r.remove = func(ctx context.Context) error {
			if dirty, err := repo.Dirty(ctx, path); err != nil || dirty {
				return fmt.Errorf("%s holds files by now: %w", path, errors.Join(err, session.ErrBusy))
			}
			_, err := repo.Remove(ctx, path, git.RemoveOptions{Remnant: true})
			return err
		}
		if dirty, err := repo.Dirty(ctx, path); err != nil || dirty {
			r.Keep = "files are left in it that git would not ignore; look at them, then remove it yourself"
		}
	case git.BeforeAside(path) != path:
		r.Why, r.Keep = "a worktree whose removal was cut off", "files are left in it; look at them, then remove it yourself"
	default:
		r.Why, r.Keep = "git does not know it", "nothing shows that ecluse made it"
	}
	return r, true
}

// SavedWork finds work that was saved when worktrees were removed, and is old by now.
func (s Search) SavedWork(ctx context.Context, repo git.Repo) ([]Residue, error) {
	list, err := repo.SavedWork(ctx)
	if err != nil {
		return nil, err
	}
	var found []Residue
	for _, saved := range list {
		if s.Now.Sub(saved.At) < s.TrashAge {
			continue
		}
		found = append(found, Residue{
			Key: session.Key{Repo: repo.CommonDir, Slug: saved.Slug}, Kind: SavedWork, Name: saved.Ref, Since: saved.At,
			Why:    fmt.Sprintf("it was saved more than %s ago", days(s.TrashAge)),
			remove: func(ctx context.Context) error { return repo.Forget(ctx, saved) },
		})
	}
	return found, nil
}
