package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ecluse/saga"
	"ecluse/steps/dotenv"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// env carries files of the main worktree over and writes [EnvFile].
type env struct{ *Target }

var (
	_ saga.Step     = env{}
	_ saga.Verifier = env{}
)

// The keys of the step's facts: that it writes [settings.EnvFile], and an inherited for
// each entry that it makes, by its name.
const (
	envWritten = "written"
	envMade    = "made"
)

func planEnv(p *planner) {
	p.add(saga.Spec{
		Name: "env", Kind: "env", Cause: "every session has one",
		Does: "inherit files, write " + settings.EnvFile, Reverts: "remove both",
		Policy: saga.Policy{Timeout: 10 * time.Minute, CompensateTimeout: 10 * time.Minute},
	})
}

func newEnv(t *Target, _ saga.Spec) saga.Step { return env{t} }

// Do writes the files.
func (e env) Do(ctx context.Context, a *saga.Attempt) error {
	s := e.Session()
	vars, err := Environment(e.Config, s)
	if err != nil {
		return saga.Permanent(err)
	}
	ctx = patient(ctx, a)
	repo, err := openRepo(ctx, s)
	if err != nil {
		return err
	}
	if err := e.own(ctx, repo, a); err != nil {
		return err
	}
	if err := repo.Exclude(ctx, "/"+settings.EnvFile); err != nil {
		return err
	}
	if err := e.inherit(ctx, repo, a); err != nil {
		return err
	}
	return dotenv.Write(filepath.Join(s.Worktree, settings.EnvFile), vars)
}

// own refuses an [EnvFile] that somebody committed: writing to it would change
// their file. That it will be written is noted, so that only then it is removed.
func (e env) own(ctx context.Context, repo git.Repo, a *saga.Attempt) error {
	s := e.Session()
	tracked, err := repo.Tracked(ctx, s.Worktree, settings.EnvFile)
	if err != nil {
		return err
	}
	if tracked {
		return saga.Permanent(fmt.Errorf("%s is committed on branch %s, and ecluse writes a file of that name; take it out of the branch, where that is checked out, with: git rm --cached %[1]s && git commit",
			settings.EnvFile, s.Branch))
	}
	written := false
	if _, err := a.Load(envWritten, &written); err != nil || written {
		return err
	}
	return a.Save(envWritten, true)
}

// inherit makes the links and copies. What it makes it notes before: what was
// there, or what the branch tracks, is not ours.
func (e env) inherit(ctx context.Context, repo git.Repo, a *saga.Attempt) error {
	made := map[string]inherited{}
	if _, err := a.Load(envMade, &made); err != nil {
		return err
	}
	h, err := openHeritage(e.Session())
	if err != nil {
		return err
	}
	defer h.close()
	if err := e.mark(repo, made); err != nil {
		return err
	}
	for _, entry := range e.Config.InheritEnv {
		name := filepath.Clean(entry.Value.File)
		act, err := h.decide(ctx, repo, name, entry.Value.Mode)
		if err != nil {
			return fmt.Errorf("inherit %s: %w", name, err)
		}
		if act == leave {
			continue
		}
		note, err := h.note(ctx, name, entry.Value.Mode)
		if err != nil {
			return fmt.Errorf("inherit %s: %w", name, err)
		}
		if have, ok := made[name]; !ok || have != note {
			made[name] = note
			if err := errors.Join(a.Save(envMade, made), e.mark(repo, made)); err != nil {
				return err
			}
		}
		how, err := h.carry(ctx, name, entry.Value.Mode)
		if err != nil {
			return fmt.Errorf("inherit %s: %w", name, err)
		}
		a.Report("inherited %s (%s)", name, how)
	}
	return nil
}

// mark notes the links that are ours beside the worktree: without the state they look
// like the user's.
func (e env) mark(repo git.Repo, made map[string]inherited) error {
	return remark(repo, e.Session(), func(m *WorktreeMark) {
		m.Links = nil
		for name, note := range made {
			if note.Mode == settings.InheritLink {
				m.Links = append(m.Links, name)
			}
		}
	})
}

// Verify looks whether the files are there and say what they should.
func (e env) Verify(_ context.Context, _ *saga.Attempt) error {
	s := e.Session()
	vars, err := Environment(e.Config, s)
	if err != nil {
		return err
	}
	want, err := dotenv.Marshal(vars)
	if err != nil {
		return err
	}
	path := filepath.Join(s.Worktree, settings.EnvFile)
	have, err := readEnvFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("%s was changed", path)
	}
	h, err := openHeritage(s)
	if err != nil {
		return err
	}
	defer h.close()
	for _, entry := range e.Config.InheritEnv {
		name := filepath.Clean(entry.Value.File)
		act, err := h.look(name, entry.Value.Mode)
		if err != nil {
			return fmt.Errorf("inherit %s: %w", name, err)
		}
		if act == create {
			return fmt.Errorf("%s is missing in %s", name, s.Worktree)
		}
	}
	return nil
}

// Compensate removes what Do made. A copy that was changed since is the user's.
func (e env) Compensate(ctx context.Context, a *saga.Attempt) error {
	s := e.Session()
	made := map[string]inherited{}
	if _, err := a.Load(envMade, &made); err != nil {
		return err
	}
	if info, err := os.Lstat(s.Worktree); Gone(s.Worktree) || err == nil && !info.IsDir() {
		return nil // all of it went with the worktree
	}
	// A copy may have become a mount, and would be emptied on the other side.
	if err := git.CheckMounts(s.Worktree); err != nil {
		return hopeless(err)
	}
	if Gone(s.Repo) {
		return dotenv.Remove(filepath.Join(s.Worktree, settings.EnvFile))
	}
	h, err := openHeritage(s)
	if err != nil {
		return err
	}
	defer h.close()
	for name, note := range made {
		if err := h.drop(ctx, name, note); err != nil {
			return fmt.Errorf("remove inherited %s: %w", name, err)
		}
	}
	return e.removeFile(ctx, a)
}

// removeFile removes [EnvFile]. One that somebody committed since is put back:
// without it the worktree would seem to have work that is to be saved. One that
// was there before is left.
func (e env) removeFile(ctx context.Context, a *saga.Attempt) error {
	s := e.Session()
	repo, err := openRepo(ctx, s)
	if err != nil {
		return err
	}
	if err := e.mark(repo, nil); err != nil {
		return err
	}
	written := false
	if _, err := a.Load(envWritten, &written); err != nil {
		return err
	}
	// A worktree that is damaged is for its own step to judge.
	tracked, err := repo.Tracked(ctx, s.Worktree, settings.EnvFile)
	tracked = tracked && err == nil
	if ctx.Err() != nil || tracked && !written {
		return ctx.Err()
	}
	if err := dotenv.Remove(filepath.Join(s.Worktree, settings.EnvFile)); err != nil || !tracked {
		return err
	}
	return repo.GiveBack(ctx, s.Worktree, settings.EnvFile)
}

// remove removes a file that may be gone.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// exists reports whether something is at path, be it a link that leads nowhere.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
